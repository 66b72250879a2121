"""What stands in Slack of an incident, remembered while the process lives and read back from Slack afterwards.

Every message of the board carries metadata that says what it tells; only the app's own messages are believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from integrations.slack.calls import Calls
from playbooks.errors import NotFound

CARD, PLAN, EVENT = "keyquell_card", "keyquell_plan", "keyquell_event"
CHECKPOINT = "keyquell_checkpoint"
_PAGE, _PAGES = 200, 50


@dataclass(slots=True)
class Shown:
    """One incident's channel.

    ``card`` is the card's timestamp, ``look`` a digest of how it looks, ``plan`` the digest of the plan posted last,
    ``seq`` the last event told, ``after`` the last event told before this card was posted.  ``done`` are the small
    things that are settled (purpose, pin, topic), ``invited`` the people who were asked in.
    """

    channel: str
    card: str = ""
    look: str = ""
    plan: str = ""
    seq: int = -1
    after: int = -1
    done: dict[str, str] = field(default_factory=dict)
    invited: set[str] = field(default_factory=set)


def recall(calls: Calls, incident: str, channel: str, *, card: str = "") -> Shown:
    """Read the channel: the newest card and plan, and in the card's thread the last event that was told.

    ``card`` is where the card is said to be: when somebody deleted it, its thread still says what was told.
    """
    shown, found, plan_found = Shown(channel), False, False
    for message in _pages(calls, "conversations.history", channel=channel):
        kind, payload = _ours(calls, message, incident)
        if kind == CARD and not found:
            found, shown.card, shown.look = True, message["ts"], str(payload.get("look", ""))
            shown.after = int(payload.get("after", -1))
        if kind == PLAN and not plan_found:
            plan_found, shown.plan = True, str(payload.get("digest", ""))
        if found and plan_found:
            break
    shown.seq = max(shown.after, _last_told(calls, incident, channel, shown.card or card))
    return shown


def holds_another(calls: Calls, incident: str, channel: str) -> bool:
    """Does the card of another incident stand in the channel?"""
    for message in _pages(calls, "conversations.history", channel=channel):
        _, payload = _ours(calls, message)
        if payload.get("incident", incident) != incident:
            return True
    return False


def posted(calls: Calls, incident: str, channel: str, head: str) -> str:
    """The timestamp of the message that holds the checkpoint over ``head``; "" when there is none."""
    for message in _pages(calls, "conversations.history", channel=channel):
        kind, payload = _ours(calls, message, incident)
        if kind == CHECKPOINT and payload.get("head") == head:
            return str(message["ts"])
    return ""


def _last_told(calls: Calls, incident: str, channel: str, thread: str) -> int:
    told = -1
    if not thread:
        return told
    try:
        for message in _pages(calls, "conversations.replies", channel=channel, ts=thread):
            kind, payload = _ours(calls, message, incident)
            if kind == EVENT:
                told = max(told, int(payload.get("seq", -1)))
    except NotFound as error:
        if error.code != "thread_not_found":
            raise
    return told


def _ours(calls: Calls, message: dict[str, Any], incident: str = "") -> tuple[str, dict[str, Any]]:
    """What kind of message this is and its payload, when the app wrote it (about this incident)."""
    metadata = message.get("metadata") or {}
    payload = metadata.get("event_payload") or {}
    own = message.get("user") == calls.own_user or (calls.own_bot and message.get("bot_id") == calls.own_bot)
    if not own or (incident and payload.get("incident") != incident):
        return "", {}
    return str(metadata.get("event_type", "")), payload


def _pages(calls: Calls, method: str, **args: Any) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    for _ in range(_PAGES):
        answer = calls.do(method, "to read what was said", **args, limit=_PAGE, include_all_metadata=True, **cursor)
        yield from answer["messages"]
        following = (answer.get("response_metadata") or {}).get("next_cursor", "")
        if not following:
            return
        cursor = {"cursor": following}
