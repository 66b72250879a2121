"""Where one step of a plan stands, and which event may follow which."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from playbooks.errors import RecordError
from playbooks.event_bodies import StepFailed, StepFinished, StepStarted
from playbooks.plans import Step
from playbooks.receipts import ProbeResult, Receipt

StepState = Literal["pending", "running", "proven", "done", "not-proven", "failed", "unavailable", "undone"]

_RANK = {"not-proven": 0, "done": 1, "proven": 2}


@dataclass(frozen=True, slots=True)
class StepStatus:
    """One step, computed from its events.

    ``attempts`` counts starts; ``owner`` and ``since`` belong to the latest one.  ``error``, ``code`` and ``retryable``
    are of the last failure and empty otherwise.  ``outputs`` are what later steps may refer to.
    """

    state: StepState = "pending"
    owner: str = ""
    attempts: int = 0
    since: datetime | None = None
    finished_at: datetime | None = None
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    receipt: Receipt | None = None
    probes: tuple[ProbeResult, ...] = ()
    error: str = ""
    code: str = ""
    retryable: bool = False
    detail: str = ""

    @classmethod
    def at_first(cls, step: Step) -> StepStatus:
        """A step that nothing happened to yet."""
        return cls(state="unavailable", detail=step.unavailable) if step.unavailable else cls()

    @property
    def succeeded(self) -> bool:
        """Did the effect happen, proven or not yet proven by a probe of its own (``done``)?"""
        return self.state in ("proven", "done")

    @property
    def runnable(self) -> bool:
        """May it run (again)?  A running one may: its owner can have died; a claim decides."""
        return self.state in ("pending", "running") or (self.state == "failed" and self.retryable)

    def started(self, body: StepStarted, at: datetime) -> StepStatus:
        """After a claim; RecordError when the step has succeeded, because nothing may run twice."""
        if self.succeeded:
            raise RecordError(f"step {body.step} starts again although it is {self.state}.")
        return replace(
            self, state="running", owner=body.owner, attempts=self.attempts + 1, since=at, error="", code="", detail=""
        )

    def finished(self, body: StepFinished, at: datetime) -> StepStatus:
        """After a result.

        A second result (an owner thought dead) never takes a better one back.  RecordError when it was never started.
        """
        if not self.attempts and body.outcome != "unavailable":
            raise RecordError(f"step {body.step} finishes although it never started.")
        if _RANK.get(self.state, -1) > _RANK.get(body.outcome, -1):
            return self
        return replace(
            self,
            state=body.outcome,
            finished_at=at,
            outputs=body.outputs,
            receipt=body.receipt,
            probes=body.probes,
            detail=body.detail,
            error="",
            code="",
        )

    def failed(self, body: StepFailed) -> StepStatus:
        """After a failure; one that comes after a success (an owner thought dead) changes nothing."""
        if not self.attempts:
            raise RecordError(f"step {body.step} fails although it never started.")
        if self.succeeded:
            return self
        return replace(self, state="failed", error=body.error, code=body.code, retryable=body.retryable)

    def undone(self, step_id: str, at: datetime) -> StepStatus:
        """After the reverse move; RecordError when there was nothing to take back."""
        if not self.attempts:
            raise RecordError(f"step {step_id} is undone although it never started.")
        return replace(self, state="undone", finished_at=at, probes=())


def carry_over(old: tuple[Step, ...], statuses: dict[str, StepStatus], new: tuple[Step, ...]) -> dict[str, StepStatus]:
    """Statuses for a new plan: a step that makes the same move on the same target keeps what it has achieved.

    Numbers may shift between plans, so steps are matched by (phase, action, target), in order where several agree.
    """
    known: dict[tuple[str, str, str], list[StepStatus]] = {}
    for step in old:
        known.setdefault((step.phase, step.action, step.target), []).append(statuses[step.id])
    carried: dict[str, StepStatus] = {}
    for step in new:
        waiting = known.get((step.phase, step.action, step.target), [])
        status = waiting.pop(0) if waiting else StepStatus()
        carried[step.id] = status if status.attempts else StepStatus.at_first(step)
    return carried
