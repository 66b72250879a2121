"""A signing key that can sign no more is not contained while forgeries signed in time are still accepted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.milestones import due
from playbooks.plans import Action, Phase, Plan
from playbooks.receipts import Outcome, ProbeResult
from playbooks.record import GENESIS, Event, EventKind

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Chain:
    """Events one second apart."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.events: list[Event] = []
        self.add(
            EventKind.INCIDENT_OPENED, codename="c", severity="high", exercise=True, requested_by="x", playbook="p"
        )
        self.add(EventKind.PLAN_MADE, plan=plan.model_dump(mode="json"))

    def add(self, kind: EventKind, **body: Any) -> None:
        self.events.append(
            Event.link(
                incident=self.plan.incident_id,
                seq=len(self.events),
                at=NOW + timedelta(seconds=len(self.events)),
                kind=kind,
                body=body_of(kind, **body),
                prev=self.events[-1].hash if self.events else GENESIS,
            )
        )

    def prove(self, step: str, subject: str) -> None:
        """Start a step and prove it."""
        refused = ProbeResult(subject=subject, operation="sign", expected="refused", outcome=Outcome.REFUSED, at=NOW)
        self.add(EventKind.STEP_STARTED, step=step, attempt=1, owner="o")
        probes = [refused.model_dump(mode="json")]
        self.add(EventKind.STEP_FINISHED, step=step, outcome="proven", probes=probes)

    def due(self) -> list[EventKind]:
        """The milestones that are justified now."""
        return [kind for kind, _ in due(Incident.of(self.events))]


def test_a_signing_key_is_contained_only_after_cutoff_and_revocation(
    cases: Mapping[str, Callable[[], Any]],
) -> None:
    """Turning the key off leaves what was signed before; the claim waits for relying parties to refuse it."""
    chain = Chain(cases["signing-key-leak"]().plan())
    ending = (Action.PUBLISH_CUTOFF, Action.REVOKE_CERTIFICATE)
    steps = [
        step
        for step in chain.plan.steps
        if (step.phase is Phase.CONTAIN or step.action in ending) and not step.unavailable
    ]
    assert {step.action for step in steps}.issuperset(ending)
    for step in sorted(steps, key=lambda step: step.action in ending):
        assert EventKind.CONTAINED not in chain.due()
        chain.prove(step.id, step.target)
    assert EventKind.CONTAINED in chain.due()


def test_other_keys_are_contained_by_their_containing_steps_alone(
    cases: Mapping[str, Callable[[], Any]],
) -> None:
    """A key that wraps data keys leaves nothing behind that relying parties would have to refuse."""
    chain = Chain(cases["kms-credential-leak"]().plan())
    for step in chain.plan.in_phase(Phase.CONTAIN):
        if not step.unavailable:
            chain.prove(step.id, step.target)
    assert EventKind.CONTAINED in chain.due()
