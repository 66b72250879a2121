"""Cases whose times were set and did not pass: marked in the record, read as before without the mark, in no pool."""

from __future__ import annotations

from datetime import timedelta

import pytest
import report_example as example
from told import START, Told, at
from twelve import NOW, summaries
from written_case import Case

from playbooks.comparison import beside
from playbooks.errors import RecordError
from playbooks.event_bodies import body_of, read_body
from playbooks.incident import Incident
from playbooks.metrics.measure import MeasureName
from playbooks.metrics.pooling import pooled, pooled_phase
from playbooks.metrics.worst import step_kinds
from playbooks.plans import Phase
from playbooks.record import GENESIS, Event, EventKind, verify_chain
from playbooks.summary import Summary, summary_of
from playbooks.traces import spans_after

OPENED = {
    "codename": "calm-otter", "severity": "high", "requested_by": "alice", "playbook": "kms-key-leak",
    "scenario": "", "origin": "",
}  # fmt: skip
WRITTEN_BEFORE = "fa2ae00af14a2290e4aee3d50aafff3c4e7a26dcfad53f6094ae85e66646a46b"
"""The hash of such an opening as it was written before there was the mark."""


def first(body: dict[str, object]) -> Event:
    """The opening, as it stands in a record."""
    return Event.link(incident="KQ-1", seq=0, at=START, kind=EventKind.INCIDENT_OPENED, body=dict(body), prev=GENESIS)


def played(name: str, minutes: float) -> Summary:
    """An exercise that was contained after minutes of a clock that was set."""
    told = Told(name, exercise=True, virtual_time=True).seen(0, observed=0)
    return summary_of(told.add(minutes, EventKind.CONTAINED, probes=3).events)


def test_a_record_without_the_mark_is_read_as_real_time_and_keeps_its_hash() -> None:
    """It was written before there was one."""
    event = first({**OPENED, "exercise": True})
    assert event.hash == WRITTEN_BEFORE
    assert verify_chain([event]) == event.hash
    assert not Incident.of([event]).virtual_time
    assert not summary_of([event]).virtual_time


def test_the_mark_goes_from_the_opening_into_incident_and_line() -> None:
    """And only from there."""
    event = first(body_of(EventKind.INCIDENT_OPENED, **OPENED, exercise=True, virtual_time=True))
    assert Incident.of([event]).virtual_time
    assert summary_of([event]).virtual_time


def test_a_real_case_cannot_have_virtual_times() -> None:
    """Neither when it is written nor when it is read."""
    wrong = {**OPENED, "exercise": False, "virtual_time": True}
    with pytest.raises(RecordError, match=r"virtual_time: .*only an exercise may have virtual times"):
        body_of(EventKind.INCIDENT_OPENED, **wrong)
    with pytest.raises(RecordError, match=r"event 0 of KQ-1: .*only an exercise may have virtual times"):
        read_body(first(wrong))


@pytest.mark.parametrize("exercise", [True, False])
@pytest.mark.parametrize("measure", list(MeasureName))
def test_pools_are_the_same_with_and_without_such_cases(measure: MeasureName, *, exercise: bool) -> None:
    """Seven more would make an estimate of the three exercises, and would be the shortest of all."""
    before = summaries()
    after = [*before, *(played(f"V{number}", number / 60) for number in range(1, 8))]
    assert pooled(after, measure, exercise=exercise, now=NOW) == pooled(before, measure, exercise=exercise, now=NOW)


def test_the_same_cases_in_real_time_would_be_pooled() -> None:
    """It is the mark that keeps them out."""
    unmarked = played("V1", 1).model_copy(update={"virtual_time": False})
    for case, count in ((unmarked, 1), (played("V1", 1), 0)):
        assert len(pooled([case], MeasureName.CONTAIN, exercise=True, now=NOW).points) == count


def test_phases_and_worst_steps_leave_them_out() -> None:
    """Steps of a set clock are neither the longest nor the shortest."""
    for virtual_time, count in ((False, 1), (True, 0)):
        case = Case(exercise=True, virtual_time=virtual_time)
        case.contained()
        cases = [summary_of(case.events)]
        assert len(pooled_phase(cases, Phase.CONTAIN, exercise=True, now=at(60)).points) == count
        assert bool(step_kinds(cases, exercise=True)) is bool(count)


def test_beside_other_exercises_it_is_marked() -> None:
    """Figures stand side by side there, each with its case."""
    this = summary_of(example.events())
    day = timedelta(days=1)
    earlier = this.model_copy(update={"id": "V1", "virtual_time": True, "opened_at": this.opened_at - day})
    found = beside(this, [earlier], [], now=example.at(60))
    assert [(each.incident, each.virtual_time) for each in found.columns] == [(this.id, False), ("V1", True)]


def test_every_span_of_a_trace_says_so() -> None:
    """Whoever pools durations elsewhere can leave them out."""
    for virtual_time in (False, True):
        case = Case(exercise=True, virtual_time=virtual_time)
        case.contained()
        spans = spans_after(case.events, -1)
        assert spans
        assert {each.attributes["keyquell.virtual_time"] for each in spans} == {virtual_time}
