"""The incident's private channel: made once, found again after a crash, and the people in it."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from integrations.slack.calls import Calls
from integrations.slack.limits import CHANNEL_NAME, TOPIC, cut
from integrations.slack.memory import holds_another
from playbooks.card import Card
from playbooks.errors import NotFound, Refused

_log = logging.getLogger(__name__)
_PAGES = 10


def names_for(incident_id: str, codename: str) -> tuple[str, ...]:
    """Channel names to try, in order: the codename, then with a suffix that only this incident has."""
    plain = f"kq-{re.sub('[^a-z0-9-]+', '-', codename.lower()).strip('-') or 'incident'}"
    digest = hashlib.sha256(incident_id.encode()).hexdigest()
    return (plain[:CHANNEL_NAME], *(f"{plain[: CHANNEL_NAME - 13]}-{digest[:length]}" for length in (4, 8, 12)))


def purpose_of(card: Card) -> str:
    """The channel's description: it names the incident, so that the channel is found again, and no key."""
    mark = "EXERCISE. " if card.exercise else ""
    return cut(f"{mark}{_marker(card)} Response to {card.codename}; the pinned card is the state of things.", TOPIC)


def topic_of(card: Card) -> str:
    """The head line of the channel."""
    mark = "EXERCISE · " if card.exercise else ""
    return cut(f"{mark}{card.codename} · {card.severity} · {card.phase}", TOPIC)


def make_or_find(calls: Calls, card: Card, *, others: Collection[str] = ()) -> tuple[str, bool]:
    """The id of the incident's channel, and whether it is new; never one of ``others``.

    A channel that was made just before a crash is found by its name and its purpose; when not even the purpose was
    written, by its name, us as its creator, and no other incident's card in it.  Raises what ``Calls.do`` raises.
    """
    searched = False
    for name in names_for(card.id, card.codename):
        try:
            made = calls.do("conversations.create", "to make a channel", name=name, is_private=True)
        except Refused as error:
            if error.code != "name_taken":
                raise
            found = "" if searched else _find(calls, card, others)
            searched = True
            if found:
                return found, False
        else:
            return str(made["channel"]["id"]), True
    raise Refused(f"Slack has channels of every name for {card.codename}.", subject="slack:", code="name_taken")


def invite(calls: Calls, channel: str, members: Sequence[str]) -> None:
    """Invite people; one whom Slack will not let in is logged and keeps nobody else out."""
    doing = "to invite responders"
    try:
        calls.do("conversations.invite", doing, channel=channel, users=list(members))
    except (Refused, NotFound):
        for member in members:
            try:
                calls.do("conversations.invite", doing, channel=channel, users=[member])
            except (Refused, NotFound) as error:
                if error.code not in ("already_in_channel", "cant_invite_self"):
                    _log.warning("Slack does not invite %s: %s", member, error.code)


def _marker(card: Card) -> str:
    return f"keyquell {card.id}."


def _find(calls: Calls, card: Card, others: Collection[str]) -> str:
    names, marker = names_for(card.id, card.codename), _marker(card)
    for channel in _private_channels(calls):
        name, purpose = str(channel["id"]), (channel.get("purpose") or {}).get("value", "")
        if channel.get("name") not in names or name in others:
            continue
        unmarked = not purpose and channel.get("creator") == calls.own_user
        if marker in purpose or (unmarked and not holds_another(calls, card.id, name)):
            return name
    return ""


def _private_channels(calls: Calls) -> Iterator[dict[str, Any]]:
    cursor: dict[str, str] = {}
    for _ in range(_PAGES):
        answer = calls.do(
            "conversations.list",
            "to list the channels",
            types="private_channel",
            exclude_archived=True,
            limit=1000,
            **cursor,
        )
        yield from answer["channels"]
        following = (answer.get("response_metadata") or {}).get("next_cursor", "")
        if not following:
            return
        cursor = {"cursor": following}
