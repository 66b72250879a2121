"""chat.*, pins.* and files.* of the fake Slack."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

from fakes.slack_limits import ALL_BLOCKS_CHARACTERS, POST_TEXT, UPDATE_TEXT, block_problems, size
from fakes.slack_workspace import Args, Channel, SlackError, Workspace, decoded, method, with_block_ids


def content(args: Args, *, longest: int) -> dict[str, Any]:
    """Text and blocks of a message, checked as Slack checks them."""
    text = str(args.get("text") or "")
    found: dict[str, Any] = {"text": text}
    if len(text) > longest:
        raise SlackError("msg_too_long")
    if args.get("blocks") not in (None, "", "[]", []):
        try:
            blocks = decoded(args["blocks"], list)
        except SlackError as error:
            raise SlackError("invalid_blocks_format") from error
        if problems := block_problems(blocks):
            raise SlackError("invalid_blocks", errors=problems, response_metadata={"messages": problems})
        if size(blocks) > ALL_BLOCKS_CHARACTERS:
            raise SlackError("msg_blocks_too_long")
        found["blocks"] = with_block_ids(blocks)
    if args.get("metadata"):
        found["metadata"] = _metadata(args["metadata"])
    return found


def _metadata(value: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = decoded(value, dict)
    payload = metadata.get("event_payload")
    if not isinstance(metadata.get("event_type"), str) or not isinstance(payload, dict):
        raise SlackError("invalid_metadata_format")
    if len(json.dumps(metadata)) > 8000:
        raise SlackError("metadata_too_large")
    return metadata


def put(space: Workspace, channel: Channel, found: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Store a message of the bot."""
    ts = space.ts()
    message = {"type": "message", "user": space.bot_user, "bot_id": space.bot, "app_id": space.app, "ts": ts}
    message |= {"team": space.team} | found | more
    channel.messages.append(message)
    return message


@method("chat.postMessage", scopes=("chat:write",), needs=("channel",), per_minute=60, per_channel=True)
def post(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    found = content(args, longest=POST_TEXT)
    if not found["text"] and "blocks" not in found:
        raise SlackError("no_text")
    more: dict[str, Any] = {}
    if parent := args.get("thread_ts"):
        try:
            channel.message(parent)
        except SlackError as error:
            raise SlackError("thread_not_found") from error
        more["thread_ts"] = parent
    message = put(space, channel, found, **more)
    return {"channel": channel.id, "ts": message["ts"], "message": _public(message)}


@method("chat.update", scopes=("chat:write",), needs=("channel", "ts"))
def update(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    message = channel.message(args["ts"])
    if message["user"] != space.bot_user:
        raise SlackError("cant_update_message")
    found = content(args, longest=UPDATE_TEXT)
    if not found["text"] and "blocks" not in found:
        raise SlackError("no_text")
    message.update(found, edited={"user": space.bot_user, "ts": space.ts()})
    return {"channel": channel.id, "ts": message["ts"], "text": message["text"], "message": _public(message)}


@method("chat.delete", scopes=("chat:write",), needs=("channel", "ts"))
def delete(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"])
    message = channel.message(args["ts"])
    if message["user"] != space.bot_user:
        raise SlackError("cant_delete_message")
    channel.messages.remove(message)
    channel.pins = [each for each in channel.pins if each != message["ts"]]
    return {"channel": channel.id, "ts": message["ts"]}


@method("chat.postEphemeral", scopes=("chat:write",), needs=("channel", "user"), per_minute=100)
def post_ephemeral(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], open_only=True)
    space.user(args["user"])
    if args["user"] not in channel.members:
        raise SlackError("user_not_in_channel")
    found = content(args, longest=POST_TEXT)
    if not found["text"] and "blocks" not in found:
        raise SlackError("no_text")
    return {"message_ts": whisper(space, channel.id, args["user"], found)}


def whisper(space: Workspace, channel: str, user: str, found: dict[str, Any]) -> str:
    """Keep a message that one person sees; its timestamp."""
    ts = space.ts()
    space.ephemerals.append({"channel": channel, "user": user, "ts": ts} | found)
    return ts


@method("chat.getPermalink", needs=("channel", "message_ts"), per_minute=100)
def permalink(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"], member=False)
    channel.message(args["message_ts"])
    link = f"https://example.slack.com/archives/{channel.id}/p{args['message_ts'].replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def _public(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "metadata"}


@method("pins.add", scopes=("pins:write",), needs=("channel", "timestamp"), per_minute=20)
def pin(space: Workspace, args: Args) -> None:
    channel = space.channel(args["channel"], open_only=True)
    channel.message(args["timestamp"])
    if args["timestamp"] in channel.pins:
        raise SlackError("already_pinned")
    channel.pins.append(args["timestamp"])


@method("pins.list", scopes=("pins:read",), needs=("channel",), per_minute=50)
def pins(space: Workspace, args: Args) -> dict[str, Any]:
    channel = space.channel(args["channel"])
    items = [{"type": "message", "channel": channel.id, "message": channel.message(ts)} for ts in channel.pins]
    return {"items": items}


@method("files.getUploadURLExternal", scopes=("files:write",), needs=("filename", "length"), per_minute=50)
def upload_url(space: Workspace, args: Args) -> dict[str, Any]:
    if int(args["length"]) < 1:
        raise SlackError("invalid_arguments")
    name = "F" + secrets.token_hex(5).upper()
    space.files[name] = {"id": name, "name": args["filename"], "length": int(args["length"]), "content": None}
    return {"upload_url": f"{space.base}/upload/{name}", "file_id": name}


@method("files.completeUploadExternal", scopes=("files:write",), needs=("files",), per_minute=50)
def complete_upload(space: Workspace, args: Args) -> dict[str, Any]:
    done = []
    for each in decoded(args["files"], list):
        file = space.files.get(each.get("id", ""))
        if file is None or file["content"] is None:
            raise SlackError("file_not_found")
        file["title"] = each.get("title", file["name"])
        done.append({"id": file["id"], "title": file["title"]})
    if args.get("channel_id"):
        channel = space.channel(args["channel_id"], open_only=True)
        more = {"thread_ts": args["thread_ts"]} if args.get("thread_ts") else {}
        put(space, channel, {"text": str(args.get("initial_comment") or ""), "files": done}, **more)
    return {"files": done}


def respond(space: Workspace, name: str, body: dict[str, Any]) -> str:
    """Take an answer at a response URL; the timestamp of what it made or changed.

    SlackError ``used_url`` after five uses, ``expired_url`` after its time.
    """
    url = space.response_urls.get(name)
    if url is None or url.uses < 1:
        raise SlackError("used_url")
    if time.monotonic() > url.ends:
        raise SlackError("expired_url")
    url.uses -= 1
    return answer(space, url.channel, url.user, body, source=url.source)


def answer(space: Workspace, channel: str, user: str, body: dict[str, Any], *, source: str = "") -> str:
    """Do what the answer to an interaction says: whisper, post, replace or delete."""
    old = [each for each in space.ephemerals if each["ts"] == source]
    if body.get("delete_original"):
        space.ephemerals = [each for each in space.ephemerals if each["ts"] != source]
        if not old and source:
            space.channels[channel].messages.remove(space.channels[channel].message(source))
        return source
    found = content(body, longest=POST_TEXT)
    if not found["text"] and "blocks" not in found:
        raise SlackError("no_text")
    if body.get("replace_original") and source:
        (old[0] if old else space.channels[channel].message(source)).update(found)
        return source
    if body.get("response_type") == "in_channel" and channel in space.channels:
        return str(put(space, space.channels[channel], found)["ts"])
    return whisper(space, channel, user, found)
