"""Many incidents' figures side by side: few points are listed, open ones are censored, exercises stand apart.

Survival curves are Kaplan–Meier estimates (Kaplan and Meier 1958) as computed by lifelines; a case that is still open
counts as long as it has lasted and is never closed at the present moment.  A case of virtual time is in no pool.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, NamedTuple

from playbooks.metrics.measure import MeasureName
from playbooks.plans import Phase
from playbooks.summary import Summary

FEWEST = 6
"""Below this many cases no interval of 95 % exists for a median, so that points are listed and nothing is estimated."""


class Point(NamedTuple):
    """One incident's share: it lasted ``lower`` to ``upper`` seconds (``upper`` None: nobody knows), or still runs.

    ``goes_on``: it runs and lasts longer tomorrow; False where its end came first (a drill whose lab is down).
    """

    incident: str
    codename: str
    state: Literal["reached", "running"]
    lower: float
    upper: float | None
    goes_on: bool = False


class Stair(NamedTuple):
    """From ``seconds`` on ``share`` of the cases is not over; with 95 % confidence between ``low`` and ``high``."""

    seconds: float
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The cases of one kind, exercises or real ones, for one measure or one phase of the response.

    ``undefined`` cases have no such span; ``missing`` says why, the most frequent reason first.  ``stairs`` is empty
    where there are fewer than ``FEWEST``.  ``median`` is None when it is not estimated or not reached; ``median_low``
    and ``median_high`` bound it with 95 % confidence, None where no bound is reached.  Where a beginning is an interval
    the estimate is over its least durations, so that it says "at least".
    """

    of: MeasureName | Phase
    exercise: bool
    points: tuple[Point, ...]
    undefined: int
    missing: tuple[tuple[str, int], ...] = ()
    stairs: tuple[Stair, ...] = ()
    median: float | None = None
    median_low: float | None = None
    median_high: float | None = None

    @property
    def running(self) -> int:
        """How many are not over."""
        return sum(each.state == "running" for each in self.points)

    @property
    def exact(self) -> bool:
        """Are both ends of every span known to the moment?"""
        return all(each.lower == each.upper for each in self.points if each.state == "reached")


def pooled(cases: Iterable[Summary], measure: MeasureName, *, exercise: bool, now: datetime, kind: str = "") -> Pool:
    """One measure over the exercises or over the real cases, of one ``kind`` of exposure or of all ("")."""
    points: list[Point] = []
    missing: Counter[str] = Counter()
    for case in _chosen(cases, exercise, kind):
        found = case.measured(measure, now=now)
        if found.state == "undefined" or found.lower_seconds is None:
            missing[found.why] += 1
        else:
            on = found.state == "running" and (found.since is not None or (found.upper_seconds is None and case.open))
            lower, upper = found.lower_seconds, found.upper_seconds
            points.append(Point(case.id, case.codename, found.state, lower, upper, on))
    # An upper bound alone (downtime) has no least duration to estimate from.
    return _pool(measure, exercise, points, missing, estimated=measure is not MeasureName.DOWNTIME)


def pooled_phase(cases: Iterable[Summary], phase: Phase, *, exercise: bool, now: datetime, kind: str = "") -> Pool:
    """How long one phase took over the exercises or over the real cases, like ``pooled``."""
    points: list[Point] = []
    missing: Counter[str] = Counter()
    for case in _chosen(cases, exercise, kind):
        found = next((each for each in case.phases if each.phase is phase), None)
        if found is None:
            missing["no step of it was begun"] += 1
        else:
            lasted = found.lasted(now)
            upper = lasted if found.state == "reached" else None
            points.append(Point(case.id, case.codename, found.state, lasted, upper, found.since is not None))
    return _pool(phase, exercise, points, missing, estimated=True)


def _chosen(cases: Iterable[Summary], exercise: bool, kind: str) -> Iterator[Summary]:
    timed = (each for each in cases if each.exercise is exercise and not each.virtual_time)
    return (each for each in timed if not kind or kind in each.exposures)


def _pool(
    of: MeasureName | Phase,
    exercise: bool,
    points: list[Point],
    missing: Counter[str],
    *,
    estimated: bool,
) -> Pool:
    points.sort(key=lambda each: (each.lower, each.incident))
    pool = Pool(
        of=of,
        exercise=exercise,
        points=tuple(points),
        undefined=missing.total(),
        missing=tuple(missing.most_common()),
    )
    if len(points) < FEWEST or not estimated:
        return pool
    return replace(pool, **_estimate(points))


def _estimate(points: Sequence[Point]) -> dict[str, Any]:
    from lifelines import KaplanMeierFitter

    fitted = KaplanMeierFitter().fit([each.lower for each in points], [each.state == "reached" for each in points])
    bounds = fitted.confidence_interval_survival_function_.to_numpy()
    shares = fitted.survival_function_.iloc[:, 0]
    stairs = tuple(
        Stair(seconds, share, low, high)
        for seconds, share, (low, high) in zip(shares.index.tolist(), shares.tolist(), bounds.tolist(), strict=True)
    )
    return {
        "stairs": stairs,
        "median": _half((each.seconds, each.share) for each in stairs),
        "median_low": _half((each.seconds, each.low) for each in stairs),
        "median_high": _half((each.seconds, each.high) for each in stairs),
    }


def _half(curve: Iterable[tuple[float, float]]) -> float | None:
    """When a falling curve first reaches one half; shares are products of fractions and miss it by a rounding."""
    return next((seconds for seconds, share in curve if share <= 0.5 + 1e-9), None)
