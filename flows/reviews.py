"""Reviews: people write their parts, and agree on what is to be done, by whom and until when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from secrets import token_hex
from typing import Literal

from flows.admission import Act, admit
from flows.lookup import named
from flows.wiring import Wiring
from playbooks.desk import Actor
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import body_of
from playbooks.oversight import Action
from playbooks.record import EventKind
from playbooks.review import PARTS

_LONGEST = 8000


def write_parts(wiring: Wiring, actor: Actor, word: str, parts: Mapping[str, str]) -> str:
    """Write or replace parts of the review, the others stay; returns the incident's id.

    Raises InvalidInput for an unknown or overlong part, NotApproved (recorded) for whoever may not.
    """
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise InvalidInput(f"a review has no part {unknown[0]!r}.", hint=f"Its parts are {', '.join(PARTS)}.")
    long = next((name for name, text in parts.items() if len(text) > _LONGEST), "")
    if long:
        raise InvalidInput(f"the part {long} has over {_LONGEST} characters.", hint="Say it shorter.")
    incident_id = named(wiring, word)
    who = admit(wiring, actor, Act.REVIEW, incident=incident_id)
    while True:
        now = wiring.incident(incident_id)
        before = now.oversight.review[1].parts if now.oversight.review else {}
        body = body_of(EventKind.REVIEW_WRITTEN, by=who.name, head=now.head, parts={**before, **parts})
        try:
            wiring.records.append(incident_id, kind=EventKind.REVIEW_WRITTEN, body=body, expected_head=now.head)
        except Conflict:
            continue
        return incident_id


def add_action(wiring: Wiring, actor: Actor, word: str, *, text: str, owner: str, due: date) -> Action:
    """Agree on an action.  Raises InvalidInput for an empty text or a day that is over, NotApproved like above."""
    if not text.strip() or not owner.strip():
        raise InvalidInput("an action needs a text and an owner.")
    if due < wiring.clock().date():
        raise InvalidInput(f"{due.isoformat()} is over.", hint="Give the day by which it is to be done.")
    incident_id = named(wiring, word)
    who = admit(wiring, actor, Act.REVIEW, incident=incident_id)
    name = token_hex(3)
    fields = {"action": name, "text": text.strip()[:_LONGEST], "owner": owner.strip(), "due": due.isoformat()}
    body = body_of(EventKind.ACTION_ADDED, by=who.name, **fields)
    wiring.records.append_next(incident_id, kind=EventKind.ACTION_ADDED, body=body)
    return wiring.incident(incident_id).oversight.actions[name]


def settle_action(
    wiring: Wiring, actor: Actor, word: str, name: str, *, outcome: Literal["done", "dropped"], reason: str
) -> Action:
    """An action is done, or dropped for a reason.

    Raises InvalidInput when there is no such action, it is settled already, or it is dropped without a reason.
    """
    if outcome == "dropped" and not reason.strip():
        raise InvalidInput("why the action is dropped is missing.", hint="Give it with --reason.")
    incident_id = named(wiring, word)
    who = admit(wiring, actor, Act.REVIEW, incident=incident_id)
    while True:
        now = wiring.incident(incident_id)
        action = now.oversight.actions.get(name)
        if action is None or action.outcome:
            waiting = ", ".join(each.id for each in now.oversight.actions.values() if not each.outcome) or "none"
            raise InvalidInput(f"{incident_id} has no open action {name!r}.", hint=f"Open ones: {waiting}.")
        body = body_of(EventKind.ACTION_SETTLED, action=name, outcome=outcome, by=who.name, reason=reason)
        try:
            wiring.records.append(incident_id, kind=EventKind.ACTION_SETTLED, body=body, expected_head=now.head)
        except Conflict:
            continue
        return wiring.incident(incident_id).oversight.actions[name]


def open_actions(wiring: Wiring) -> list[tuple[str, Action]]:
    """What is still to be done, with the incident's id, the earliest day first."""
    cases = dict.fromkeys(each.incident for each in wiring.records.of_kind(EventKind.ACTION_ADDED))
    found = [
        (case, action)
        for case in cases
        for action in wiring.incident(case).oversight.actions.values()
        if not action.outcome
    ]
    return sorted(found, key=lambda each: (each[1].due, each[0], each[1].id))
