"""One incident in a line: what lists, metrics and the web page need of it without reading its events again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from playbooks.incident import Incident
from playbooks.metrics.measure import Measure, MeasureName
from playbooks.metrics.measuring import measures_of
from playbooks.metrics.phase_times import PhaseTime, phase_times
from playbooks.metrics.work import Work, work_of
from playbooks.record import Event
from playbooks.timings import Timings

_MEANING = 1
"""Raised when a figure is computed in another way, so that lines which were kept are computed again."""


class Summary(BaseModel):
    """Computed from the events up to number ``seq`` and nothing else; ``outcome`` is "" while the case is open.

    ``exercise`` cases are never pooled with real ones, and those of ``virtual_time`` with none.  ``measures`` are as of
    the last event: ``measured`` says how long what runs has lasted by now.  ``phases`` are those that were begun.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    seq: int
    codename: str
    severity: str
    exercise: bool
    virtual_time: bool
    scenario: str
    playbook: str
    phase: str
    requested_by: str
    outcome: str
    exposures: tuple[str, ...]
    targets: tuple[str, ...]
    opened_at: AwareDatetime
    detected_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    contained_at: AwareDatetime | None
    data_safe_at: AwareDatetime | None
    restored_at: AwareDatetime | None
    closed_at: AwareDatetime | None
    measures: tuple[Measure, ...]
    work: Work
    phases: tuple[PhaseTime, ...] = ()

    def measured(self, name: MeasureName, *, now: datetime) -> Measure:
        """One of the measures as of ``now`` (aware)."""
        return next(each for each in self.measures if each.name is name).at(now)

    @property
    def is_drill(self) -> bool:
        """Was a response practised in real time?  A tabletop on a set clock touches no key."""
        return self.exercise and not self.virtual_time

    @property
    def open(self) -> bool:
        """Is the case still going on?"""
        return self.closed_at is None


FORM = hashlib.sha256(repr((_MEANING, Summary.model_json_schema())).encode()).hexdigest()
"""Names what a summary holds and how it is computed: a line that was kept under another form is not used."""


def summary_of(events: Sequence[Event]) -> Summary:
    """The line of an incident; RecordError when its events contradict one another."""
    incident = Incident.of(events)
    timings = Timings.of(events)
    taken = incident.people.acknowledged
    return Summary(
        id=incident.id,
        seq=incident.events - 1,
        codename=incident.codename,
        severity=incident.severity,
        exercise=incident.exercise,
        virtual_time=incident.virtual_time,
        scenario=incident.scenario,
        playbook=incident.playbook,
        phase=incident.phase,
        requested_by=incident.requested_by,
        outcome=incident.closed.outcome if incident.closed else "",
        exposures=tuple(dict.fromkeys(each.kind.value for each in incident.exposures)),
        targets=tuple(str(each.target) for each in incident.exposures),
        opened_at=incident.opened_at,
        detected_at=timings.detected_at,
        acknowledged_at=taken.at if taken else None,
        contained_at=incident.contained_at,
        data_safe_at=incident.data_safe_at,
        restored_at=incident.restored_at,
        closed_at=incident.closed.at if incident.closed else None,
        measures=measures_of(events, now=events[-1].at, incident=incident),
        work=work_of(events, incident=incident),
        phases=phase_times(events, incident=incident),
    )
