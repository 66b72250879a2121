"""The figures of twelve cases agree with those computed by hand; open cases are censored, exercises stand apart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from told import at
from twelve import NOW, summaries

from playbooks.exposures import ExposureKind
from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import FEWEST, Pool, pooled


def pool(measure: MeasureName, *, exercise: bool = False) -> Pool:
    return pooled(summaries(), measure, exercise=exercise, now=NOW)


def minutes(found: Pool) -> list[tuple[str, float, float | None, str]]:
    upper = [each.upper / 60 if each.upper is not None else None for each in found.points]
    return [(p.incident, p.lower / 60, u, p.state) for p, u in zip(found.points, upper, strict=True)]


def test_containment_of_the_real_ones() -> None:
    """R4 has run for 25 minutes and R6, open again, for 60; R9 was nothing; no exercise is among them."""
    found = pool(MeasureName.CONTAIN)
    assert minutes(found) == [
        ("R8", 5, 5, "reached"),
        ("R1", 10, 10, "reached"),
        ("R2", 20, 20, "reached"),
        ("R3", 20, 20, "reached"),
        ("R4", 25, None, "running"),
        ("R5", 30, 30, "reached"),
        ("R7", 50, 50, "reached"),
        ("R6", 60, None, "running"),
    ]
    assert (found.running, found.undefined) == (2, 1)


def test_the_survival_curve_of_containment() -> None:
    """7/8, 6/8, then two of the six at risk, one of three, one of two; R4 leaves at 25 minutes and is no end."""
    stairs = {round(each.seconds / 60): each.share for each in pool(MeasureName.CONTAIN).stairs}
    by_hand = {0: 1, 5: 7 / 8, 10: 6 / 8, 20: 6 / 8 * 4 / 6, 25: 1 / 2, 30: 1 / 2 * 2 / 3, 50: 1 / 6, 60: 1 / 6}
    assert stairs == pytest.approx(by_hand)


def test_the_median_of_containment_has_bounds() -> None:
    """Half are contained after 20 minutes; with eight cases the bounds are far apart."""
    found = pool(MeasureName.CONTAIN)
    assert found.median == 20 * 60
    assert (found.median_low, found.median_high) == (5 * 60, None)


def test_a_median_that_was_not_reached_is_none() -> None:
    """Two of eight were restored: nobody knows when half will be."""
    found = pool(MeasureName.RESTORE)
    assert len(found.points) == 8
    assert [each.incident for each in found.points if each.state == "reached"] == ["R1", "R5"]
    assert found.stairs
    assert found.median is None


def test_few_points_are_listed_and_nothing_is_estimated() -> None:
    """Three exercises give no curve and no median; the one that is open stands among them."""
    found = pool(MeasureName.CONTAIN, exercise=True)
    assert len(found.points) < FEWEST
    assert minutes(found) == [("D1", 1, 1, "reached"), ("D2", 2, 2, "reached"), ("D3", 60, None, "running")]
    assert (found.stairs, found.median) == ((), None)


def test_dwell_keeps_its_intervals_and_counts_what_nobody_recorded() -> None:
    """Twenty to sixty minutes, at least twenty; of seven others nobody knows."""
    found = pool(MeasureName.DWELL)
    assert minutes(found) == [("R1", 20, 60, "reached"), ("R2", 20, None, "reached")]
    assert found.undefined == 7
    assert not found.exact


def test_detecting_runs_from_the_first_trace() -> None:
    """R1 and R2 left one at 8:40 and were noticed at 9:00; of the others nobody knows."""
    found = pool(MeasureName.DETECT)
    assert minutes(found) == [("R1", 20, 20, "reached"), ("R2", 20, 20, "reached")]
    assert found.missing == (("nobody has recorded when it occurred", 7),)
    assert found.exact


def test_the_exposure_window_of_the_real_ones() -> None:
    """R1: 8:00..8:40 to 9:10; R2: before 8:40 to 9:20."""
    assert minutes(pool(MeasureName.EXPOSURE_WINDOW)) == [("R1", 30, 70, "reached"), ("R2", 40, None, "reached")]


def test_residual_exposure_runs_on_without_a_census_that_is_clear() -> None:
    """Contained is not safe: eighty minutes since 8:40 and counting."""
    assert minutes(pool(MeasureName.RESIDUAL_EXPOSURE)) == [("R1", 80, None, "running"), ("R2", 80, None, "running")]


def test_acknowledging_is_censored_where_nobody_did() -> None:
    """R1 after two minutes; the other seven have waited since they were noticed."""
    found = pool(MeasureName.ACKNOWLEDGE)
    assert (minutes(found)[0], found.running) == (("R1", 2, 2, "reached"), 7)


def test_what_is_open_lasts_longer_tomorrow_and_what_ended_does_not() -> None:
    """Nothing is closed at the present moment."""
    later = pooled(summaries(), MeasureName.CONTAIN, exercise=False, now=NOW + timedelta(minutes=60))
    lasting = {each.incident: each.lower / 60 for each in later.points}
    assert (lasting["R4"], lasting["R6"], lasting["R7"]) == (85, 120, 50)


def test_one_kind_of_exposure_alone() -> None:
    """Only R1 and R2 say what leaked."""
    found = pooled(summaries(), MeasureName.CONTAIN, exercise=False, now=at(60), kind=ExposureKind.CREDENTIAL.value)
    assert [each.incident for each in found.points] == ["R1", "R2"]


def test_no_case_gives_an_empty_pool() -> None:
    """And no estimate."""
    assert pooled([], MeasureName.CONTAIN, exercise=False, now=NOW).points == ()
