"""How long phases and steps took is counted from the record: over every retry, and not closed at the present moment."""

from __future__ import annotations

from datetime import timedelta

import pytest
from written_case import ID, START, Case

from playbooks.metrics.phase_times import PhaseTime, phase_times
from playbooks.metrics.pooling import pooled_phase
from playbooks.metrics.work import work_of
from playbooks.metrics.worst import failed_most, step_kinds
from playbooks.plans import Phase
from playbooks.receipts import Census
from playbooks.record import EventKind
from playbooks.summary import summary_of


def one(case: Case, phase: Phase) -> PhaseTime:
    return next(each for each in phase_times(case.events) if each.phase is phase)


def test_a_phase_that_was_not_begun_is_not_listed() -> None:
    """A plan alone takes no time."""
    assert phase_times(Case().events) == ()


def test_a_phase_lasts_from_its_first_start_to_its_last_end() -> None:
    """Every step takes a second, and one begins a second after the one before ended."""
    case = Case()
    steps = case.steps(Phase.CONTAIN)
    for step in steps:
        case.run(step)
    found = one(case, Phase.CONTAIN)
    assert (found.state, found.seconds, found.since) == ("reached", 2 * len(steps) - 1, None)
    assert [(each.step, each.seconds, each.tries, each.failures) for each in found.steps] == [
        (step, 1.0, 1, 0) for step in steps
    ]
    assert found.lasted(START + timedelta(days=1)) == found.seconds


def test_a_phase_with_a_step_left_runs_on_until_the_case_is_closed() -> None:
    """It is right-censored; a closed case lasts no longer tomorrow."""
    case = Case()
    case.run(case.steps(Phase.CONTAIN)[0])
    found = one(case, Phase.CONTAIN)
    assert (found.state, found.seconds) == ("running", 1.0)
    assert found.since is not None
    assert found.lasted(found.since + timedelta(minutes=5)) == 300
    case.note(EventKind.CLOSED, by="bob", outcome="recovered")
    closed = one(case, Phase.CONTAIN)
    assert (closed.state, closed.seconds, closed.since) == ("running", 2.0, None)
    assert closed.lasted(START + timedelta(days=1)) == 2.0


def test_a_retried_step_counts_from_its_first_start() -> None:
    """Two tries, one failure, three seconds; one that was left unproven is a failure too."""
    case = Case()
    first, second = case.steps(Phase.CONTAIN)[:2]
    case.fail(first, "throttled", retryable=True)
    case.run(first)
    case.run(second, "not-proven")
    by_step = {each.step: each for each in one(case, Phase.CONTAIN).steps}
    assert (by_step[first].seconds, by_step[first].tries, by_step[first].failures) == (3.0, 2, 1)
    assert (by_step[second].tries, by_step[second].failures) == (1, 1)
    assert one(case, Phase.CONTAIN).state == "running"


def test_a_step_that_runs_has_no_duration() -> None:
    """Its end is not in the record."""
    case = Case()
    case.note(EventKind.STEP_STARTED, step=case.steps(Phase.CONTAIN)[0], attempt=1, owner="host/1/1.0")
    assert one(case, Phase.CONTAIN).steps[0].seconds is None


def test_phases_of_exercises_and_real_cases_are_never_pooled() -> None:
    """One of each: each stands alone, and the other phases are missing with a reason."""
    real, drill = Case(), Case(exercise=True)
    real.contained()
    cases = [summary_of(real.events), summary_of(drill.events)]
    now = START + timedelta(hours=1)
    found = pooled_phase(cases, Phase.CONTAIN, exercise=False, now=now)
    lasts = 2 * len(real.steps(Phase.CONTAIN)) - 1
    assert [(each.incident, each.state, each.lower, each.upper) for each in found.points] == [
        (ID, "reached", lasts, lasts)
    ]
    none = pooled_phase(cases, Phase.CONTAIN, exercise=True, now=now)
    assert (none.points, none.missing) == ((), (("no step of it was begun", 1),))


def test_the_worst_step_is_the_longest_one_and_the_one_that_failed_most() -> None:
    """Of real cases alone; nothing is averaged."""
    case = Case()
    first, second = case.steps(Phase.CONTAIN)[:2]
    case.fail(first, "throttled", retryable=True)
    case.fail(first, "throttled", retryable=True)
    case.run(first)
    case.run(second)
    kinds = step_kinds([summary_of(case.events)], exercise=False)
    worst = kinds[0]
    assert (worst.action, worst.longest, worst.shortest) == (first.partition("-")[2], 5.0, 5.0)
    assert (worst.incident, worst.cases, worst.tries, worst.failures) == (ID, 1, 3, 2)
    assert failed_most(kinds) == worst
    assert failed_most(each for each in kinds if each is not worst) is None
    assert step_kinds([summary_of(case.events)], exercise=True) == []
    assert step_kinds([summary_of(case.events)], exercise=False, phase=Phase.RENEW) == []


@pytest.mark.parametrize(("rewritten", "on_new", "calls"), [(0, 0, 0), (5, 0, 10), (5, 7, 17)])
def test_calls_of_the_key_backend_are_estimated_from_what_was_moved(rewritten: int, on_new: int, calls: int) -> None:
    """Two for each rewritten object, one for each that a census unwrapped."""
    case = Case()
    step = case.steps(Phase.REENCRYPT)[0]
    case.note(EventKind.SHARD_FINISHED, step=step, shard=0, result={"rewritten": rewritten, "bytes": 10})
    census = Census(dataset="files:docs/invoices", objects=7, bytes=70, on_new=on_new, on_old=0, taken_at=START)
    case.note(EventKind.CENSUS_TAKEN, census=census)
    assert work_of(case.events).key_calls == calls
