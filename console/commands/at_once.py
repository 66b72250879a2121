"""Background work done in the foreground: a terminal's process ends with its command, and so would a thread of it."""

from __future__ import annotations

from flows.background import Background
from flows.undo import Undone, undo
from flows.wiring import Wiring


class AtOnce(Background):
    """Takes steps back before it returns, and keeps what became of each."""

    def __init__(self, wiring: Wiring) -> None:
        super().__init__(wiring)
        self._for = wiring
        self.undone: list[Undone] = []

    def undo(self, incident_id: str, *, by: str) -> None:
        """Take back what can be."""
        self.undone = undo(self._for, incident_id, by=by)
