"""Cases as a whole: opened once for each origin, found again, and not read again once they are closed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from flows.wiring import Wiring
from playbooks.codenames import codename, new_incident_id
from playbooks.correlation import repeats
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, Signal
from playbooks.incident import Incident
from playbooks.playbook import choose
from playbooks.record import GENESIS, EventKind

_IDS = 8
"""How many ids are tried for one incident: a day has a million."""


def open_incidents(wiring: Wiring) -> list[Incident]:
    """Every incident that is not closed, oldest first."""
    closed = _closed(wiring)
    found: list[Incident] = []
    for incident_id in wiring.records.incidents():
        if incident_id in closed:
            continue
        incident = wiring.incident(incident_id)
        if incident.closed is None:
            found.append(incident)
        else:
            closed[incident_id] = _Past(incident.closed.outcome, incident.signals)
    return found


@dataclass(frozen=True, slots=True)
class _Past:
    outcome: str
    signals: tuple[Signal, ...]


_PAST: WeakKeyDictionary[Wiring, dict[str, _Past]] = WeakKeyDictionary()
"""Closed cases, which stay as they are and need not be read again."""


def _closed(wiring: Wiring) -> dict[str, _Past]:
    return _PAST.setdefault(wiring, {})


def settled_by(wiring: Wiring, signal: Signal) -> str:
    """The case that dealt with exactly this finding and was closed; "" when it says anything new."""
    for incident_id, past in _closed(wiring).items():
        if past.outcome != "not-contained" and any(repeats(signal, each) for each in past.signals):
            return incident_id
    return ""


def open_case(
    wiring: Wiring, exposures: Sequence[Exposure], *, requested_by: str, severity: str, playbook: str, origin: str = ""
) -> str:
    """Write the first event of a new incident and return its id; the same origin gives the same incident.

    Raises InvalidInput for a playbook that is not in the catalog.
    """
    if playbook and playbook not in wiring.catalog:
        raise InvalidInput(f"there is no playbook {playbook!r}.", hint=f"Known: {', '.join(sorted(wiring.catalog))}.")
    chosen = wiring.catalog[playbook] if playbook else choose(wiring.catalog, exposures)
    exercise = wiring.settings.exercise
    fields = {
        "severity": severity,
        "exercise": exercise is not None,
        "requested_by": requested_by,
        "playbook": chosen.name,
        "scenario": exercise.scenario if exercise else "",
        "origin": origin,
    }
    for attempt in range(_IDS):
        incident_id = new_incident_id(wiring.clock(), _randomness(origin, attempt))
        body = body_of(EventKind.INCIDENT_OPENED, codename=codename(incident_id), **fields)
        try:
            wiring.records.append(incident_id, kind=EventKind.INCIDENT_OPENED, body=body, expected_head=GENESIS)
        except Conflict:
            if origin and wiring.incident(incident_id).origin == origin:
                return incident_id
            continue
        return incident_id
    raise Conflict(f"{_IDS} new incident ids in a row were taken.", hint="Try again.")


def opened_by(wiring: Wiring, origin: str) -> str:
    """The incident that this origin opened, "" when there is none; only those whose id its suffix allows are read."""
    if not origin:
        return ""
    suffixes = {new_incident_id(wiring.clock(), _randomness(origin, attempt))[-4:] for attempt in range(_IDS)}
    for incident_id in wiring.records.incidents():
        if incident_id[-4:] in suffixes and wiring.incident(incident_id).origin == origin:
            return incident_id
    return ""


def _randomness(origin: str, attempt: int) -> bytes:
    """What the end of an incident's id is made from: the origin, so that it can be found again, else chance."""
    return hashlib.sha256(f"{attempt}:{origin}".encode()).digest() if origin else os.urandom(4)
