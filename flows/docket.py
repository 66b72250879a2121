"""What people recorded of deadlines, over all incidents, without reading their whole records again and again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

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
        self._records = records
        self._lock = threading.Lock()
        self._heads: dict[str, int] | None = None
        self._marks: dict[str, Marks] = {}

    def look(self) -> dict[str, Marks]:
        """The marks by incident, as of now."""
        records = self._records
        with self._lock:
            heads = records.heads()
            if self._heads is None:
                found = [event for kind in _KINDS for event in records.of_kind(kind)]
                self._take(sorted(found, key=lambda each: each.seq))
            else:
                for incident, seq in heads.items():
                    if (before := self._heads.get(incident, -1)) != seq:
                        self._take(each for each in records.events_after(incident, before) if each.kind in _KINDS)
            self._heads = heads
            return dict(self._marks)

    def _take(self, events: Iterable[Event]) -> None:
        """What contradicts a record is left out: its own page says so, and the others are not hidden."""
        for event in events:
            marks = self._marks.get(event.incident, Marks())
            if event.seq > marks.seq:
                try:
                    self._marks[event.incident] = marks.after(event)
                except RecordError:
                    continue


_DOCKETS: WeakKeyDictionary[Wiring, Docket] = WeakKeyDictionary()
_MAKING = threading.Lock()


def docket(wiring: Wiring) -> Docket:
    """The one of this wiring."""
    with _MAKING:
        return _DOCKETS.setdefault(wiring, Docket(wiring.records))
