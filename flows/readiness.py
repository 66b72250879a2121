"""What readiness is read from: schedules with their next run, and open actions of reviews."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cronsim import CronSim

from flows.schedules import schedules
from flows.wiring import Wiring
from playbooks.errors import RecordError
from playbooks.event_bodies import read_body
from playbooks.oversight import Oversight
from playbooks.record import EventKind
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
    """What reviews agreed on and nobody has settled, the earliest day first.

    Only the events about actions are read; one that contradicts another is left out, its case's own page says so.
    """
    kinds = (EventKind.ACTION_ADDED, EventKind.ACTION_SETTLED)
    events = [each for kind in kinds for each in wiring.records.of_kind(kind)]
    cases: dict[str, Oversight] = {}
    for event in sorted(events, key=lambda each: (each.incident, each.seq)):
        with suppress(RecordError):
            cases.setdefault(event.incident, Oversight()).take(read_body(event), seq=event.seq, at=event.at)
    found = [
        Open(case, each.text, each.owner, each.due)
        for case, oversight in cases.items()
        for each in oversight.actions.values()
        if not each.outcome
    ]
    return sorted(found, key=lambda each: (each.due, each.incident, each.text))


def _next(cron: str, timezone: str, now: datetime) -> datetime:
    return next(CronSim(cron, now.astimezone(ZoneInfo(timezone)))).astimezone(UTC)
