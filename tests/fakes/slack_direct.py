"""Direct messages of the fake Slack: ``conversations.open`` for one person."""

from __future__ import annotations

from typing import Any

from fakes.slack_workspace import Args, Channel, SlackError, Workspace, method


@method("conversations.open", scopes=("im:write",), needs=("users",), per_minute=50)
def open_direct(space: Workspace, args: Args) -> dict[str, Any]:
    member = str(args["users"])
    if space.user(member)["deleted"]:
        raise SlackError("user_disabled")
    name = f"D{member[1:]}"
    known = name in space.channels
    if not known:
        space.channels[name] = Channel(name, f"direct-{member.lower()}", True, member, [member, space.bot_user])
    return {"channel": {"id": name}, "already_open": known, "no_op": known}


def direct_messages(space: Workspace, member: str) -> list[dict[str, Any]]:
    """What the bot and one person wrote to each other."""
    with space.lock:
        channel = space.channels.get(f"D{member[1:]}")
        return list(channel.messages) if channel is not None else []
