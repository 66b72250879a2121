"""What people do in a pager counts here: an acknowledgement there is one here; all else is noted, each word once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.wiring import Wiring
from playbooks.desk import Actor, Desk
from playbooks.errors import Conflict, InvalidInput, NotApproved
from playbooks.event_bodies import body_of
from playbooks.record import Event, EventKind
from playbooks.surfaces import HearsPager, PagerWord

_DONE = {
    "resolved": "resolved it in the pager, which closes nothing here: stand down in the chat, or with `keyquell close`",
    "reopened": "reopened it in the pager",
    "escalated": "escalated it in the pager",
    "noted": "wrote a note in the pager",
    "acknowledged": "acknowledged it in the pager, which does not count here",
}


def hear_pager(wiring: Wiring, desk: Desk, name: str, *, headers: Mapping[str, str], body: bytes) -> int:
    """Take a webhook of the pager ``name``; returns how many of its words were new.

    Raises Refused when the signature is not the pager's, InvalidInput when there is no such pager or the body is
    malformed, and RecordError when the record cannot be written: then the pager should send it again.
    """
    pager = wiring.pagers().get(name)
    if not isinstance(pager, HearsPager):
        raise InvalidInput(f"there is no pager {name!r} that can be heard.", hint="See `pagers` in the settings.")
    known = set(wiring.records.heads())
    words = [word for word in pager.words(headers=headers, body=body) if word.incident in known]
    return sum(_take(wiring, desk, name, word) for word in words)


def _take(wiring: Wiring, desk: Desk, name: str, word: PagerWord) -> bool:
    """Act on one word; False when it was heard before or says nothing new."""
    if _heard(wiring.records.events(word.incident), word):
        return False
    if word.act != "acknowledged":
        return _note(wiring, name, word)
    incident = wiring.incident(word.incident)
    if not word.user or incident.people.acknowledged is not None or incident.closed is not None:
        return False
    try:
        desk.acknowledge(Actor(account=word.user, via="pagerduty"), word.incident)
    except (NotApproved, InvalidInput):
        return _note(wiring, name, word)
    return True


def _note(wiring: Wiring, name: str, word: PagerWord) -> bool:
    """Remember the word in the record, once, however many deliver it at the same time."""
    while True:
        events = wiring.records.events(word.incident)
        if _heard(events, word):
            return False
        text = f"{word.user or 'A machine'} {_DONE[word.act]}. {_mark(word)}"
        body = body_of(EventKind.NOTE, text=text, by=f"pager:{name}")
        try:
            wiring.records.append(word.incident, kind=EventKind.NOTE, body=body, expected_head=events[-1].hash)
        except Conflict:
            continue
        return True


def _heard(events: Sequence[Event], word: PagerWord) -> bool:
    notes = (event.body for event in events if event.kind is EventKind.NOTE)
    return any(str(each["by"]).startswith("pager:") and str(each["text"]).endswith(_mark(word)) for each in notes)


def _mark(word: PagerWord) -> str:
    return f"(event {word.event_id})"
