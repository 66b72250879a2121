"""What use of a key is usual, learned from its own trail, and what is not.

The baseline counts uses per hour.  For an hour it looks at the earlier hours that are most like it and of which there
are at least four: the same hour of the week, else the same hour of the day, else all.  Their median m and their robust
spread s (1.4826 times the median absolute deviation) give the bound

    m + 4 · sqrt(max(m, 1, s²)) + 4

which is that of a Poisson count with mean m, widened like a negative binomial's when the counts spread more than such
a count does.  Median and deviation do not follow a few wild hours, so that an attacker's own use does not soon become
usual.  Without enough history there is no bound: the baseline is silent, because everything would look unusual.

Reading what a key is (describe, get, list) is no use of it and is left out; what changes it counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from math import sqrt
from statistics import median

from playbooks.ports import UsageEvent

HOURS_OF_DAY, HOURS_OF_WEEK = 24, 168
_ENOUGH = 4
_SIGMAS, _SLACK = 4.0, 4.0
_MAD_TO_SIGMA = 1.4826
_MOST_PRINCIPALS = 200
_READING = re.compile(r"(?:Describe|List|Get)(?=[A-Z])")
_SESSION = re.compile(r"(arn:[a-z-]+:sts::\d+:assumed-role/[^/]+)/.+")


@dataclass(frozen=True, slots=True)
class UnusualVolume:
    """More uses within one hour than the bound; ``hour`` is its beginning."""

    hour: datetime
    uses: int
    bound: float


@dataclass(frozen=True, slots=True)
class UnapprovedPrincipal:
    """A principal that nobody approved, or that was never seen before, and its first use; ``uses`` counts them."""

    principal: str
    first: UsageEvent
    uses: int


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is known of one key.

    ``hours`` are uses by hour since 1970 (hours without use are left out), ``began`` the first hour that was observed
    (None: none yet), ``principals`` who used it, sessions of a role being one.
    """

    hours: Mapping[int, int]
    began: int | None = None
    principals: tuple[str, ...] = ()

    def after(self, events: Iterable[UsageEvent], *, since: datetime, keep: timedelta) -> Baseline:
        """The baseline with these events, which are all from the hour of ``since`` on.

        Hours from there on are counted anew, so that reading the same events twice, or a late one, counts right.  What
        is older than ``keep`` before the newest event is forgotten.
        """
        uses = [event for event in events if is_use(event)]
        start = hour_of(since)
        hours = {hour: count for hour, count in self.hours.items() if hour < start}
        for event in uses:
            hours[hour_of(event.at)] = hours.get(hour_of(event.at), 0) + 1
        oldest = max(hours, default=0) - keep // timedelta(hours=1)
        hours = {hour: count for hour, count in sorted(hours.items()) if hour >= oldest}
        known = dict.fromkeys((*self.principals, *(caller(event.principal) for event in uses if event.principal)))
        began = min(filter(None, (self.began, *hours)), default=None)
        return Baseline(
            hours=hours,
            began=max(began, oldest) if began is not None else None,
            principals=tuple(known)[-_MOST_PRINCIPALS:],
        )

    def mature(self, hour: int, *, least: timedelta) -> bool:
        """Was the key observed for at least so long before this hour?"""
        return self.began is not None and hour - self.began >= least / timedelta(hours=1)

    def bound(self, hour: int, *, least: timedelta) -> float | None:
        """The most uses that are usual in this hour; None while the history before it is shorter than ``least``."""
        if self.began is None or not self.mature(hour, least=least):
            return None
        for period in (HOURS_OF_WEEK, HOURS_OF_DAY, 1):
            alike = [self.hours.get(each, 0) for each in range(hour - period, self.began - 1, -period)]
            if len(alike) >= _ENOUGH:
                return _bound(alike)
        return None

    def unusual(self, *, since: datetime, least: timedelta) -> Iterator[UnusualVolume]:
        """The hours from ``since`` on with more uses than their bound; an hour may still be running."""
        for hour, uses in self.hours.items():
            if hour < hour_of(since):
                continue
            bound = self.bound(hour, least=least)
            if bound is not None and uses > bound:
                yield UnusualVolume(datetime.fromtimestamp(hour * 3600, UTC), uses, bound)


def unapproved(events: Iterable[UsageEvent], approved: Iterable[str]) -> list[UnapprovedPrincipal]:
    """Who used the key without being approved, each once, with the first use; services without a principal are not.

    ``approved`` are names of principals, in which ``*`` stands for any text.
    """
    patterns = tuple(approved)
    found: dict[str, list[UsageEvent]] = {}
    for event in sorted(events, key=lambda each: each.at):
        name = caller(event.principal)
        if event.principal and is_use(event) and not any(_names(each, event.principal) for each in patterns):
            found.setdefault(name, []).append(event)
    return [UnapprovedPrincipal(name, uses[0], len(uses)) for name, uses in found.items()]


def is_use(event: UsageEvent) -> bool:
    """Does the event use or change the key, instead of only reading what it is?"""
    return _READING.match(event.operation) is None


def caller(principal: str) -> str:
    """The principal without the name of its session: a role has a new one every time."""
    found = _SESSION.fullmatch(principal)
    return found[1] if found else principal


def hour_of(moment: datetime) -> int:
    """The hour since 1970 (UTC) into which a moment falls."""
    return int(moment.timestamp()) // 3600


def _names(pattern: str, principal: str) -> bool:
    return fnmatchcase(principal, pattern) or fnmatchcase(caller(principal), pattern)


def _bound(counts: list[int]) -> float:
    middle = median(counts)
    spread = _MAD_TO_SIGMA * median(abs(count - middle) for count in counts)
    return float(middle + _SIGMAS * sqrt(max(middle, 1.0, spread**2)) + _SLACK)
