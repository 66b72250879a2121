"""Deadlines as the pages show them: those of one case, and those of all cases by urgency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from console.web.pages import moment
from console.web.site import Site
from console.web.visitors import Visitor
from flows.admission import Act
from flows.deadlines import CaseDeadlines, everywhere, of_case
from playbooks.deadlines.rules import Rule
from playbooks.deadlines.standing import Deadline, State
from playbooks.deadlines.words import counted, stands

_TONES = {State.OVERDUE: "bad", State.DUE_SOON: "warn", State.FILED: "good", State.FILED_LATE: "warn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One deadline: ``percent`` of its time is used (0 to 100, None without a clock); ``mark`` is unique on a page."""

    deadline: Deadline
    incident: str
    codename: str
    exercise: bool
    mark: str
    tone: str
    percent: int | None
    stands: str
    counts: str
    due: str

    @property
    def rule(self) -> Rule:
        """What it is about."""
        return self.deadline.rule


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRows:
    """The deadlines of one case: whose clock runs, which wait for another filing, which are settled.

    ``triggers`` are the clocks that nobody has started, by name, in words.
    """

    incident: str
    codename: str
    exercise: bool
    open: bool
    running: tuple[Row, ...]
    later: tuple[Row, ...]
    settled: tuple[Row, ...]
    triggers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Forms:
    """What the forms of a page need.

    ``writes``: the visitor may use them.  ``named``: they must say who they are.  ``here`` is the page to come back to;
    ``zone`` and ``today`` are for the times that are filled in.
    """

    writes: bool
    named: bool
    here: str
    zone: str
    today: str


def forms(site: Site, visitor: Visitor, *, here: str, exercise: bool) -> Forms:
    """The forms for a visitor, on ``/deadlines`` or ``/incidents/ID``, for real cases or for exercises."""
    zone = site.wiring.settings.deadlines.timezone
    today = site.wiring.clock().astimezone(ZoneInfo(zone))
    writes = visitor.may(*Act.DEADLINE.roles(exercise=exercise))
    return Forms(writes, visitor.how == "local", here, zone, f"{today:%Y-%m-%dT%H:%M}")


def case_rows(site: Site, incident_id: str) -> CaseRows:
    """The deadlines of one case; ``_deadlines.html`` draws them.

    Raises InvalidInput when there is no such case, or the rules cannot be read.
    """
    return _rows(of_case(site.wiring, incident_id), site.wiring.clock(), site.wiring.settings.deadlines.timezone)


def all_rows(site: Site) -> list[CaseRows]:
    """Those of every case that is open, was closed lately, or has a running clock.  Raises InvalidInput like above."""
    now, zone = site.wiring.clock(), site.wiring.settings.deadlines.timezone
    return [_rows(each, now, zone) for each in everywhere(site.wiring, site.overview)]


def by_urgency(cases: list[CaseRows]) -> dict[str, list[Row]]:
    """The running deadlines under a heading each, the earliest end first; empty headings are left out."""
    rows = [row for case in cases for row in case.running]
    rows.sort(key=lambda each: each.deadline.due_at or datetime.max.replace(tzinfo=UTC))
    groups: dict[str, list[Row]] = {"Overdue": [], "Due soon": [], "Running": [], "Promptly, without a clock": []}
    for row in rows:
        groups[_heading(row.deadline)].append(row)
    return {name: found for name, found in groups.items() if found}


def _heading(deadline: Deadline) -> str:
    if deadline.due_at is None:
        return "Promptly, without a clock"
    return {State.OVERDUE: "Overdue", State.DUE_SOON: "Due soon"}.get(deadline.state, "Running")


def _rows(case: CaseDeadlines, now: datetime, zone: str) -> CaseRows:
    rows = [_row(case, each, now, zone) for each in case.deadlines]
    return CaseRows(
        incident=case.incident,
        codename=case.codename,
        exercise=case.exercise,
        open=case.open,
        running=tuple(each for each in rows if each.deadline.state.open),
        later=tuple(each for each in rows if each.deadline.state is State.WAITING and each.rule.starts.filing),
        settled=tuple(each for each in rows if each.deadline.settled is not None),
        triggers=case.triggers,
    )


def _row(case: CaseDeadlines, deadline: Deadline, now: datetime, zone: str) -> Row:
    return Row(
        deadline=deadline,
        incident=case.incident,
        codename=case.codename,
        exercise=case.exercise,
        mark=f"{case.incident}-{deadline.rule.id}",
        tone=_TONES.get(deadline.state, ""),
        percent=min(100, int(deadline.used * 100)) if deadline.due_at else None,
        stands=stands(deadline, now),
        counts=counted(deadline.rule),
        due=_due(deadline.due_at, zone),
    )


def _due(at: datetime | None, zone: str) -> str:
    """The end in UTC, and in the organisation's zone where that differs."""
    if at is None:
        return ""
    local = at.astimezone(ZoneInfo(zone))
    return moment(at) if not local.utcoffset() else f"{moment(at)} ({local:%H:%M} on {local.day} {local:%B}, {zone})"
