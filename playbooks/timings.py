"""When each thing happened, and how long the way between took; computed from the events alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from playbooks.event_bodies import SignalReceived, read_body
from playbooks.incident import Incident
from playbooks.record import Event, EventKind


def rfc3339(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and ``Z``; ValueError for a time without a zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone names no moment")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """The moments of one incident, aware, None when not reached.

    ``detected_at`` is the earliest observation among the signals, None when a person declared the case without one.
    ``contained_claimed_at`` is our own claim; whether it is true, only the adversary's last success can tell.
    """

    detected_at: datetime | None = None
    declared_at: datetime | None = None
    contained_claimed_at: datetime | None = None
    renewed_at: datetime | None = None
    data_safe_at: datetime | None = None
    restored_at: datetime | None = None
    closed_at: datetime | None = None

    @classmethod
    def of(cls, events: Sequence[Event]) -> Timings:
        """Compute them; RecordError when the events contradict one another."""
        incident = Incident.of(events)
        return cls(
            detected_at=_detected_at(events),
            declared_at=incident.opened_at,
            contained_claimed_at=incident.contained_at,
            renewed_at=incident.renewed_at,
            data_safe_at=incident.data_safe_at,
            restored_at=incident.restored_at,
            closed_at=incident.closed.at if incident.closed else None,
        )

    @property
    def to_declare(self) -> timedelta | None:
        """From detection to declaration."""
        return _between(self.detected_at, self.declared_at)

    @property
    def to_contain(self) -> timedelta | None:
        """From detection (declaration when nothing detected it) to claimed containment."""
        return _between(self._known_at, self.contained_claimed_at)

    @property
    def to_renew(self) -> timedelta | None:
        """From detection (or declaration) until new keys and credentials are in use."""
        return _between(self._known_at, self.renewed_at)

    @property
    def to_data_safe(self) -> timedelta | None:
        """From detection (or declaration) until nothing is under the old key."""
        return _between(self._known_at, self.data_safe_at)

    @property
    def to_restore(self) -> timedelta | None:
        """From detection (or declaration) until every consumer works again."""
        return _between(self._known_at, self.restored_at)

    @property
    def to_close(self) -> timedelta | None:
        """From detection (or declaration) to the end of the case."""
        return _between(self._known_at, self.closed_at)

    @property
    def _known_at(self) -> datetime | None:
        return self.detected_at or self.declared_at


def _between(start: datetime | None, end: datetime | None) -> timedelta | None:
    return end - start if start is not None and end is not None else None


def _detected_at(events: Sequence[Event]) -> datetime | None:
    """A detector's clock may run ahead, so an observation counts at the latest when its event was written."""
    seen = []
    for event in events:
        if event.kind is EventKind.SIGNAL_RECEIVED:
            body = read_body(event)
            if isinstance(body, SignalReceived):
                observed = body.signal.observed_at
                aware = observed if observed.tzinfo else observed.replace(tzinfo=UTC)
                seen.append(min(aware, event.at))
    return min(seen, default=None)
