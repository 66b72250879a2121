"""Pools read aloud: one sentence that says how many, how long, how sure, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator

from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import FEWEST, Point, Pool
from playbooks.plans import Phase

_MINUTE, _HOUR, _DAY = 60, 3600, 86400

_DONE = {
    MeasureName.DWELL: "noticed within {} of its occurrence",
    MeasureName.DETECT: "noticed within {} of its first trace",
    MeasureName.ACKNOWLEDGE: "taken by somebody within {}",
    MeasureName.CONTAIN: "contained within {}",
    MeasureName.REVOKE_ACCEPTED: "answered by an accepted call within {}",
    MeasureName.REVOKE_PROVEN: "proven contained within {} of the declaration",
    MeasureName.EXPOSURE_WINDOW: "no longer exposed after {}",
    MeasureName.RESIDUAL_EXPOSURE: "off the old key after {}",
    MeasureName.RESTORE: "restored within {}",
    MeasureName.DOWNTIME: "working again after {} at most",
}
_PHASES = {
    Phase.CONTAIN: "through containing",
    Phase.RENEW: "through renewing",
    Phase.REENCRYPT: "through re-encrypting",
    Phase.REVOKE: "through revoking",
    Phase.VERIFY: "through verifying",
    Phase.NOTIFY: "through telling people",
    Phase.RETIRE: "through retiring",
    Phase.REVIEW: "through reviewing",
}


def lasted(seconds: float) -> str:
    """A duration in at most two units: ``40 ms``, ``0.4 s``, ``1 min 30 s``, ``2 h 5 min``, ``3 d 4 h``, ``60 d``."""
    if 0 < seconds < 0.1:
        return f"{max(1, round(seconds * 1000))} ms"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _two(whole // _MINUTE, "min", whole % _MINUTE if whole < 10 * _MINUTE else 0, "s")
    if whole < _DAY:
        return _two(whole // _HOUR, "h", whole % _HOUR // _MINUTE, "min")
    days = whole // _DAY
    return _two(days, "d", whole % _DAY // _HOUR if days < 10 else 0, "h")


def worded(point: Point) -> str:
    """How long one case took, as far as it is known."""
    if point.state == "running" and not point.lower:
        return "not over; how long is not known"
    if point.state == "running":
        return f"not over after {lasted(point.lower)}" + ("" if point.goes_on else ", when it ended")
    if point.upper is None:
        return f"{lasted(point.lower)} or more"
    if not point.lower and point.upper:
        return f"{lasted(point.upper)} at most"
    least, most = lasted(point.lower), lasted(point.upper)
    return least if least == most else f"{least} to {most}"


def read_aloud(pool: Pool) -> str:
    """The pool in a sentence or two; never a share without its denominator, never a bound that was not reached."""
    if not pool.points:
        return _nothing(pool)
    said = [_estimated(pool) if pool.stairs else _listed(pool)]
    said += [f"{count:,} more {'has' if count == 1 else 'have'} none: {why}." for why, count in pool.missing]
    return " ".join(said)


def bound(seconds: float | None) -> str:
    """A bound or a median; None was not reached."""
    return "not reached" if seconds is None else lasted(seconds)


def _nothing(pool: Pool) -> str:
    if not pool.undefined:
        return f"There is no {_kind(pool, 1)}."
    none = f"The one {_kind(pool, 1)} has no figure"
    if pool.undefined > 1:
        none = f"None of {pool.undefined:,} {_kind(pool, 2)} has a figure"
    if len(pool.missing) == 1:
        return f"{none}: {pool.missing[0][0]}."
    return f"{none}: {'; '.join(f'{why} ({count:,})' for why, count in pool.missing)}."


def headline(pool: Pool) -> str:
    """The first thing to know of a pool, as a sentence without its bounds."""
    count = len(pool.points)
    if pool.median is not None:
        return f"Half of {count:,} {_kind(pool, count)} were {_done(pool).format(lasted(pool.median))}."
    return f"{_over(pool)}."


def _estimated(pool: Pool) -> str:
    sure = f"95 %: {bound(pool.median_low)} … {bound(pool.median_high)}"
    if pool.median is not None:
        first = f"{headline(pool).removesuffix('.')} ({sure})"
    elif pool.median_low is None and pool.median_high is None:
        first = f"{_over(pool)}; the median and its bounds are not reached"
    else:
        first = f"{_over(pool)}; the median is not reached ({sure})"
    if not pool.exact:
        first += "; where it began is an interval, so the least counts"
    return first + "".join(f"; {each}" for each in _running(pool)) + "."


def _over(pool: Pool) -> str:
    count, over = len(pool.points), len(pool.points) - pool.running
    word = _done(pool).partition(" within {}")[0].partition(" after {}")[0]
    return f"{over:,} of {count:,} {_kind(pool, count)} {'was' if 1 in (over, count) else 'were'} {word}"


def _done(pool: Pool) -> str:
    return _PHASES[pool.of] + " after {}" if isinstance(pool.of, Phase) else _DONE[pool.of]


def _listed(pool: Pool) -> str:
    count = f"{len(pool.points):,} {_kind(pool, len(pool.points))}"
    if len(pool.points) >= FEWEST:
        most = [each.upper for each in pool.points if each.state == "reached" and each.upper is not None]
        span = f": {lasted(min(most))} to {lasted(max(most))} at most" if most else ""
        return f"{count}{span}; only upper bounds are known, so nothing is estimated" + "".join(
            f"; {each}" for each in _running(pool)
        ) + "."  # fmt: skip
    return f"{count}, too few for an estimate: {'; '.join(worded(each) for each in pool.points)}."


def _running(pool: Pool) -> Iterator[str]:
    on = sum(each.goes_on for each in pool.points)
    if on:
        yield f"{on:,} still run{'s' if on == 1 else ''}"
    if ended := pool.running - on:
        yield f"{ended:,} ended without it"


def _kind(pool: Pool, count: int) -> str:
    word = "exercise" if pool.exercise else "real case"
    return word if count == 1 else f"{word}s"


def _two(first: int, unit: str, second: int, smaller: str) -> str:
    return f"{first} {unit} {second} {smaller}" if second else f"{first} {unit}"
