"""The incidents that somebody may still have to be shown, read again only when their record grew."""

from __future__ import annotations

from datetime import timedelta

from flows.background import Trouble
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.incident import Incident
from playbooks.record import Event, EventKind

LINGERS = timedelta(days=1)
"""How long after its closing a case is still looked after: last word to boards and pagers, messages on their way."""


class Cases:
    """A cache by the head of each record; not safe for threads."""

    def __init__(self, wiring: Wiring, on_trouble: Trouble) -> None:
        self.found: dict[str, tuple[Incident, list[Event]]] = {}
        self._wiring = wiring
        self._on_trouble = on_trouble
        self._seen: dict[str, int] = {}

    def refresh(self) -> list[str]:
        """Read what has grown since the last call; its ids.  A record that cannot be read is reported and left out."""
        changed = []
        heads = self._wiring.records.heads()
        if not self._seen:
            self._seen = {each: heads[each] for each in self._long_over() if each in heads}
        for incident_id, seq in heads.items():
            if self._seen.get(incident_id) == seq:
                continue
            self._seen[incident_id] = seq
            try:
                self.found[incident_id] = self._grown(incident_id)
                changed.append(incident_id)
            except KeyquellError as error:
                self.found.pop(incident_id, None)
                self._on_trouble(incident_id, error)
        self._let_go()
        return [each for each in changed if each in self.found]

    def _long_over(self) -> list[str]:
        """Cases that need not be looked after: of years of them only the latest are read at the start."""
        now, closed = self._wiring.clock(), self._wiring.records.having(EventKind.CLOSED)
        return [incident_id for incident_id, at in closed.items() if now - at > LINGERS]

    def _grown(self, incident_id: str) -> tuple[Incident, list[Event]]:
        if incident_id not in self.found:
            events = self._wiring.records.events(incident_id)
            return Incident.of(events), events
        incident, before = self.found[incident_id]
        news = self._wiring.records.events_after(incident_id, len(before) - 1)
        return incident.after(news), [*before, *news]

    def _let_go(self) -> None:
        now = self._wiring.clock()
        for incident_id, (incident, _) in list(self.found.items()):
            if incident.closed is not None and now - incident.closed.at > LINGERS:
                del self.found[incident_id]
