"""The code name of every incident, without reading whole records."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from flows.news import News
from flows.per_wiring import PerWiring
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.record import EventKind


class CodeNames:
    """Safe for threads."""

    def __init__(self, records: SqlRecords) -> None:
        self._news = News(records, {EventKind.INCIDENT_OPENED})
        self._lock = threading.Lock()
        self._names: dict[str, str] = {}

    def look(self) -> Mapping[str, str]:
        """By the incident's id, as of now; not to be changed.  Raises RecordError."""
        with self._lock:
            if news := self._news.take():
                self._names = self._names | {each.incident: str(each.body.get("codename", "")) for each in news}
            return self._names


_KNOWN = PerWiring(lambda wiring: CodeNames(wiring.records))


def code_names(wiring: Wiring) -> Mapping[str, str]:
    """Those of this wiring's record."""
    return _KNOWN.of(wiring).look()
