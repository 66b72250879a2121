"""Events of some kinds in every chain: all of them once, and afterwards only what was written since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from integrations.records.sql import SqlRecords
from playbooks.errors import RecordDamaged
from playbooks.record import INSTALLATION, Event, EventKind


class News:
    """Remembers how far each chain was read; not safe for threads."""

    def __init__(self, records: SqlRecords, kinds: Iterable[EventKind], *, chains: tuple[str, ...] = ()) -> None:
        """``chains`` are looked at beside those of the incidents: the installation's own, say."""
        self._records = records
        self._kinds = frozenset(kinds)
        self._chains = chains
        self._read: dict[str, int] = {}
        self._primed = False

    @classmethod
    def everywhere(cls, records: SqlRecords, kinds: Iterable[EventKind]) -> News:
        """In the incidents' chains and in the installation's."""
        return cls(records, kinds, chains=(INSTALLATION,))

    def take(self) -> list[Event]:
        """What came since the last call, each event once, those of one chain in their order.  Raises RecordError."""
        with self.taken() as events:
            return events

    @contextmanager
    def taken(self) -> Iterator[list[Event]]:
        """The same; whatever is raised here or in the block, all of it comes again with the next call."""
        read = dict(self._read)
        found = [event for chain in self._chains for event in self._after(chain, read)]
        heads = self._records.heads()
        if not self._primed:
            found += self._first(heads, read)
        else:
            grown = [chain for chain, seq in heads.items() if read.get(chain, -1) < seq]
            found += [event for chain in grown for event in self._after(chain, read)]
        yield sorted(found, key=lambda each: each.seq)
        self._read, self._primed = read, True

    def _first(self, heads: dict[str, int], read: dict[str, int]) -> list[Event]:
        try:
            every = [event for kind in self._kinds for event in self._records.of_kind(kind)]
        except RecordDamaged:
            return [event for chain in heads for event in self._after(chain, read)]
        read |= heads
        return [each for each in every if each.seq <= heads.get(each.incident, -1)]

    def _after(self, chain: str, read: dict[str, int]) -> list[Event]:
        """A chain with a row that cannot be read hides no other; it is tried again each time, and its page says why."""
        try:
            events = self._records.events_after(chain, read.get(chain, -1))
        except RecordDamaged:
            return []
        if events:
            read[chain] = events[-1].seq
        return [each for each in events if each.kind in self._kinds]
