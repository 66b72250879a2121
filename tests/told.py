"""A record told in minutes after nine, for figures that a person computes by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind, Interval, Signal
from playbooks.metrics.measure import Measure, MeasureName
from playbooks.metrics.measuring import measures_of
from playbooks.record import GENESIS, Event, EventKind

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "aws-kms:cloud/5f0c1d9e-6d0a-4f5e-9b53-1c4a8c1f0a11"


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


class Told:
    """Events at given minutes after nine."""

    def __init__(
        self,
        name: str = "KQ-1",
        *,
        exercise: bool = False,
        virtual_time: bool = False,
        begins: float = 0,
        codename: str = "calm-otter",
    ) -> None:
        self.name = name
        self.events: list[Event] = []
        opened = {"codename": codename, "severity": "high", "exercise": exercise, "requested_by": "alice"}
        self.add(begins, EventKind.INCIDENT_OPENED, **opened, playbook="kms-key-leak", virtual_time=virtual_time)

    def add(self, minutes: float, kind: EventKind, **fields: Any) -> Told:
        previous = self.events[-1].hash if self.events else GENESIS
        body = body_of(kind, **fields)
        seq = len(self.events)
        self.events.append(Event.link(incident=self.name, seq=seq, at=at(minutes), kind=kind, body=body, prev=previous))
        return self

    def exposed(
        self,
        minutes: float,
        *,
        between: tuple[float | None, float | None],
        kind: ExposureKind = ExposureKind.CREDENTIAL,
    ) -> Told:
        first, last = (at(each) if each is not None else None for each in between)
        occurred = Interval(not_before=first, not_after=last)
        exposure = Exposure(kind=kind, target=KEY, occurred=occurred, confidence=0.9)
        return self.add(minutes, EventKind.EXPOSURE_ADDED, exposure=exposure)

    def seen(self, minutes: float, *, observed: float, first_seen: float | None = None) -> Told:
        signal = Signal(
            source="trail",
            external_id=f"e{minutes}",
            kind=ExposureKind.CREDENTIAL,
            fingerprints=(),
            summary="x",
            observed_at=at(observed),
            first_seen=at(first_seen) if first_seen is not None else None,
            confidence=0.9,
        )
        return self.add(minutes, EventKind.SIGNAL_RECEIVED, signal=signal)

    def measured(self, name: MeasureName, *, now: float = 600) -> Measure:
        return next(each for each in measures_of(self.events, now=at(now)) if each.name is name)
