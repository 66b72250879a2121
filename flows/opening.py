"""Cases as a whole: opened once for each origin, found again, and not read again once they are closed."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Sequence

from flows.news import News
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.codenames import codename, new_incident_id
from playbooks.correlation import repeats
from playbooks.errors import Conflict, InvalidInput, RecordError
from playbooks.event_bodies import Closed, SignalReceived, body_of, read_body
from playbooks.exposures import Exposure, Signal
from playbooks.incident import Incident
from playbooks.matching import evidence_of
from playbooks.playbook import choose
from playbooks.record import GENESIS, EventKind

_IDS = 8
"""How many ids are tried for one incident: a day has a million."""


def open_incidents(wiring: Wiring) -> list[Incident]:
    """Every incident that is not closed, oldest first; closed ones are not read."""
    going_on = wiring.records.heads().keys() - wiring.records.having(EventKind.CLOSED)
    found = [incident for each in going_on if (incident := wiring.incident(each)).closed is None]
    return sorted(found, key=lambda each: (each.opened_at, each.id))


class _Dealt:
    """What was found in cases that were closed, and not because they could not be contained.  Safe for threads."""

    def __init__(self, records: SqlRecords) -> None:
        self._news = News(records, {EventKind.SIGNAL_RECEIVED, EventKind.CLOSED})
        self._lock = threading.Lock()
        self._signals: dict[str, dict[str, list[Signal]]] = {}
        self._outcomes: dict[str, str] = {}

    def by(self, signal: Signal) -> str:
        """The closed case that has exactly this finding; "" when there is none."""
        with self._lock:
            self._take()
            for incident_id, signals in self._signals.get(evidence_of(signal), {}).items():
                closed = self._outcomes.get(incident_id, "not-contained")
                if closed != "not-contained" and any(repeats(signal, each) for each in signals):
                    return incident_id
        return ""

    def prime(self) -> None:
        """Read what there is, so that the next question is answered at once."""
        with self._lock:
            self._take()

    def _take(self) -> None:
        """What cannot be read has settled nothing: the finding then opens a case."""
        for event in self._news.take():
            try:
                body = read_body(event)
            except RecordError:
                continue
            if isinstance(body, SignalReceived):
                found = self._signals.setdefault(evidence_of(body.signal), {})
                found.setdefault(event.incident, []).append(body.signal)
            elif isinstance(body, Closed):
                self._outcomes[event.incident] = body.outcome


_KNOWN = PerWiring(lambda wiring: _Dealt(wiring.records))


def settled_by(wiring: Wiring, signal: Signal) -> str:
    """The case that dealt with exactly this finding and was closed; "" when it says anything new."""
    return _dealt(wiring).by(signal)


def prime(wiring: Wiring) -> None:
    """Read once what was found in closed cases, so that the first finding need not wait for it."""
    _dealt(wiring).prime()


def _dealt(wiring: Wiring) -> _Dealt:
    return _KNOWN.of(wiring)


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
        "virtual_time": exercise is not None and exercise.virtual_time,
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
