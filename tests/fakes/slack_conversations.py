"""auth.*, conversations.*, users.* and usergroups.* of the fake Slack."""

from __future__ import annotations

import re
import secrets
import time
from typing import Any

from fakes.slack_workspace import Args, Channel, SlackError, Workspace, flag, method, page

_READ = ("channels:read", "groups:read")
_HISTORY = ("channels:history", "groups:history")


@method("auth.test", per_minute=600)
def who_am_i(space: Workspace, _: Args) -> dict[str, Any]:
    names = {"team": "Example", "user": space.users[space.bot_user]["name"], "url": "https://example.slack.com/"}
    ids = {"team_id": space.team, "user_id": space.bot_user, "bot_id": space.bot, "app_id": space.app}
    return names | ids | {"is_enterprise_install": False}


@method("apps.connections.open", scopes=("connections:write",), kind="app", per_minute=600)
def open_connection(space: Workspace, _: Args) -> dict[str, Any]:
    ticket = secrets.token_urlsafe(16)
    space.tickets[ticket] = time.monotonic() + 30
    return {"url": f"{space.base.replace('http:', 'ws:')}/link/?ticket={ticket}&app_id={space.app}"}


@method("conversations.create", scopes=("channels:manage", "groups:write"), needs=("name",), per_minute=20)
def create(space: Workspace, args: Args) -> dict[str, Any]:
    name = str(args["name"])
    if len(name) > 80:
        raise SlackError("invalid_name_maxlength")
    if not re.fullmatch(r"[a-z0-9_-]+", name):
        raise SlackError("invalid_name_specials")
    if not re.search(r"[a-z0-9]", name):
        raise SlackError("invalid_name_punctuation")
    if any(each.name == name for each in space.channels.values()):
        raise SlackError("name_taken")
    made = space.add_channel(name, private=flag(args.get("is_private")))
    return {"channel": space.channels[made].shown()}


@method("conversations.invite", scopes=("channels:manage", "groups:write"), needs=("channel", "users"))
def invite(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    members = [each.strip() for each in str(args["users"]).split(",") if each.strip()]
    wrong = [
        {"user": each, "ok": False, "error": error} for each in members if (error := _objection(space, channel, each))
    ]
    good = [each for each in members if all(each != one["user"] for one in wrong)]
    if wrong and not (flag(args.get("force")) and good):
        raise SlackError(wrong[0]["error"], errors=wrong)
    channel.members += good
    return {"channel": channel.shown()} | ({"errors": wrong} if wrong else {})


def _objection(space: Workspace, channel: Channel, member: str) -> str:
    if member == space.bot_user:
        return "cant_invite_self"
    if member not in space.users:
        return "user_not_found"
    if space.users[member]["deleted"]:
        return "cant_invite"
    return "already_in_channel" if member in channel.members else ""


@method("conversations.setTopic", scopes=("channels:manage", "groups:write"), needs=("channel", "topic"), per_minute=20)
def set_topic(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    channel.topic = _short(args["topic"])
    return {"channel": channel.shown()}


@method(
    "conversations.setPurpose", scopes=("channels:manage", "groups:write"), needs=("channel", "purpose"), per_minute=20
)
def set_purpose(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    channel.purpose = _short(args["purpose"])
    return {"purpose": channel.purpose, "channel": channel.shown()}


def _short(text: str) -> str:
    if len(text) > 250:
        raise SlackError("too_long")
    return text


@method("conversations.archive", scopes=("channels:manage", "groups:write"), needs=("channel",), per_minute=20)
def archive(space: Workspace, args: Args) -> None:
    channel = space.channel(args["channel"])
    if channel.archived:
        raise SlackError("already_archived")
    channel.archived = True


@method("conversations.history", scopes=_HISTORY, needs=("channel",))
def history(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"])
    top = [each for each in channel.messages if each.get("thread_ts", each["ts"]) == each["ts"]]
    return _messages(list(reversed(_between(top, args))), args)


@method("conversations.replies", scopes=_HISTORY, needs=("channel", "ts"))
def replies(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"])
    try:
        parent = channel.message(args["ts"])
    except SlackError as error:
        raise SlackError("thread_not_found") from error
    thread = [each for each in channel.messages if each.get("thread_ts") == parent["ts"]]
    return _messages([parent, *_between(thread, args)], args)


def _between(messages: list[dict[str, Any]], args: Args) -> list[dict[str, Any]]:
    oldest, latest = str(args.get("oldest") or "0"), str(args.get("latest") or "9" * 10)
    return [each for each in messages if float(oldest) < float(each["ts"]) <= float(latest)]


def _messages(messages: list[dict[str, Any]], args: Args) -> dict[str, Any]:
    found, following = page(messages, args)
    if not flag(args.get("include_all_metadata")):
        found = [each | _stripped(each) for each in found]
    return {"messages": found, "has_more": bool(following["next_cursor"]), "response_metadata": following}


def _stripped(message: dict[str, Any]) -> dict[str, Any]:
    """Metadata whose event type is not in the app's manifest loses its payload."""
    kind = message.get("metadata", {}).get("event_type")
    return {"metadata": {"event_type": kind, "event_payload": {}}} if kind else {}


@method("conversations.list", scopes=_READ, per_minute=20)
def list_channels(space: Workspace, args: Args) -> dict[str, Any]:
    kinds = {each.strip() for each in str(args.get("types") or "public_channel").split(",")}
    if not kinds <= {"public_channel", "private_channel", "mpim", "im"}:
        raise SlackError("invalid_types")
    seen = [
        each
        for each in space.channels.values()
        if ("private_channel" if each.private else "public_channel") in kinds
        and (not each.private or space.bot_user in each.members)
        and not (each.archived and flag(args.get("exclude_archived")))
        and each.id.startswith("C")
    ]
    found, following = page(seen, args)
    shown = [each.shown() | {"is_member": space.bot_user in each.members} for each in found]
    return {"channels": shown, "response_metadata": following}


@method("conversations.info", scopes=_READ, needs=("channel",))
def info(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], member=False)
    return {"channel": channel.shown() | {"is_member": space.bot_user in channel.members}}


@method("conversations.members", scopes=_READ, needs=("channel",), per_minute=100)
def members(space: Workspace, args: Args) -> dict[str, Any]:
    found, following = page(space.channel(args["channel"], member=False).members, args)
    return {"members": found, "response_metadata": following}


@method("users.info", scopes=("users:read",), needs=("user",), per_minute=100)
def user_info(space: Workspace, args: Args) -> dict[str, Any]:
    return {"user": space.user(args["user"])}


@method("users.list", scopes=("users:read",), per_minute=20)
def list_users(space: Workspace, args: Args) -> dict[str, Any]:
    found, following = page(list(space.users.values()), args)
    return {"members": found, "response_metadata": following}


@method("usergroups.users.list", scopes=("usergroups:read",), needs=("usergroup",), per_minute=20)
def group_users(space: Workspace, args: Args) -> dict[str, Any]:
    if args["usergroup"] not in space.groups:
        raise SlackError("no_such_subteam")
    return {"users": space.groups[args["usergroup"]]}
