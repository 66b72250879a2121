"""Every decision of people in the record, the latest first, without reading it again at each look."""

from __future__ import annotations

import threading

from flows.news import News
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.audit import DECISIONS, Decision, decisions, ordered


class Decisions:
    """Safe for threads."""

    def __init__(self, records: SqlRecords) -> None:
        self._news = News.everywhere(records, DECISIONS)
        self._lock = threading.Lock()
        self._found: list[Decision] = []

    def look(self) -> list[Decision]:
        """All of them as of now, the latest first.  Raises RecordError when one cannot be read."""
        with self._lock, self._news.taken() as news:
            if made := decisions(news):
                self._found = ordered([*made, *self._found])
            return self._found


_KNOWN = PerWiring(lambda wiring: Decisions(wiring.records))


def all_decisions(wiring: Wiring) -> list[Decision]:
    """Those of this wiring's record, the latest first; not to be changed.  Raises RecordError."""
    return _KNOWN.of(wiring).look()
