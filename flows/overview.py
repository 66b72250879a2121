"""Every incident in a line, for lists and metrics: read from the record, and read again only where it has grown.

Lines of closed incidents are kept in the database too, so that a restart does not read every event of years again.
What is burning never waits for that: ``open`` and ``lately_closed`` read only what they show.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from contextlib import suppress

from pydantic import ValidationError

from flows.background import log_trouble
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.summaries import Line, SummaryTable
from playbooks.errors import RecordError
from playbooks.record import EventKind
from playbooks.summary import FORM, Summary, summary_of

_REST_SECONDS = 60.0
"""So long nothing is kept after the database refused it: the lines are made again at the next start."""
_SLICE = 50
"""So many incidents are read at once while others may wait for a few."""


class Overview:
    """The summaries of all incidents; safe for threads."""

    def __init__(self, wiring: Wiring) -> None:
        self._records = wiring.records
        self._table = SummaryTable(wiring.records, form=FORM)
        self._rest_until = 0.0
        self._lock = threading.Lock()
        self._known: dict[str, Summary] = {}
        self._unread: dict[str, tuple[int, str]] = {}
        self._ordered: list[Summary] | None = None
        self._loaded = False

    def all(self) -> list[Summary]:
        """Every incident that can be read, the latest first."""
        heads = self._records.heads()
        self._load()
        self._bring_up(heads, heads)
        with self._lock:
            if self._ordered is None:
                self._ordered = sorted(self._known.values(), key=_latest, reverse=True)
            return list(self._ordered)

    def open(self) -> list[Summary]:
        """Those that are still going on, the oldest first."""
        closed = self._records.having(EventKind.CLOSED)
        heads = self._records.heads()
        return [each for each in sorted(self._some(heads.keys() - closed, heads), key=_latest) if each.open]

    def lately_closed(self, count: int) -> list[Summary]:
        """So many of those that have ended, the one that was closed last first."""
        closed = self._records.having(EventKind.CLOSED)
        latest = sorted(closed, key=lambda each: (closed[each], each), reverse=True)[:count]
        found = {each.id: each for each in self._some(latest, self._records.heads())}
        return [found[each] for each in latest if each in found]

    def unread(self) -> dict[str, str]:
        """The incidents, among those that were asked for, whose record cannot be read, and why."""
        with self._lock:
            return {incident: why for incident, (_, why) in sorted(self._unread.items())}

    def _some(self, incidents: Collection[str], heads: dict[str, int]) -> list[Summary]:
        self._bring_up(incidents, heads)
        with self._lock:
            return [self._known[each] for each in incidents if each in self._known]

    def _bring_up(self, incidents: Collection[str], heads: dict[str, int]) -> None:
        """Read what has grown; between slices others get their turn."""
        with self._lock:
            stale = [each for each in incidents if self._seen(each) != heads[each]]
        for start in range(0, len(stale), _SLICE):
            with self._lock:
                made = [self._read(each, heads[each]) for each in stale[start : start + _SLICE]]
                self._ordered = None
                self._keep([each for each in made if each is not None])

    def _seen(self, incident: str) -> int:
        known, (failed, _) = self._known.get(incident), self._unread.get(incident, (-1, ""))
        return max(known.seq if known else -1, failed)

    def _read(self, incident: str, seq: int) -> Line | None:
        """The line to be kept of a closed one; a record that contradicts itself hides no other."""
        if self._seen(incident) >= seq:
            return None  # another thread was faster
        try:
            events = self._records.events(incident)
            made = summary_of(events)
        except RecordError as error:
            self._known.pop(incident, None)
            self._unread[incident] = (seq, str(error))
            return None
        self._known[incident] = made
        self._unread.pop(incident, None)
        line = Line(incident=incident, seq=made.seq, hash=events[-1].hash, body=made.model_dump_json())
        return None if made.open else line

    def _load(self) -> None:
        with self._lock:
            if self._loaded:
                return
            self._loaded = True
            for incident, (seq, body) in self._table.load().items():
                if self._seen(incident) < seq:
                    with suppress(ValidationError):  # whatever stands there, the record can be read instead
                        self._known[incident] = Summary.model_validate_json(body)

    def _keep(self, lines: list[Line]) -> None:
        """What cannot be kept is computed again at the next start: that costs time and nothing else."""
        if not lines or time.monotonic() < self._rest_until:
            return
        try:
            self._table.keep(lines)
        except RecordError as error:
            self._rest_until = time.monotonic() + _REST_SECONDS
            log_trouble("overview", error)


def _latest(case: Summary) -> tuple[object, str]:
    return (case.opened_at, case.id)


_KNOWN = PerWiring(Overview)


def overview(wiring: Wiring) -> Overview:
    """The one of this wiring."""
    return _KNOWN.of(wiring)
