"""How keys are used, as far as somebody looks: readings against their baseline, and what detectors found unusual."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from playbooks.exposures import Signal
from playbooks.usage_baseline import Baseline, UnusualVolume, hour_of

SHOWN_HOURS = 7 * 24
"""So many hours before the last reading are shown, the hour of the reading included."""


@dataclass(frozen=True, slots=True)
class Hour:
    """Uses within the hour since 1970 ``hour``; ``bound`` is the most that is usual, None while that is learned."""

    hour: int
    uses: int
    bound: float | None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """One key that a detector watches.

    ``read_at`` is None when it was never read.  ``learning`` lasts until the history is long enough for a judgement.
    ``hours`` are the last ones, the earliest first; hours before anything was observed are left out.
    """

    key: str
    detector: str
    read_at: datetime | None = None
    learning: bool = True
    hours: tuple[Hour, ...] = ()
    unusual: tuple[UnusualVolume, ...] = ()
    principals: tuple[str, ...] = ()

    @property
    def uses(self) -> int:
        """How often it was used in the hours that are shown."""
        return sum(each.uses for each in self.hours)


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Unusual use that a detector found.

    ``at`` is when it began, as far as that is known.  ``case`` is the id of the incident that took it in, "" when none
    did.  ``after_containment``: it was seen after its case had been found contained.
    """

    at: datetime
    signal: Signal
    case: str = ""
    codename: str = ""
    exercise: bool = False
    open: bool = False
    after_containment: bool = False


def key_use(key: str, detector: str, baseline: Baseline, read_at: datetime, *, least: timedelta) -> KeyUse:
    """A reading as it is shown; ``least`` is the history without which nothing is called unusual."""
    last = hour_of(read_at)
    first = max(last - SHOWN_HOURS + 1, baseline.began if baseline.began is not None else last)
    hours = tuple(
        Hour(each, baseline.hours.get(each, 0), baseline.bound(each, least=least)) for each in range(first, last + 1)
    )
    since = read_at - timedelta(hours=SHOWN_HOURS - 1)
    return KeyUse(
        key=key,
        detector=detector,
        read_at=read_at,
        learning=not baseline.mature(last, least=least),
        hours=hours,
        unusual=tuple(baseline.unusual(since=since, least=least)),
        principals=baseline.principals,
    )


def urgency(each: Anomaly) -> tuple[bool, bool, bool, float]:
    """Sorts what is seen after containment first, then open cases and what no case took in, the latest first."""
    return (each.exercise, not each.after_containment, not (each.open or not each.case), -each.at.timestamp())
