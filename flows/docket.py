"""What people recorded of deadlines, over all incidents, without reading their whole records again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from flows.news import News
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.errors import RecordError
from playbooks.event_bodies import DeadlineReminded, read_body
from playbooks.oversight import Oversight
from playbooks.record import Event, EventKind

_KINDS = (EventKind.CLOCK_STARTED, EventKind.DEADLINE_SETTLED, EventKind.DEADLINE_REMINDED)


@dataclass(frozen=True, slots=True)
class Marks:
    """Of one incident, up to event ``seq``: clocks and settled deadlines (nothing else of ``oversight``), reminders."""

    seq: int = -1
    oversight: Oversight = field(default_factory=Oversight)
    reminded: tuple[DeadlineReminded, ...] = ()

    def after(self, event: Event) -> Marks:
        """The same with one more event; raises RecordError on a contradiction."""
        body = read_body(event)
        if isinstance(body, DeadlineReminded):
            return Marks(event.seq, self.oversight, (*self.reminded, body))
        oversight = self.oversight.copied()
        oversight.take(body, seq=event.seq, at=event.at)
        return Marks(event.seq, oversight, self.reminded)


class Docket:
    """The marks of every incident that has any; one query looks for news.  Safe for threads."""

    def __init__(self, records: SqlRecords) -> None:
        self._news = News(records, _KINDS)
        self._lock = threading.Lock()
        self._marks: dict[str, Marks] = {}

    def look(self) -> dict[str, Marks]:
        """The marks by incident, as of now."""
        with self._lock:
            self._take(self._news.take())
            return dict(self._marks)

    def _take(self, events: Iterable[Event]) -> None:
        """What contradicts a record is left out: its own page says so, and the others are not hidden."""
        for event in events:
            marks = self._marks.get(event.incident, Marks())
            try:
                self._marks[event.incident] = marks.after(event)
            except RecordError:
                continue


_DOCKETS = PerWiring(lambda wiring: Docket(wiring.records))


def docket(wiring: Wiring) -> Docket:
    """The one of this wiring."""
    return _DOCKETS.of(wiring)
