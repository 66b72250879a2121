"""The parts of a report as plain rows for the template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.report.timeline import Moment, exactly, phase_name, since
from playbooks import deeds
from playbooks.errors import RecordError
from playbooks.event_bodies import ApprovalDenied, ApprovalGiven, Confirmed, read_body
from playbooks.incident import Incident
from playbooks.plans import Phase, Step
from playbooks.receipts import Outcome, ProbeResult
from playbooks.record import Event, verify_chain
from playbooks.step_status import StepStatus
from playbooks.timings import Timings
from simulations.results import DrillResult, ObjectiveResult

UNFINISHED = "not finished when this was written"
"""What a report says of a step that had not ended."""
_PROVABLE = (Phase.CONTAIN, Phase.VERIFY)


@dataclass(frozen=True, slots=True)
class Figure:
    """One number in large type."""

    value: str
    label: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step with its three times, counted from the incident's zero."""

    step: Step
    status: StepStatus
    requested: str
    accepted: str
    proven: str
    probes: tuple[str, ...]
    request_id: str

    @property
    def tone(self) -> str:
        """What colours the state."""
        return {"proven": "good", "done": "plain", "pending": "idle", "running": "idle", "unavailable": "idle"}.get(
            self.status.state, "bad"
        )


def moments(result: DrillResult | None, timings: Timings) -> list[Moment]:
    """The named moments; the truth about containment is known in drills alone."""
    named: list[tuple[datetime | None, str, str]] = []
    if result is not None:
        named += [
            (result.timings.leaked_at, "leaked", "bad"),
            (result.timings.first_abuse_at, "first abuse", "bad"),
            (result.adversary.last_success_at, "attacker's last success", "bad"),
        ]
    named += [
        (timings.detected_at, "detected", "plain"),
        (timings.declared_at, "declared", "plain"),
        (timings.contained_claimed_at, "CONTAINED", "good"),
        (timings.renewed_at, "renewed", "plain"),
        (timings.data_safe_at, "data safe", "good"),
        (timings.restored_at, "restored", "good"),
        (timings.closed_at, "closed", "plain"),
    ]
    return [Moment(at, label, tone) for at, label, tone in named if at is not None]


def drill_figures(result: DrillResult) -> list[Figure]:
    """The figures of a drill."""
    timings, adversary, data = result.timings, result.adversary, result.data
    safe = data.lost == 0 and data.verified == data.objects
    return [
        Figure(_span(timings.first_abuse_at, timings.detected_at), "first abuse → detected"),
        Figure(_span(timings.detected_at, timings.contained_claimed_at), "detected → contained, as claimed"),
        Figure(
            _span(timings.first_abuse_at, timings.contained_true_at),
            "first abuse → attacker's last success",
            "good" if timings.contained_true_at else "bad",
        ),
        Figure(f"{adversary.successes} of {adversary.attempts}", "attacker's tries that succeeded"),
        Figure(f"{data.verified} of {data.objects}", "objects verified byte for byte", "good" if safe else "bad"),
        Figure(f"{data.on_old_key}", "objects still on the old key", "bad" if data.on_old_key else "good"),
        Figure(f"{result.workload.downtime_seconds:.1f} s", "service down"),
        Figure(
            f"{result.workload.failures} of {result.workload.requests}",
            f"requests failed (p50 {_ms(result.workload.p50_ms)}, p99 {_ms(result.workload.p99_ms)})",
        ),
    ]


def incident_figures(timings: Timings) -> list[Figure]:
    """The figures of a real incident, where nobody saw the attacker's side."""
    start = timings.detected_at or timings.declared_at
    return [
        Figure(_span(start, timings.declared_at), "detected → declared"),
        Figure(
            _span(start, timings.contained_claimed_at),
            "detected → contained",
            "good" if timings.contained_claimed_at else "bad",
        ),
        Figure(_span(start, timings.renewed_at), "detected → renewed"),
        Figure(_span(start, timings.data_safe_at), "detected → data safe"),
        Figure(_span(start, timings.restored_at), "detected → restored"),
        Figure(_span(start, timings.closed_at), "detected → closed"),
    ]


def measured(objective: ObjectiveResult) -> str:
    """What was measured against which limit, with its unit."""
    if objective.metric is None:
        return ""
    unit = {"seconds": " s", "percent": " %"}.get(objective.metric.rsplit("_", 1)[-1], "")
    found = "—" if objective.measured is None else f"{objective.measured:.4g}{unit}"
    return f"{found} (at most {objective.limit:g}{unit})"


