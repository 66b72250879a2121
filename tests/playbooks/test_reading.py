"""Pools are read aloud: how many, how long, how sure, what runs, and what is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import Point, Pool, Stair
from playbooks.metrics.reading import bound, headline, lasted, read_aloud, worded
from playbooks.plans import Phase


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (0.04, "40 ms"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (90, "1 min 30 s"),
        (20 * 60 + 29, "20 min"),
        (3600, "1 h"),
        (2 * 3600 + 5 * 60, "2 h 5 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
        (86400 * 60 + 3600 * 4, "60 d"),
    ],
)
def test_durations_have_at_most_two_units(seconds: float, words: str) -> None:
    """Rounded where nobody would read further."""
    assert lasted(seconds) == words


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Point("a", "a", "reached", 60, 60), "1 min"),
        (Point("a", "a", "reached", 60, 120), "1 min to 2 min"),
        (Point("a", "a", "reached", 60, None), "1 min or more"),
        (Point("a", "a", "reached", 0, 120), "2 min at most"),
        (Point("a", "a", "reached", 0, 0), "0 s"),
        (Point("a", "a", "running", 60, None, goes_on=True), "not over after 1 min"),
        (Point("a", "a", "running", 60, None), "not over after 1 min, when it ended"),
        (Point("a", "a", "running", 0, None, goes_on=True), "not over; how long is not known"),
    ],
)
def test_a_point_says_what_is_known_of_it(point: Point, words: str) -> None:
    """Bounds where it has them; what runs is not told as if it were over."""
    assert worded(point) == words


def pool(*points: Point, of: MeasureName | Phase = MeasureName.CONTAIN, exercise: bool = False, **more: object) -> Pool:
    return Pool(of=of, exercise=exercise, points=points, **{"undefined": 0, **more})


RUNS = Point("r", "r", "running", 120, None, goes_on=True)
ENDED = Point("e", "e", "running", 120, None)
OVER = Point("o", "o", "reached", 60, 60)


def test_a_pool_without_a_point_says_why() -> None:
    """None, one, and several with different reasons."""
    assert read_aloud(pool()) == "There is no real case."
    assert read_aloud(pool(exercise=True)) == "There is no exercise."
    one = pool(undefined=1, missing=(("it was a false alarm", 1),))
    assert read_aloud(one) == "The one real case has no figure: it was a false alarm."
    some = pool(undefined=5, missing=(("a", 3), ("b", 2)))
    assert read_aloud(some) == "None of 5 real cases has a figure: a (3); b (2)."


def test_few_are_listed_one_by_one() -> None:
    """Also those that run."""
    said = read_aloud(pool(OVER, RUNS))
    assert said == "2 real cases, too few for an estimate: 1 min; not over after 2 min."


def test_upper_bounds_alone_are_no_estimate() -> None:
    """Downtime has nothing that bounds it from below."""
    points = [Point(f"{n}", "a", "reached", 0, 60.0 * n) for n in range(1, 7)]
    said = read_aloud(pool(*points, RUNS, of=MeasureName.DOWNTIME))
    assert said == (
        "7 real cases: 1 min to 6 min at most; only upper bounds are known, so nothing is estimated; 1 still runs."
    )


def test_what_ended_without_it_is_not_told_as_if_it_went_on() -> None:
    """A drill whose lab is down."""
    stairs = (Stair(0, 1, 1, 1), Stair(60, 0.5, 0.1, 0.8))
    found = pool(*[OVER] * 4, ENDED, ENDED, exercise=True, stairs=stairs, median=60.0, median_low=60.0)
    said = read_aloud(found)
    assert said == "Half of 6 exercises were contained within 1 min (95 %: 1 min … not reached); 2 ended without it."
    phase = replace(found, of=Phase.RENEW, median=None, median_low=None)
    assert read_aloud(phase) == (
        "4 of 6 exercises were through renewing; the median and its bounds are not reached; 2 ended without it."
    )
    interval = replace(found, points=(*found.points[1:], Point("i", "i", "reached", 60, 90)))
    assert "where it began is an interval, so the least counts" in read_aloud(interval)


def test_a_headline_claims_a_median_only_where_there_is_one() -> None:
    """Otherwise it counts."""
    assert headline(pool(OVER, RUNS, RUNS)) == "1 of 3 real cases was contained."
    assert headline(pool(OVER, exercise=True)) == "1 of 1 exercise was contained."
    assert headline(pool(RUNS, RUNS)) == "0 of 2 real cases were contained."
    assert headline(pool(*[OVER] * 6, median=60.0)) == "Half of 6 real cases were contained within 1 min."
    assert headline(pool(OVER, OVER, of=Phase.RENEW)) == "2 of 2 real cases were through renewing."


def test_every_measure_and_phase_can_be_read_aloud() -> None:
    """None lacks its words."""
    for of in (*MeasureName, *Phase):
        found = pool(*[OVER] * 6, of=of, stairs=(Stair(60, 0, 0, 0),), median=60.0, median_low=60.0, median_high=60.0)
        assert read_aloud(found).startswith("Half of 6 real cases were ")
        assert "1 min" in read_aloud(found)


def test_a_bound_that_was_not_reached_is_called_so() -> None:
    """And never zero or endless."""
    assert (bound(None), bound(60)) == ("not reached", "1 min")
