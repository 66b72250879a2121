"""What readiness is read from: schedules with their next run, and open actions of reviews."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim

from flows.reviews import open_actions
from flows.schedules import schedules
from flows.wiring import Wiring
from playbooks.what_next import Open


@dataclass(frozen=True, slots=True)
class Planned:
    """A scheduled drill and when it runs next (aware, UTC)."""

    scenario: str
    cron: str
    timezone: str
    next_at: datetime


def planned(home: Path, *, now: datetime) -> list[Planned]:
    """The scheduled drills, the next one first.  Raises InvalidInput when the file is damaged."""
    found = [
        Planned(each.scenario, each.cron, each.timezone, _next(each.cron, each.timezone, now))
        for each in schedules(home)
    ]
    return sorted(found, key=lambda each: (each.next_at, each.scenario))


def actions_left(wiring: Wiring) -> list[Open]:
    """What reviews agreed on and nobody has settled, the earliest day first."""
    return [Open(case, each.text, each.owner, each.due) for case, each in open_actions(wiring)]


def _next(cron: str, timezone: str, now: datetime) -> datetime:
    return next(CronSim(cron, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)
