"""What the record says, told live in sentences; what only a machine cares for is left out."""

from __future__ import annotations

from collections.abc import Callable

from playbooks.event_bodies import (
    ApprovalGiven,
    Body,
    CensusTaken,
    Closed,
    Contained,
    ExposureAdded,
    IncidentOpened,
    NotContained,
    PlanMade,
    SignalReceived,
    StepFailed,
    StepFinished,
    read_body,
)
from playbooks.record import Event, EventKind

_MILESTONES = {
    EventKind.RENEWED: "RENEWED: new keys and credentials are in use",
    EventKind.DATA_SAFE: "DATA SAFE: no object is left under the old key",
    EventKind.RESTORED: "RESTORED: the service says that it works",
}
_OUTCOMES = {"proven": "proven", "done": "done", "not-proven": "NOT PROVEN", "unavailable": "not possible"}


def tell(event: Event) -> str:
    """One line for people; "" when there is nothing to tell."""
    body = read_body(event)
    for kind, sentence in _SENTENCES.items():
        if isinstance(body, kind):
            return sentence(body)
    return _MILESTONES.get(event.kind, "")


def _finished(body: StepFinished) -> str:
    _, _, move = body.step.partition("-")
    detail = f"  {body.detail}" if body.detail else ""
    return f"{move.replace('-', ' ')}: {_OUTCOMES[body.outcome]}{detail}"


def _census(body: CensusTaken) -> str:
    census = body.census
    return f"census of {census.dataset}: {census.on_new} of {census.objects} objects under the new key"


_SENTENCES: dict[type[Body], Callable[..., str]] = {
    IncidentOpened: lambda body: f"opens the incident {body.codename}",
    SignalReceived: lambda body: f"signal: {body.signal.summary}",
    ExposureAdded: lambda body: f"exposed: {body.exposure.kind.value} {body.exposure.target}",
    PlanMade: lambda body: f"plan {body.plan.digest[:12]}: {len(body.plan.steps)} steps",
    ApprovalGiven: lambda body: f"approved by {body.approver}",
    StepFinished: _finished,
    StepFailed: lambda body: f"{body.step}: {body.error}",
    CensusTaken: _census,
    Contained: lambda body: f"CONTAINED, shown by {body.probes} probes",
    NotContained: lambda body: f"NOT CONTAINED: {'; '.join(body.reasons)}",
    Closed: lambda body: f"closed: {body.outcome}",
}
