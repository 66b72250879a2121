"""The score is computed from what was written down; a run that shows nothing, or a claim too early, never passes."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest

from playbooks.record import GENESIS, Event, EventKind
from simulations.journals import AdversaryAttempt, WorkloadRequest
from simulations.results import DataScore, DrillResult, drill_result_schema
from simulations.scenario import load
from simulations.scoring import Course, contained_true_at, downtime_seconds, quantile, score

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCENARIO = load("kms-credential-leak")
GOOD_DATA = DataScore(objects=100, verified=100, lost=0, on_old_key=0)
COURSE = Course(leaked_at=START, adversary_ran_to_the_end=True, workload_ran_to_the_end=True)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def tries(outcomes: str, *, code: str = "DisabledException") -> list[AdversaryAttempt]:
    """One attempt a second: ``+`` worked, ``-`` was refused, ``?`` timed out."""
    return [
        AdversaryAttempt(
            at=at(second),
            finished_at=at(second + 0.1),
            technique="aws-kms-decrypt",
            ok=mark == "+",
            code={"+": "", "-": code, "?": "timeout"}[mark],
        )
        for second, mark in enumerate(outcomes, start=1)
    ]


def serve(outcomes: str, *, dataset: str = "files:docs/invoices") -> list[WorkloadRequest]:
    """One request a second: ``+`` worked, ``-`` failed."""
    return [
        WorkloadRequest(
            at=at(second),
            finished_at=at(second + 0.01),
            operation="read",
            dataset=dataset,
            object="000001",
            ok=mark == "+",
            latency_ms=10,
        )
        for second, mark in enumerate(outcomes, start=1)
    ]


def chain(*milestones: tuple[float, EventKind]) -> list[Event]:
    events: list[Event] = []
    for seconds, kind in milestones:
        prev = events[-1].hash if events else GENESIS
        events.append(Event.link(incident="I", seq=len(events), at=at(seconds), kind=kind, body={}, prev=prev))
    return events


def full_record(*, contained: float = 6.0) -> list[Event]:
    return chain(
        (2.0, EventKind.INCIDENT_OPENED),
        (2.1, EventKind.SIGNAL_RECEIVED),
        (contained, EventKind.CONTAINED),
        (contained + 1, EventKind.RENEWED),
        (contained + 2, EventKind.DATA_SAFE),
        (contained + 3, EventKind.RESTORED),
        (contained + 4, EventKind.CLOSED),
    )


def scored(
    *,
    attempts: Sequence[AdversaryAttempt] | None = None,
    requests: Sequence[WorkloadRequest] | None = None,
    events: Sequence[Event] | None = None,
    data: DataScore = GOOD_DATA,
    course: Course = COURSE,
) -> DrillResult:
    return score(
        SCENARIO,
        seed=7,
        attempts=tries("++++--------") if attempts is None else attempts,
        requests=serve("+" * 12) if requests is None else requests,
        events=full_record() if events is None else events,
        data=data,
        course=course,
    )


def note_of(result: DrillResult, identifier: str) -> str:
    return next(objective.note for objective in result.objectives if objective.id == identifier)


def test_a_good_run_is_valid_and_passes() -> None:
    """Everything happened in time, nothing was lost, and the claim came after the truth."""
    result = scored()
    assert (result.valid, result.passed) == (True, True)
    assert result.timings.contained_true_at == at(4.1)
    assert result.timings.first_abuse_at == at(1.1)
    assert result.adversary.refusals == {"DisabledException": 8}


def test_the_result_fits_its_schema_and_shows_microseconds() -> None:
    """The JSON is what docs/drill-result.schema.json describes."""
    document = json.loads(scored().model_dump_json())
    jsonschema.Draft202012Validator(drill_result_schema()).validate(document)
    assert document["timings"]["leaked_at"] == "2026-03-01T12:00:00.000000+00:00"
    assert list(document) == [
        "scenario", "seed", "valid", "passed", "objectives", "timings",
        "adversary", "workload", "data", "record", "report_path",
    ]  # fmt: skip


def test_a_claim_before_the_last_success_is_false_containment() -> None:
    """However short the overlap, the drill fails and says by how much."""
    result = scored(attempts=tries("+++++++-----"), events=full_record(contained=6.0))
    assert not result.passed
    assert result.valid
    assert "false containment" in note_of(result, "true-containment")
    assert "1.1" in note_of(result, "honest")


def test_a_backend_that_lies_is_not_contained() -> None:
    """The attacker never stops: there is no time of true containment, and a claim is false."""
    result = scored(attempts=tries("+" * 12))
    assert result.timings.contained_true_at is None
    assert not result.passed
    assert "false containment" in note_of(result, "true-containment")


def test_no_claim_and_no_stop_is_not_contained() -> None:
    """Honest failure is failure, but of another kind."""
    result = scored(attempts=tries("+" * 12), events=chain((2.0, EventKind.INCIDENT_OPENED)))
    assert not result.passed
    assert note_of(result, "true-containment").startswith("not contained")


CENSORED = {
    "no try after the last success": "++++",
    "too few refusals after it": "++++----",
    "timeouts show nothing": "++++????????",
    "a success at the very end": "++++-------+",
}


@pytest.mark.parametrize("case", CENSORED)
def test_the_truth_is_unknown_without_enough_refusals(case: str) -> None:
    """contained_true_at is only set when the attacker kept trying and was refused."""
    assert contained_true_at(tries(CENSORED[case])) is None


INVALID = {
    "the adversary never succeeded": {"attempts": tries("------------")},
    "the adversary never tried": {"attempts": []},
    "the adversary died": {"course": replace(COURSE, adversary_ran_to_the_end=False)},
    "the workload never worked": {"requests": serve("------------")},
    "the workload died": {"course": replace(COURSE, workload_ran_to_the_end=False)},
    "the lab was dirty": {"course": replace(COURSE, faults=("the data could not be verified",))},
    "nothing leaked": {"course": replace(COURSE, leaked_at=None)},
    "no record": {"events": []},
    "a record with a hole": {"events": full_record()[:2] + full_record()[3:]},
}


@pytest.mark.parametrize("case", INVALID)
def test_a_run_that_shows_nothing_is_not_valid(case: str) -> None:
    """The reason stands in the objective ``valid``."""
    result = scored(**INVALID[case])  # type: ignore[arg-type]  # a table of keyword arguments
    assert not result.valid
    assert note_of(result, "valid")


FAILED = {
    "an object was lost": ({"data": DataScore(objects=100, verified=99, lost=1, on_old_key=0)}, "no-loss"),
    "an object is under the old key": ({"data": DataScore(objects=9, verified=9, lost=0, on_old_key=2)}, "off-old-key"),
    "the service was down too long": ({"requests": serve("+" + "-" * 25 + "+")}, "service"),
    "containment came late": (
        {"attempts": tries("+" * 30 + "-" * 9), "events": full_record(contained=40)},
        "contained",
    ),
    "it was never closed": ({"events": full_record()[:-1]}, "closed"),
}


@pytest.mark.parametrize("case", FAILED)
def test_a_missed_objective_fails_the_drill(case: str) -> None:
    """Each objective fails by itself and says what was measured."""
    arguments, identifier = FAILED[case]
    result = scored(**arguments)  # type: ignore[arg-type]  # a table of keyword arguments
    assert not result.passed
    failed = {objective.id for objective in result.objectives if not objective.passed}
    assert identifier in failed


def test_downtime_counts_overlaps_once() -> None:
    """Two datasets down at the same time are one outage; one that never returns is down to the end."""
    one = serve("+--++++")
    two = serve("++--+++", dataset="postgres:shop/public.orders.card")
    assert downtime_seconds(one) == pytest.approx(2.01)
    assert downtime_seconds(one + two) == pytest.approx(3.01)
    assert downtime_seconds(serve("+++--")) == pytest.approx(1.01)
    assert downtime_seconds(serve("+++")) == 0


def test_quantiles_are_by_nearest_rank() -> None:
    """Of one value it is that value, of none it is unknown."""
    assert quantile([3, 1, 2], 0.5) == 2
    assert quantile([5], 0.99) == 5
    assert quantile([], 0.5) is None


def test_detection_is_when_the_detector_saw_it() -> None:
    """A signal that waited before it was recorded counts from its own observed_at."""
    opened = Event.link(incident="I", seq=0, at=at(3), kind=EventKind.INCIDENT_OPENED, body={}, prev=GENESIS)
    body = {"signal": {"observed_at": at(2.5).isoformat()}}
    seen = Event.link(incident="I", seq=1, at=at(3), kind=EventKind.SIGNAL_RECEIVED, body=body, prev=opened.hash)
    assert scored(events=[opened, seen]).timings.detected_at == at(2.5)
