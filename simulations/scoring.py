"""From what was written down to the score.  Pure: journals, record and verification in, ``DrillResult`` out.

Two times are never confused: containment as *claimed* by the response and as *true*, which is the adversary's last
success, provided that it went on trying and was refused.  A claim earlier than the truth is a failure of its own kind.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from playbooks.errors import RecordError
from playbooks.record import Event, EventKind, verify_chain
from simulations.journals import AdversaryAttempt, WorkloadRequest
from simulations.results import (
    MILESTONES,
    AdversaryScore,
    DataScore,
    DrillResult,
    DrillTimings,
    ObjectiveResult,
    RecordScore,
    WorkloadScore,
)
from simulations.scenario import Metric, Objective, Scenario

REFUSALS_FOR_TRUTH = 5
"""So many attempts after the last success must have been refused before containment counts as true."""

SHOWS_NOTHING = frozenset(
    {"", "timeout", "unreachable", "throttled", "CKR_DEVICE_ERROR", "CKR_DEVICE_REMOVED", "57P01"}  # the last: cut off
)
"""Codes of attempts that prove neither that the leaked thing works nor that it is dead."""


@dataclass(frozen=True, slots=True)
class Course:
    """What the harness itself knows of a run."""

    leaked_at: datetime | None
    adversary_ran_to_the_end: bool
    workload_ran_to_the_end: bool
    faults: tuple[str, ...] = ()


def score(
    scenario: Scenario,
    *,
    seed: int,
    attempts: Sequence[AdversaryAttempt],
    requests: Sequence[WorkloadRequest],
    events: Sequence[Event],
    data: DataScore,
    course: Course,
    report_path: str = "",
) -> DrillResult:
    """Score one run; never raises for a bad run, that is what the result says."""
    timings = _timings(attempts, events, course)
    adversary = _adversary(attempts)
    workload = _workload(requests)
    measured = _measure(timings, adversary, workload, data)
    doubts = _doubts(attempts, requests, course)
    record = _record(events)
    if not record.verified:
        doubts.append("the record is empty or does not verify")
    objectives = (
        _standing("valid", "The drill shows what it set out to show.", "; ".join(doubts)),
        _standing(
            "true-containment", "Containment is true, and not claimed earlier.", _containment_fault(timings, adversary)
        ),
        *(_judge(objective, measured[objective.metric]) for objective in scenario.objectives),
    )
    return DrillResult(
        scenario=scenario.name,
        seed=seed,
        valid=not doubts,
        passed=all(objective.passed for objective in objectives if objective.id != "valid"),
        objectives=objectives,
        timings=timings,
        adversary=adversary,
        workload=workload,
        data=data,
        record=record,
        report_path=report_path,
    )


def contained_true_at(attempts: Sequence[AdversaryAttempt]) -> datetime | None:
    """The end of the last success, when enough refusals follow it; None when it is not known to be over."""
    successes = [attempt.finished_at for attempt in attempts if attempt.ok]
    if not successes:
        return None
    last = max(successes)
    after = sum(1 for each in attempts if not each.ok and each.at >= last and each.code not in SHOWS_NOTHING)
    return last if after >= REFUSALS_FOR_TRUTH else None


def downtime_seconds(requests: Iterable[WorkloadRequest]) -> float:
    """The time during which some kind of request failed: from a failure to the next success of its kind.

    A kind that never works again is down until the last request of all.  Overlaps count once.
    """
    ordered = sorted(requests, key=lambda request: request.at)
    since: dict[tuple[str, str], datetime] = {}
    spans: list[tuple[datetime, datetime]] = []
    for request in ordered:
        kind = (request.dataset, request.operation)
        if not request.ok:
            since.setdefault(kind, request.at)
        elif kind in since:
            spans.append((since.pop(kind), request.finished_at))
    if since:
        end = max(request.finished_at for request in ordered)
        spans.extend((start, end) for start in since.values())
    total, covered = 0.0, None
    for start, end in sorted(spans):
        begin = start if covered is None else max(start, covered)
        if end > begin:
            total += (end - begin).total_seconds()
        covered = end if covered is None else max(covered, end)
    return round(total, 6)


def quantile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _timings(attempts: Sequence[AdversaryAttempt], events: Sequence[Event], course: Course) -> DrillTimings:
    marks = {name: _first(events, kind) for name, kind in MILESTONES.items()}
    return DrillTimings(
        leaked_at=course.leaked_at,
        first_abuse_at=min((attempt.finished_at for attempt in attempts if attempt.ok), default=None),
        detected_at=_detected_at(events),
        contained_true_at=contained_true_at(attempts),
        **marks,
    )


def _first(events: Sequence[Event], kind: EventKind) -> datetime | None:
    return next((event.at for event in events if event.kind is kind), None)


def _detected_at(events: Sequence[Event]) -> datetime | None:
    """When the first detector noticed: the signal's own observed_at, at the latest when it was recorded."""
    for event in events:
        if event.kind is EventKind.SIGNAL_RECEIVED:
            signal = event.body.get("signal")
            observed = signal.get("observed_at") if isinstance(signal, dict) else None
            at = datetime.fromisoformat(observed) if isinstance(observed, str) else event.at
            return min(at, event.at)
    return None