def step_rows(incident: Incident, zero: datetime) -> list[tuple[str, list[StepRow]]]:
    """The plan's steps by phase."""
    if incident.plan is None:
        return []
    found = []
    for phase in Phase:
        rows = [_row(step, incident.steps[step.id], zero) for step in incident.plan.in_phase(phase)]
        if rows:
            found.append((phase_name(phase), rows))
    return found


def decisions(events: Sequence[Event], zero: datetime) -> Iterator[tuple[str, str, str, str]]:
    """(when, who, decision, digest) of every approval, denial and confirmation, also of plans that were replaced."""
    for event in events:
        body = read_body(event)
        when = since((event.at - zero).total_seconds())
        if isinstance(body, ApprovalGiven):
            yield when, body.approver, f"approved ({body.method})", body.digest
        elif isinstance(body, ApprovalDenied):
            yield when, body.approver, f"denied: {body.reason}", body.digest
        elif isinstance(body, Confirmed):
            yield when, body.by, f"confirmed ({body.method}): {deeds.words(body.deed)}", body.digest


def not_shown(incident: Incident, result: DrillResult | None) -> list[tuple[str, str]]:
    """(subject, what was not shown or stays open): a report that hides these is worth nothing."""
    found = [("containment", each) for each in incident.not_shown]
    if incident.plan is not None:
        found += [("blast radius", each) for each in incident.plan.unknowns]
        found += [("stays exposed", each) for each in incident.plan.residual]
        for step in incident.plan.steps:
            found += [(step.id, why) for why in _open_points(step, incident.steps[step.id])]
    if result is None:
        found.append(("the attacker", "Whether the attacker still succeeds is known in drills alone; probes stood in."))
    else:
        found += [(f"objective {each.id}", each.note) for each in result.objectives if each.note]
    return list(dict.fromkeys(found))


def chain(events: Sequence[Event]) -> tuple[bool, str]:
    """Does the record verify, and its head or the reason."""
    try:
        return True, verify_chain(events)
    except RecordError as error:
        return False, str(error)


def _row(step: Step, status: StepStatus, zero: datetime) -> StepRow:
    receipt = status.receipt

    def at(moment: datetime | None) -> str:
        return "" if moment is None else exactly((moment - zero).total_seconds())

    requested = receipt.requested_at if receipt else status.since
    accepted = receipt.accepted_at if receipt else None
    proven = receipt.proven_at if receipt else None
    if proven is None and status.state == "proven":
        proven = status.finished_at
    request_id = receipt.request_id if receipt else ""
    return StepRow(step, status, at(requested), at(accepted), at(proven), _probe_words(status.probes), request_id)


def _probe_words(probes: Sequence[ProbeResult]) -> tuple[str, ...]:
    """Equal probes counted together: ``3 × Decrypt refused (DisabledException)``."""
    counted: dict[tuple[str, str, str, bool], int] = {}
    for probe in probes:
        place = (probe.operation, probe.outcome.value, probe.code, probe.as_expected)
        counted[place] = counted.get(place, 0) + 1
    return tuple(
        f"{'✓' if good else '✗'} {count} × {operation} {outcome}{f' ({code})' if code else ''}"
        for (operation, outcome, code, good), count in counted.items()
    )


def _open_points(step: Step, status: StepStatus) -> Iterator[str]:
    if step.unavailable:
        yield f"not possible: {step.unavailable}"
    elif status.state == "not-proven":
        yield f"done, but NOT PROVEN: {status.detail or 'the probes did not show it'}"
    elif status.state == "failed":
        yield f"failed: {status.error or status.code}"
    elif status.state in ("pending", "running"):
        yield UNFINISHED
    elif status.state == "done" and status.detail and step.phase in _PROVABLE:
        yield status.detail
    unclear = sum(1 for probe in status.probes if probe.outcome is Outcome.INCONCLUSIVE)
    if unclear:
        yield f"{unclear} of {len(status.probes)} probes were inconclusive (no answer, or throttled)"


def _span(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "—"
    return since(round((end - start).total_seconds(), 2)).removeprefix("+")


def _ms(value: float | None) -> str:
    return "—" if value is None else f"{value:.0f} ms"
