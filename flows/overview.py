"""Every incident in a line, for lists and metrics: read from the record, and read again only where it has grown."""

from __future__ import annotations

import threading

from flows.wiring import Wiring
from playbooks.summary import Summary, summary_of


class Overview:
    """The summaries of all incidents; safe for threads."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._known: dict[str, Summary] = {}
        self._lock = threading.Lock()

    def all(self) -> list[Summary]:
        """Every incident, the latest first."""
        with self._lock:
            self._refresh()
            return sorted(self._known.values(), key=lambda each: (each.opened_at, each.id), reverse=True)

    def open(self) -> list[Summary]:
        """Those that are still going on, the oldest first."""
        return [each for each in reversed(self.all()) if each.open]

    def _refresh(self) -> None:
        for incident, seq in self._wiring.records.heads().items():
            known = self._known.get(incident)
            if known is None or known.seq != seq:
                self._known[incident] = summary_of(self._wiring.records.events(incident))
