"""The words of a trace: which attributes, moments and kinds of error a span has; pure.

``error.type`` is OpenTelemetry's (semantic conventions, "Recording errors"); what has no convention is ``keyquell.*``.
"""

from __future__ import annotations

import re

from playbooks.event_bodies import Body, Contained, ExposureAdded, StepFailed, StepFinished, StepUndone
from playbooks.incident import Incident
from playbooks.receipts import ProbeResult
from playbooks.record import Event, EventKind
from playbooks.spans import Moment, Value

ENDING = frozenset({
    EventKind.STEP_STARTED, EventKind.STEP_FINISHED, EventKind.STEP_FAILED, EventKind.STEP_UNDONE,
    EventKind.APPROVAL_GIVEN, EventKind.APPROVAL_DENIED, EventKind.CONFIRMED, EventKind.CLOSED,
})  # fmt: skip
"""The events that may end a span; shards, of which there may be many, end none."""
OTHER = "_OTHER"
"""What the conventions say for an error whose kind has no name."""

_CODE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,63}")
_MILESTONES = frozenset({
    EventKind.EXPOSURE_ADDED, EventKind.ACKNOWLEDGED, EventKind.PLAN_MADE, EventKind.GLASS_BROKEN,
    EventKind.CONTAINED, EventKind.NOT_CONTAINED, EventKind.RENEWED, EventKind.DATA_SAFE, EventKind.RESTORED,
})  # fmt: skip


def about(incident: Incident, page: str) -> dict[str, Value]:
    """What every span of the incident says of it; nothing here changes while the case goes on."""
    link: dict[str, Value] = {"keyquell.incident.url": f"{page}/incidents/{incident.id}"} if page else {}
    return {
        "keyquell.incident.id": incident.id,
        "keyquell.incident.codename": incident.codename,
        "keyquell.incident.severity": incident.severity,
        "keyquell.exercise": incident.exercise,
        "keyquell.virtual_time": incident.virtual_time,
        **link,
    }


def milestone(event: Event, body: Body) -> list[Moment]:
    """The moment of the case's own span that an event is, if it is one."""
    if event.kind not in _MILESTONES:
        return []
    said: dict[str, Value] = {}
    match body:
        case ExposureAdded():
            said = {"keyquell.exposure.kind": body.exposure.kind.value}
        case Contained():
            said = {"keyquell.probes": body.probes}
    return [Moment(event.kind.value, event.at, said)]


def outcome_of_step(body: StepFinished | StepFailed) -> dict[str, Value]:
    """How an attempt ended: the record's own words for it."""
    if isinstance(body, StepFailed):
        return {"keyquell.step.outcome": "failed", "keyquell.step.retryable": body.retryable}
    changed: dict[str, Value] = {"keyquell.step.changed": body.receipt.changed} if body.receipt else {}
    return {"keyquell.step.outcome": body.outcome, **changed}


def shown(body: StepFinished | StepFailed | StepUndone) -> tuple[Moment, ...]:
    """When the backend accepted a move, what each probe showed, and when it was proven, in order of time."""
    if isinstance(body, StepFailed):
        return ()
    moments = [_tried(each) for each in body.probes] if isinstance(body, StepFinished) else []
    if body.receipt:
        moments.append(Moment("accepted", body.receipt.accepted_at))
        moments += [Moment("proven", body.receipt.proven_at)] if body.receipt.proven_at else []
    return tuple(sorted(moments, key=lambda each: each.at))


def what_failed(body: StepFinished | StepFailed) -> str:
    """The kind of a failure: the backend's code, or that nothing was proven; "" when nothing failed."""
    if isinstance(body, StepFailed):
        return kind_of_error(body.code)
    return body.outcome if body.outcome == "not-proven" else ""


def kind_of_error(code: str) -> str:
    """The code itself; what does not look like one may be text that somebody wrote, and is not repeated."""
    return code if _CODE.fullmatch(code) else OTHER


def _tried(probe: ProbeResult) -> Moment:
    code = {"keyquell.probe.code": kind_of_error(probe.code)} if probe.code else {}
    return Moment(
        "probe",
        probe.at,
        {
            "keyquell.probe.operation": probe.operation,
            "keyquell.probe.expected": probe.expected,
            "keyquell.probe.outcome": probe.outcome.value,
            **code,
        },
    )
