"""Measures agree with what a person computes by hand, keep their bounds, and never close what is open."""

from __future__ import annotations

from told import Told

from playbooks.exposures import ExposureKind
from playbooks.metrics.measure import Measure, MeasureName
from playbooks.record import EventKind


def bounds(measure: Measure) -> tuple[str, float | None, float | None]:
    minutes = [each / 60 if each is not None else None for each in (measure.lower_seconds, measure.upper_seconds)]
    return measure.state, minutes[0], minutes[1]


def test_an_occurrence_between_two_moments_bounds_what_begins_with_it() -> None:
    """Good at 8:00, evidence at 8:40, detected at 8:55, contained at 9:10: dwell 15 to 55, window 30 to 70 minutes."""
    told = Told().exposed(1, between=(-60, -20)).seen(2, observed=-5).add(10, EventKind.CONTAINED, probes=3)
    assert bounds(told.measured(MeasureName.DWELL)) == ("reached", 15, 55)
    assert bounds(told.measured(MeasureName.EXPOSURE_WINDOW)) == ("reached", 30, 70)
    assert bounds(told.measured(MeasureName.CONTAIN)) == ("reached", 15, 15)
    assert bounds(told.measured(MeasureName.REVOKE_PROVEN)) == ("reached", 10, 10)


def test_each_end_names_the_event_that_proves_it() -> None:
    """Exposure is event 1, the finding 2, containment 3."""
    told = Told().exposed(1, between=(-60, -20)).seen(2, observed=-5).add(10, EventKind.CONTAINED, probes=3)
    window, contain = told.measured(MeasureName.EXPOSURE_WINDOW), told.measured(MeasureName.CONTAIN)
    assert (window.from_seq, window.to_seq) == (1, 3)
    assert (contain.from_seq, contain.to_seq) == (2, 3)


def test_without_a_last_known_good_there_is_no_upper_bound() -> None:
    """Honest ignorance is not zero."""
    told = Told().exposed(1, between=(None, -20)).add(10, EventKind.CONTAINED, probes=3)
    assert bounds(told.measured(MeasureName.EXPOSURE_WINDOW)) == ("reached", 30, None)


def test_what_has_not_ended_runs_and_is_never_called_reached() -> None:
    """Ten hours after nine: at least so long, and nobody knows how long at most."""
    told = Told().exposed(1, between=(-60, -20)).seen(2, observed=0)
    assert bounds(told.measured(MeasureName.CONTAIN)) == ("running", 600, None)
    assert bounds(told.measured(MeasureName.EXPOSURE_WINDOW)) == ("running", 620, None)
    assert told.measured(MeasureName.CONTAIN).to_seq is None


def test_containment_that_did_not_hold_is_no_end() -> None:
    """Contained at 9:10, found open at 9:20: it runs again."""
    told = Told().seen(2, observed=0).add(10, EventKind.CONTAINED, probes=3)
    told.add(20, EventKind.NOT_CONTAINED, reasons=("the old key decrypts",))
    assert told.measured(MeasureName.CONTAIN, now=30).state == "running"


def test_an_unknown_occurrence_is_undefined_and_says_why() -> None:
    """Neither the opening nor the detection stands in for it."""
    measure = Told().seen(2, observed=0).measured(MeasureName.DWELL)
    assert (measure.state, measure.lower_seconds, measure.why) == (
        "undefined", None, "nobody has recorded when it occurred",
    )  # fmt: skip


def test_a_finding_that_was_seen_earlier_bounds_the_occurrence() -> None:
    """The trail shows use from 8:30 on; it was observed at 8:50."""
    told = Told().seen(1, observed=-10, first_seen=-30)
    assert bounds(told.measured(MeasureName.DWELL)) == ("reached", 20, None)


def test_a_leaked_data_key_is_never_safe() -> None:
    """What was read stays readable, whatever is encrypted anew."""
    told = Told().exposed(1, between=(-60, -20), kind=ExposureKind.DATA_KEY)
    told.add(10, EventKind.DATA_SAFE, datasets=("files:docs/x",))
    assert told.measured(MeasureName.RESIDUAL_EXPOSURE).state == "running"
    other = Told().exposed(1, between=(-60, -20)).add(10, EventKind.DATA_SAFE, datasets=("files:docs/x",))
    assert bounds(other.measured(MeasureName.RESIDUAL_EXPOSURE)) == ("reached", 30, 70)


def test_a_case_that_was_closed_cannot_be_taken_any_more() -> None:
    """What runs on after the closing is how long the key has been out, not how long somebody let it wait."""
    told = Told().seen(0, observed=0).exposed(1, between=(-60, -20))
    told.add(9, EventKind.CLOSED, by="bob", outcome="not-contained")
    taken = told.measured(MeasureName.ACKNOWLEDGE)
    assert (taken.state, taken.why) == ("undefined", "the case was closed before anybody took it")
    assert told.measured(MeasureName.CONTAIN).state == "running"


def test_a_false_alarm_leaves_no_span_running() -> None:
    """Nothing had to be contained."""
    told = Told().seen(2, observed=0).add(5, EventKind.CLOSED, by="alice", outcome="false-alarm")
    assert told.measured(MeasureName.CONTAIN).why == "it was a false alarm"


def test_a_detector_whose_clock_runs_ahead_detects_when_it_was_written_down() -> None:
    """Observed at 9:30 by its own clock, written at 9:02: contained at 9:10 is eight minutes later."""
    told = Told().seen(2, observed=30).add(10, EventKind.CONTAINED, probes=3)
    assert bounds(told.measured(MeasureName.CONTAIN)) == ("reached", 8, 8)
