"""A case beside earlier ones of the same playbook: figures side by side, and actions that come back in an exercise.

Exercises are compared with exercises and with nothing else.  Figures stand beside one another with their bounds: a few
points carry neither an average nor a trend.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from playbooks.metrics.measure import Measure, MeasureName
from playbooks.oversight import Action
from playbooks.summary import Summary

MOST = 4
"""So many earlier exercises stand beside one; the latest count."""


@dataclass(frozen=True, slots=True)
class Column:
    """One exercise with its measures by name; ``ended``: what it has not reached, it never will.

    ``virtual_time``: its times were set and did not pass.
    """

    incident: str
    codename: str
    opened_at: datetime
    ended: bool
    virtual_time: bool
    measures: dict[MeasureName, Measure]


@dataclass(frozen=True, slots=True)
class Returned:
    """An action of an earlier case of the same playbook: was it done?"""

    incident: str
    codename: str
    exercise: bool
    action: Action


@dataclass(frozen=True, slots=True)
class Comparison:
    """``columns`` are the exercise itself and then the earlier ones, the latest first; empty when there are none.

    ``more`` counts earlier exercises that are not shown.  ``returned`` are the actions to be asked about, by day.
    """

    columns: tuple[Column, ...] = ()
    more: int = 0
    returned: tuple[Returned, ...] = ()

    @property
    def names(self) -> tuple[MeasureName, ...]:
        """The measures of which at least one column has a figure, in their usual order."""
        known = {
            name for each in self.columns for name, measure in each.measures.items() if measure.state != "undefined"
        }
        return tuple(each for each in MeasureName if each in known)


def earlier(case: Summary, cases: Iterable[Summary]) -> list[Summary]:
    """The cases of the same playbook that were opened before it, the latest first."""
    found = [
        each
        for each in cases
        if each.id != case.id and each.playbook == case.playbook and each.opened_at < case.opened_at
    ]
    return sorted(found, key=lambda each: (each.opened_at, each.id), reverse=True)


def beside(
    case: Summary, before: Sequence[Summary], returned: Iterable[Returned], *, now: datetime | None
) -> Comparison:
    """The comparison of an exercise with those of ``before`` that are exercises; a real case has none.

    ``now`` is None for drills whose lab is down: nothing of them goes on.
    """
    if not case.exercise:
        return Comparison()
    drills = [each for each in before if each.exercise]
    columns = tuple(_column(each, now) for each in (case, *drills[:MOST])) if drills else ()
    asked = tuple(sorted(returned, key=lambda each: (each.action.due, each.incident, each.action.id)))
    return Comparison(columns, max(0, len(drills) - MOST), asked)


def _column(case: Summary, now: datetime | None) -> Column:
    ended = now is None or not case.open
    measures = {each.name: each if now is None or ended else each.at(now) for each in case.measures}
    return Column(case.id, case.codename, case.opened_at, ended, case.virtual_time, measures)