def _adversary(attempts: Sequence[AdversaryAttempt]) -> AdversaryScore:
    successes = [attempt for attempt in attempts if attempt.ok]
    refusals = Counter(attempt.code or "unknown" for attempt in attempts if not attempt.ok)
    return AdversaryScore(
        attempts=len(attempts),
        successes=len(successes),
        last_success_at=max((attempt.finished_at for attempt in successes), default=None),
        refusals=dict(sorted(refusals.items())),
    )


def _workload(requests: Sequence[WorkloadRequest]) -> WorkloadScore:
    worked = [request.latency_ms for request in requests if request.ok]
    return WorkloadScore(
        requests=len(requests),
        failures=sum(1 for request in requests if not request.ok),
        downtime_seconds=downtime_seconds(requests),
        p50_ms=quantile(worked, 0.5),
        p99_ms=quantile(worked, 0.99),
    )


def _record(events: Sequence[Event]) -> RecordScore:
    try:
        head, verified = verify_chain(events), True
    except RecordError:
        head, verified = (events[-1].hash if events else ""), False
    return RecordScore(events=len(events), head=head, verified=verified)


def _measure(
    timings: DrillTimings, adversary: AdversaryScore, workload: WorkloadScore, data: DataScore
) -> dict[Metric, float | None]:
    start = timings.first_abuse_at

    def since_abuse(moment: datetime | None) -> float | None:
        return None if moment is None or start is None else round((moment - start).total_seconds(), 6)

    return {
        "detection_seconds": since_abuse(timings.detected_at),
        "declaration_seconds": since_abuse(timings.declared_at),
        "contained_claimed_seconds": since_abuse(timings.contained_claimed_at),
        "contained_true_seconds": since_abuse(timings.contained_true_at),
        "containment_overclaim_seconds": _overclaim(timings, adversary),
        "renewed_seconds": since_abuse(timings.renewed_at),
        "data_safe_seconds": since_abuse(timings.data_safe_at),
        "restored_seconds": since_abuse(timings.restored_at),
        "closed_seconds": since_abuse(timings.closed_at),
        "objects_lost": float(data.lost),
        "objects_on_old_key": float(data.on_old_key),
        "downtime_seconds": workload.downtime_seconds,
        "failure_percent": 100 * workload.failures / workload.requests if workload.requests else None,
    }


def _overclaim(timings: DrillTimings, adversary: AdversaryScore) -> float | None:
    if timings.contained_claimed_at is None or adversary.last_success_at is None:
        return None
    return max(0.0, (adversary.last_success_at - timings.contained_claimed_at).total_seconds())


def _containment_fault(timings: DrillTimings, adversary: AdversaryScore) -> str:
    """Why containment does not stand; empty when it does."""
    claimed, last = timings.contained_claimed_at, adversary.last_success_at
    if claimed is not None and last is not None and last > claimed:
        late = (last - claimed).total_seconds()
        return f"false containment: the attacker still succeeded {late:.3f} s after it was claimed"
    if timings.contained_true_at is None:
        return "not contained: the attacker was not seen to be stopped"
    if claimed is None:
        return "not contained: the response never claimed it"
    return ""


def _doubts(attempts: Sequence[AdversaryAttempt], requests: Sequence[WorkloadRequest], course: Course) -> list[str]:
    """Everything that makes the run worthless as evidence, whatever it measured."""
    doubts = list(course.faults)
    if course.leaked_at is None:
        doubts.append("nothing was leaked")
    if not any(attempt.ok for attempt in attempts):
        doubts.append("the adversary never succeeded")
    if not course.adversary_ran_to_the_end:
        doubts.append("the adversary was not running to the end")
    if _reordered(attempts):
        doubts.append("the adversary's journal is not in order of time")
    if not any(request.ok for request in requests) or not course.workload_ran_to_the_end:
        doubts.append("the workload did not run to the end")
    return doubts


def _reordered(attempts: Sequence[AdversaryAttempt]) -> bool:
    return any(later.at < earlier.at for earlier, later in pairwise(attempts))


def _standing(identifier: str, sentence: str, fault: str) -> ObjectiveResult:
    return ObjectiveResult(
        id=identifier, sentence=sentence, metric=None, limit=None, measured=None, passed=not fault, note=fault
    )


def _judge(objective: Objective, measured: float | None) -> ObjectiveResult:
    passed = measured is not None and measured <= objective.limit
    note = ""
    if measured is None:
        note = "it did not happen, so it could not be measured"
    elif not passed:
        note = f"measured {measured:g}, at most {objective.limit:g} was asked for"
    return ObjectiveResult(
        id=objective.id,
        sentence=objective.sentence,
        metric=objective.metric,
        limit=objective.limit,
        measured=measured,
        passed=passed,
        note=note,
    )
