"""Who decided what: the events of people as sentences, for those who must show that the rules were kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from playbooks.event_bodies import (
    Acknowledged,
    ApprovalDenied,
    ApprovalGiven,
    AttemptRefused,
    Body,
    Closed,
    Confirmed,
    DeadlineSettled,
    GlassBroken,
    GlassReviewed,
    PasskeyEnrolled,
    PasskeyInvited,
    PasskeyRemoved,
    read_body,
)
from playbooks.record import Event, EventKind

DECISIONS = (
    EventKind.APPROVAL_GIVEN,
    EventKind.APPROVAL_DENIED,
    EventKind.CONFIRMED,
    EventKind.GLASS_BROKEN,
    EventKind.GLASS_REVIEWED,
    EventKind.ACKNOWLEDGED,
    EventKind.ATTEMPT_REFUSED,
    EventKind.DEADLINE_SETTLED,
    EventKind.CLOSED,
    EventKind.PASSKEY_INVITED,
    EventKind.PASSKEY_ENROLLED,
    EventKind.PASSKEY_REMOVED,
)
"""The kinds of events that are somebody's decision, or the refusal of one."""

_LOUD = frozenset({EventKind.ATTEMPT_REFUSED, EventKind.GLASS_BROKEN})
_DIGEST = 12


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the audit: ``chain`` and ``seq`` name the event that proves it; ``loud`` wants a second look."""

    chain: str
    seq: int
    at: datetime
    who: str
    what: str
    loud: bool


def decisions(events: Iterable[Event]) -> list[Decision]:
    """The decisions among these events, the latest first; RecordError when a body is not what its kind demands."""
    found = []
    for event in events:
        told = _told(read_body(event))
        if told is not None:
            found.append(Decision(event.incident, event.seq, event.at, told[0], told[1], event.kind in _LOUD))
    return ordered(found)


def ordered(found: Iterable[Decision]) -> list[Decision]:
    """The latest first."""
    return sorted(found, key=lambda each: (each.at, each.chain, each.seq), reverse=True)


def _told(body: Body) -> tuple[str, str] | None:
    """Who, and what in words; None for what is nobody's decision."""
    match body:
        case ApprovalGiven():
            told = body.approver, f"approved the plan {body.digest[:_DIGEST]} by {body.method}"
        case ApprovalDenied():
            told = body.approver, f"denied the plan {body.digest[:_DIGEST]}: {body.reason or 'no reason given'}"
        case Confirmed():
            told = body.by, f"confirmed: {body.deed}, by {body.method}"
        case GlassBroken():
            told = body.by, f"broke the glass for the plan {body.digest[:_DIGEST]}: {body.reason}"
        case GlassReviewed():
            told = body.by, f"reviewed the broken glass: {body.verdict}"
        case Acknowledged():
            told = body.by, f"took the case, by {body.via}"
        case AttemptRefused():
            told = body.by, f"was refused to {body.what}: {body.reason} (by {body.via})"
        case DeadlineSettled():
            told = body.by, f"settled the deadline {body.rule}: {body.outcome.replace('-', ' ')}"
        case Closed():
            told = body.by, f"closed the case as {body.outcome.replace('-', ' ')}"
        case PasskeyInvited():
            told = body.by, f"invited {body.person} to enrol a passkey"
        case PasskeyEnrolled():
            told = body.person, f"enrolled the passkey {body.label or 'without a name'}"
        case PasskeyRemoved():
            told = body.by, f"removed a passkey of {body.person}: {body.reason}"
        case _:
            return None
    return told
