"""Key health from the estate on disk and from what the record knows of each key."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, date

from flows.news import News
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.estate import Estate
from playbooks.event_bodies import FactsRead, read_body
from playbooks.key_health import Healths
from playbooks.keys import KeyFacts
from playbooks.record import EventKind
from playbooks.summary import Summary


def key_health(wiring: Wiring, cases: list[Summary]) -> Healths:
    """Every key of the estate, the most urgent first.  Raises InvalidInput when the estate cannot be read."""
    drilled = {target for case in cases if case.is_drill for target in case.targets}
    return _last_read(wiring).health(wiring.estate, frozenset(drilled), wiring.clock().astimezone(UTC).date())


def latest_facts(wiring: Wiring) -> Mapping[str, KeyFacts]:
    """What cases last read of each key, by URI; backends are not asked."""
    return _last_read(wiring).look()


class _LastRead:
    """The latest facts of every key that any case has read; backends are not asked.  Safe for threads."""

    def __init__(self, records: SqlRecords) -> None:
        self._news = News(records, {EventKind.FACTS_READ})
        self._lock = threading.Lock()
        self._facts: dict[str, KeyFacts] = {}
        self._made: tuple[Estate, dict[str, KeyFacts], frozenset[str], date, Healths] | None = None

    def health(self, estate: Estate, drilled: frozenset[str], today: date) -> Healths:
        """The same again on the same day while nothing that it is made of has changed."""
        facts, made = self.look(), self._made
        if made is None or made[0] is not estate or made[1] is not facts or made[2:4] != (drilled, today):
            found = Healths(estate, facts, drilled, today=today)
            made = self._made = (estate, facts, drilled, today, found)
        return made[4]

    def look(self) -> dict[str, KeyFacts]:
        """By URI, as of now; not to be changed."""
        with self._lock, self._news.taken() as news:
            if news:
                facts = dict(self._facts)
                for event in sorted(news, key=lambda each: (each.at, each.incident, each.seq)):
                    body = read_body(event)
                    if isinstance(body, FactsRead):
                        facts |= body.facts
                self._facts = facts
            return self._facts


def _last_read(wiring: Wiring) -> _LastRead:
    return _KNOWN.of(wiring)


_KNOWN = PerWiring(lambda wiring: _LastRead(wiring.records))
