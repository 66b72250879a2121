"""Moments and durations computed from the events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from freezegun import freeze_time

from playbooks.event_bodies import body_of
from playbooks.exposures import ExposureKind, Signal
from playbooks.record import GENESIS, Event, EventKind
from playbooks.timings import Timings, rfc3339

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _events(*moments: tuple[EventKind, dict[str, object], int]) -> list[Event]:
    opening = {"codename": "c", "severity": "high", "exercise": True, "requested_by": "a", "playbook": "p"}
    events: list[Event] = []
    for kind, fields, second in ((EventKind.INCIDENT_OPENED, opening, 0), *moments):
        with freeze_time(START + timedelta(seconds=second)):
            events.append(
                Event.link(
                    incident="KQ-1",
                    seq=len(events),
                    at=datetime.now(UTC),
                    kind=kind,
                    body=body_of(kind, **fields),
                    prev=events[-1].hash if events else GENESIS,
                )
            )
    return events


def _signal(observed_at: datetime) -> dict[str, object]:
    return {
        "signal": Signal(
            source="s",
            external_id="1",
            kind=ExposureKind.CREDENTIAL,
            fingerprints=(),
            summary="seen",
            observed_at=observed_at,
            confidence=1,
        )
    }


def test_every_moment_is_taken_from_its_event() -> None:
    """Durations run from detection."""
    found = Timings.of(
        _events(
            (EventKind.SIGNAL_RECEIVED, _signal(START - timedelta(seconds=5)), 1),
            (EventKind.CONTAINED, {"probes": 1}, 10),
            (EventKind.RENEWED, {}, 20),
            (EventKind.DATA_SAFE, {"datasets": ()}, 30),
            (EventKind.RESTORED, {"consumers": ()}, 40),
            (EventKind.CLOSED, {"by": "a", "outcome": "recovered"}, 50),
        )
    )
    assert found.detected_at == START - timedelta(seconds=5)
    assert found.declared_at == START
    durations = (
        found.to_declare,
        found.to_contain,
        found.to_renew,
        found.to_data_safe,
        found.to_restore,
        found.to_close,
    )
    assert durations == tuple(timedelta(seconds=each) for each in (5, 15, 25, 35, 45, 55))


def test_what_was_not_reached_is_none() -> None:
    """Nothing is guessed for an open incident that a person declared."""
    found = Timings.of(_events())
    assert (found.detected_at, found.contained_claimed_at, found.closed_at) == (None, None, None)
    assert (found.to_declare, found.to_contain, found.to_close) == (None, None, None)


def test_containment_that_did_not_hold_counts_from_the_later_claim() -> None:
    """A withdrawn claim is no containment."""
    withdrawn = [(EventKind.CONTAINED, {"probes": 1}, 10), (EventKind.NOT_CONTAINED, {"reasons": ("works",)}, 11)]
    assert Timings.of(_events(*withdrawn)).contained_claimed_at is None
    again = Timings.of(_events(*withdrawn, (EventKind.CONTAINED, {"probes": 1}, 20)))
    assert again.contained_claimed_at == START + timedelta(seconds=20)


def test_a_detector_whose_clock_runs_ahead_cannot_see_the_future() -> None:
    """The observation counts at the latest when its event was written."""
    found = Timings.of(_events((EventKind.SIGNAL_RECEIVED, _signal(START + timedelta(hours=1)), 2)))
    assert found.detected_at == START + timedelta(seconds=2)


@pytest.mark.parametrize(
    ("moment", "written"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00.000000Z"),
        (datetime(2026, 3, 1, 1, 0, 0, 5, timezone(timedelta(hours=2))), "2026-02-28T23:00:00.000005Z"),
    ],
)
def test_times_are_written_in_utc_with_microseconds(moment: datetime, written: str) -> None:
    """RFC 3339 with Z, whatever the zone was."""
    assert rfc3339(moment) == written


def test_a_time_without_a_zone_is_refused() -> None:
    """It names no moment."""
    with pytest.raises(ValueError, match="zone"):
        rfc3339(datetime(2026, 3, 1))  # noqa: DTZ001  the point of the test
