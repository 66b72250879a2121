"""What responses moved and cost, case by case, and how their filings stood to their deadlines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from flows.filing_margins import CaseFiling
from playbooks.deadlines.words import length
from playbooks.metrics.work import Work
from playbooks.summary import Summary

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
MOST_CASES, MOST_FILINGS = 40, 40
_COUNTS = (
    "objects",
    "bytes",
    "verified",
    "on_old",
    "failed",
    "unreachable",
    "unknown",
    "rewritten",
    "bytes_rewritten",
    "unwrapped",
    "calls",
    "probes",
)


@dataclass(frozen=True, slots=True)
class Moved:
    """The work of exercises or of real cases: ``total`` over ``count`` cases that did any, the largest ones listed."""

    title: str
    count: int
    total: Work
    listed: tuple[Summary, ...]


@dataclass(frozen=True, slots=True)
class Margins:
    """Filings with a deadline: ``late`` of ``count`` came after it; the smallest margins are listed."""

    title: str
    count: int
    late: int
    listed: tuple[CaseFiling, ...]


def moved(cases: Sequence[Summary]) -> list[Moved]:
    """Real cases and exercises apart; a kind that did no work is left out."""
    found = []
    for title, exercise in (("Real cases", False), ("Exercises", True)):
        busy = [each for each in cases if each.exercise is exercise and _busy(each.work)]
        busy.sort(key=lambda each: (-each.work.bytes_rewritten, -each.work.rewritten, -each.work.key_calls, each.id))
        if busy:
            found.append(Moved(title, len(busy), _total(each.work for each in busy), tuple(busy[:MOST_CASES])))
    return found


def margins(filings: Sequence[CaseFiling]) -> list[Margins]:
    """Of real cases and of exercises, apart."""
    found = []
    for title, exercise in (("Real cases", False), ("Exercises", True)):
        mine = [each for each in filings if each.exercise is exercise]
        late = sum(each.filing.margin < timedelta() for each in mine)
        if mine:
            found.append(Margins(title, len(mine), late, tuple(mine[:MOST_FILINGS])))
    return found


def margin_words(margin: timedelta) -> str:
    """``2 h 5 min before``, ``3 h late``."""
    return f"{length(margin)} {'late' if margin < timedelta() else 'before'}"


def sized(count: int) -> str:
    """Bytes in decimal units: ``4 kB``, ``1.2 GB``."""
    size, unit = float(count), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return (
        f"{size:.1f}".removesuffix(".0") + f" {_UNITS[unit]}" if unit and size < 100 else f"{size:.0f} {_UNITS[unit]}"
    )


def _busy(work: Work) -> bool:
    return bool(work.objects or work.rewritten or work.calls or work.probes)


def _total(work: Iterable[Work]) -> Work:
    listed = list(work)
    return Work(**{name: sum(getattr(each, name) for each in listed) for name in _COUNTS})
