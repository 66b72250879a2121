"""One measure of many cases as geometry for an inline SVG: a dot a case, and the curve of what is not over yet.

Places along the axis are percent of the picture's width and heights are pixels, so that a picture fits a phone and a
desk alike and its letters and dots keep their size.  The axis is logarithmic: a response lasts seconds or months.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from playbooks.metrics.pooling import Point, Pool
from playbooks.metrics.reading import worded

LEFT, RIGHT = 11.0, 95.0
"""Where the axis begins and ends, in percent."""
MOST_DOTS = 120
_LANES, _LANE, _DOT = 9, 13.0, 3.4
"""At most so many dots stand above one another, so many pixels apart; a dot with its air takes this much percent."""
_FEW, _THIN_LANE = 24, 10.0
"""Up to so many cases each is drawn and has a lane to itself for as long as its interval lasts."""
_CURVE, _GAP, _AXIS = 84.0, 14.0, 22.0
_NEAREST = 0.35
"""Steps of the curve that are nearer than this (percent) are drawn as one."""
_TICKS = (
    (0.001, "1 ms"),
    (0.01, "10 ms"),
    (0.1, "0.1 s"),
    (1, "1 s"),
    (10, "10 s"),
    (60, "1 min"),
    (600, "10 min"),
    (3600, "1 h"),
    (36000, "10 h"),
    (86400, "1 d"),
    (604800, "1 wk"),
    (2592000, "30 d"),
    (31536000, "1 y"),
    (315360000, "10 y"),
)
_APART = 10.0


@dataclass(frozen=True, slots=True)
class Scale:
    """From seconds to percent of the width."""

    first: float
    last: float

    @classmethod
    def over(cls, pools: Iterable[Pool]) -> Scale:
        """One that holds every duration of these pools: equal pictures are read side by side."""
        ends = [end for pool in pools for each in pool.points for end in (each.lower, each.upper) if end]
        first = max(min(ends, default=1.0), 0.1)
        last = max(max(ends, default=60.0), first * 10)
        return cls(first / 1.6, last * 1.6)

    def x(self, seconds: float) -> float:
        """The place; what is shorter than the first stands at the left edge."""
        share = math.log10(max(seconds, self.first) / self.first) / math.log10(self.last / self.first)
        return round(LEFT + min(share, 1.0) * (RIGHT - LEFT), 2)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Round durations, not too near to one another."""
        placed: list[tuple[float, str]] = []
        for seconds, word in _TICKS:
            if self.first <= seconds <= self.last and (not placed or self.x(seconds) - placed[-1][0] >= _APART):
                placed.append((self.x(seconds), word))
        return tuple(placed)


@dataclass(frozen=True, slots=True)
class Dot:
    """One case: ``style`` is ``over``, ``runs``, ``least`` (the most is unknown) or ``most`` (only the most is known).

    ``bar`` are the places between which it may lie, equal where that is known.
    """

    incident: str
    codename: str
    style: str
    x: float
    y: float
    bar: tuple[float, float]
    words: str


@dataclass(frozen=True, slots=True)
class Curve:
    """The share that is not over: ``flats`` are (x, x, y), ``falls`` (x, y, y), ``band`` (x, y, width, height).

    ``median`` is (place, lower bound, upper bound) at the height ``half``; None where it is not reached.
    """

    top: float
    half: float
    bottom: float
    flats: tuple[tuple[float, float, float], ...]
    falls: tuple[tuple[float, float, float], ...]
    band: tuple[tuple[float, float, float, float], ...]
    median: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture; ``left_out`` cases have no dot of their own."""

    height: float
    axis: float
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    left_out: int
    curve: Curve | None


def draw_pool(pool: Pool, scale: Scale) -> Plot:
    """Dots above, the curve under them where there is one, and the axis at the bottom."""
    dots, y = _dots(pool.points, scale)
    y += 6
    curve = None
    if pool.stairs:
        y += _GAP
        curve = _curve(pool, scale, top=y)
        y += _CURVE
    return Plot(y + 6 + _AXIS, y + 6, scale.ticks(), dots, len(pool.points) - len(dots), curve)


def _dots(points: Sequence[Point], scale: Scale) -> tuple[tuple[Dot, ...], float]:
    """As many as fit, taken evenly from the shortest to the longest so that their density stays true; and their height.

    Few cases are all drawn.
    """
    count = min(len(points), MOST_DOTS)
    while True:
        placed = _placed([points[index * len(points) // count] for index in range(count)], scale)
        lanes = max((lane for _, lane in placed), default=0) + 1
        if lanes <= _LANES or len(points) <= _FEW:
            break
        count = max(_LANES, min(count - 1, count * _LANES // lanes))
    lane_height = _LANE if lanes <= _LANES else _THIN_LANE
    bottom = lanes * lane_height
    return tuple(_dot(each, scale, bottom - (lane + 0.5) * lane_height + 4) for each, lane in placed), bottom


def _placed(points: Sequence[Point], scale: Scale) -> list[tuple[Point, int]]:
    """Each in the lowest lane in which it touches no other."""
    taken: list[float] = []
    found = []
    for point in sorted(points, key=lambda each: (_bar(each, scale), each.incident)):
        left, right = _bar(point, scale)
        if len(points) > _FEW:
            left = right = scale.x(point.lower)
        lane = next((number for number, end in enumerate(taken) if end <= left), len(taken))
        taken[lane : lane + 1] = [max(left, right) + _DOT]
        found.append((point, lane))
    return found


def _bar(point: Point, scale: Scale) -> tuple[float, float]:
    if point.state == "running":
        return scale.x(point.lower), scale.x(point.lower) + 2 * _DOT
    if point.upper is None:
        return scale.x(point.lower), RIGHT
    return (LEFT if not point.lower and point.upper else scale.x(point.lower)), scale.x(point.upper)


def _dot(point: Point, scale: Scale, y: float) -> Dot:
    bar = _bar(point, scale)
    if point.state == "running":
        style, at = "runs", bar[0]
    elif point.upper is None:
        style, at = "least", bar[0]
    elif not point.lower and point.upper:
        style, at = "most", bar[1]
    else:
        style, at = "over", bar[0]
    return Dot(point.incident, point.codename, style, at, round(y, 1), bar, worded(point))


def _curve(pool: Pool, scale: Scale, *, top: float) -> Curve:
    steps: list[list[float]] = [[LEFT, 1.0, 1.0, 1.0]]
    for each in pool.stairs:
        x = scale.x(each.seconds)
        if each.seconds and x - steps[-1][0] >= _NEAREST:
            steps.append([x, each.share, each.low, each.high])
        else:
            steps[-1] = [steps[-1][0], each.share, each.low, each.high]

    def y(share: float) -> float:
        return round(top + (1 - share) * _CURVE, 1)

    end = scale.x(pool.stairs[-1].seconds)
    rights = [*(each[0] for each in steps[1:]), max(end, steps[-1][0])]
    flats = tuple((x, right, y(share)) for (x, share, *_), right in zip(steps, rights, strict=True))
    falls = tuple((after[0], y(before[1]), y(after[1])) for before, after in pairwise(steps))
    band = tuple(
        (x, y(high), round(right - x, 2), round(y(low) - y(high), 1))
        for (x, _, low, high), right in zip(steps, rights, strict=True)
        if right > x
    )
    median = None
    if pool.median is not None:
        low = LEFT if pool.median_low is None else scale.x(pool.median_low)
        median = (scale.x(pool.median), low, RIGHT if pool.median_high is None else scale.x(pool.median_high))
    return Curve(top, y(0.5), y(0.0), flats, falls, band, median)
