"""One case on one small estate, written event by event: what the record would hold, without any server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pydantic import JsonValue

from integrations.records.sql import SqlRecords
from playbooks.estate import Estate
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.incident import Incident
from playbooks.planner import make_plan
from playbooks.plans import Action, Phase, Plan
from playbooks.playbook import catalog, choose
from playbooks.record import GENESIS, Event, EventKind

ID = "KQ-20260302-abcd"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY, CREDENTIAL = "aws-kms:cloud/k1", "aws-iam:cloud/svc-app/AKIAEXAMPLE1"
ESTATE = Estate.model_validate({
    "keys": [{"ref": KEY}],
    "datasets": [{"ref": "files:docs/invoices", "key": KEY, "envelope": "esdk", "backup_retention_days": 30}],
    "credentials": [{"ref": CREDENTIAL, "consumer": "app", "may_use": [KEY], "secret": "file:/run/old"}],
    "consumers": [{"name": "app", "channel": "services", "uses": [KEY], "credential_file": "file:/srv/app"}],
})  # fmt: skip
EXPOSURE = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=1.0)


class Case:
    """A record written event by event, and the incident that it tells."""

    def __init__(self, *, exercise: bool = False, virtual_time: bool = False, severity: str = "high") -> None:
        self.events: list[Event] = []
        self.note(
            EventKind.INCIDENT_OPENED, codename="calm-otter", severity=severity, exercise=exercise,
            requested_by="alice", playbook="kms-credential-leak", virtual_time=virtual_time,
        )  # fmt: skip
        self.note(EventKind.EXPOSURE_ADDED, exposure=EXPOSURE)
        self.plan: Plan = make_plan(
            incident_id=ID, exposures=[EXPOSURE], estate=ESTATE, facts={}, playbook=choose(catalog(), [EXPOSURE])
        )
        self.note(EventKind.PLAN_MADE, plan=self.plan)

    def note(self, kind: EventKind, **fields: object) -> None:
        """Add one event, a second after the last."""
        body: dict[str, JsonValue] = dict(body_of(kind, **fields))
        number = len(self.events)
        at = START + timedelta(seconds=number)
        previous = self.events[-1].hash if self.events else GENESIS
        event = Event.link(incident=ID, seq=number, at=at, kind=kind, body=body, prev=previous)
        self.events.append(event)

    def run(self, step: str, outcome: str = "proven") -> None:
        """One step begins and ends."""
        self.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
        self.note(EventKind.STEP_FINISHED, step=step, outcome=outcome)

    def fail(self, step: str, error: str, *, code: str = "", retryable: bool = False) -> None:
        """One step begins and fails."""
        self.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
        self.note(EventKind.STEP_FAILED, step=step, error=error, code=code, retryable=retryable)

    def steps(self, phase: Phase) -> list[str]:
        """The steps of a phase that can be made."""
        return [step.id for step in self.plan.in_phase(phase) if not step.unavailable]

    def named(self, action: Action) -> str:
        """The first step of an action."""
        return next(step.id for step in self.plan.steps if step.action is action)

    @property
    def incident(self) -> Incident:
        """What the events tell."""
        return Incident.of(self.events)

    def contained(self) -> None:
        """Every containing step is proven, and the record says so."""
        for step in self.steps(Phase.CONTAIN):
            self.run(step)
        self.note(EventKind.CONTAINED, probes=3, not_shown=())

    def write_to(self, records: SqlRecords) -> None:
        """The same events in a store; those that stand there already are not written again."""
        for event in self.events[len(records.events(ID)) :]:
            records.append_next(ID, kind=event.kind, body=event.body)
