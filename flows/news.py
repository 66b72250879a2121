"""Events of some kinds in every chain: all of them once, and afterwards only what was written since."""

from __future__ import annotations

from collections.abc import Iterable

from integrations.records.sql import SqlRecords
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
        heads = self._records.heads()
        found = [event for chain in self._chains for event in self._after(chain)]
        if not self._primed:
            every = (event for kind in self._kinds for event in self._records.of_kind(kind))
            found += [each for each in every if each.seq <= heads.get(each.incident, -1)]
            self._read |= heads
            self._primed = True
        else:
            grown = [chain for chain, seq in heads.items() if self._read.get(chain, -1) < seq]
            found += [event for chain in grown for event in self._after(chain)]
        return sorted(found, key=lambda each: each.seq)

    def _after(self, chain: str) -> list[Event]:
        events = self._records.events_after(chain, self._read.get(chain, -1))
        if events:
            self._read[chain] = events[-1].seq
        return [each for each in events if each.kind in self._kinds]
