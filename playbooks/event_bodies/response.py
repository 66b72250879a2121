"""Bodies of the response itself: what is exposed, the plan, its steps, and what was reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from playbooks.deeds import ClosingOutcome
from playbooks.event_bodies.body import Body
from playbooks.exposures import Exposure, Signal
from playbooks.keys import KeyFacts
from playbooks.plans import Plan
from playbooks.receipts import Census, ProbeResult, Receipt

StepOutcome = Literal["proven", "done", "not-proven", "unavailable"]


class IncidentOpened(Body):
    """The case begins; ``scenario`` is set by drills alone.

    ``origin`` names the request that opened it (a form's id, say), so that the same request opens nothing twice.
    ``virtual_time``: the times of its events were set and did not pass, which only an exercise may have.
    """

    codename: str
    severity: str
    exercise: bool
    requested_by: str
    playbook: str
    scenario: str = ""
    origin: str = ""
    virtual_time: bool = False

    @field_validator("virtual_time")
    @classmethod
    def _of_exercises_alone(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("exercise"):
            raise ValueError("a real case happens in real time, only an exercise may have virtual times")
        return value


class SignalReceived(Body):
    """A detector found something."""

    signal: Signal


class ExposureAdded(Body):
    """Something the attacker has, matched to the estate."""

    exposure: Exposure


class FactsRead(Body):
    """Facts of keys by their URI."""

    facts: dict[str, KeyFacts]


class PlanMade(Body):
    """A plan with its digest, which is computed again and must agree."""

    plan: Plan

    @field_validator("plan", mode="before")
    @classmethod
    def _digest_agrees(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        plan = Plan.model_validate({name: part for name, part in value.items() if name != "digest"})
        if value.get("digest") != plan.digest:
            raise ValueError("the plan's digest does not match its content")
        return plan


class StepStarted(Body):
    """The intent, durable before the effect; ``owner`` holds the claim, ``attempt`` counts from 1."""

    step: str
    attempt: int = Field(ge=1)
    owner: str


class StepFinished(Body):
    """The effect's result."""

    step: str
    outcome: StepOutcome
    receipt: Receipt | None = None
    probes: tuple[ProbeResult, ...] = ()
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    detail: str = ""


class StepFailed(Body):
    """The effect raised; ``retryable`` says whether the same call may succeed later."""

    step: str
    error: str
    code: str
    retryable: bool


class StepUndone(Body):
    """The step was taken back."""

    step: str
    receipt: Receipt | None = None


class ShardFinished(Body):
    """One shard of a step's dataset is rewritten."""

    step: str
    shard: int
    result: dict[str, JsonValue]


class CensusTaken(Body):
    """A dataset was counted."""

    census: Census


class Contained(Body):
    """Every containment probe was refused; ``not_shown`` says what no probe could try."""

    probes: int = Field(ge=0)
    not_shown: tuple[str, ...] = ()


class NotContained(Body):
    """The old key or credential still works, or nothing could show that it does not."""

    reasons: tuple[str, ...]


class Renewed(Body):
    """New keys and credentials are in use."""


class DataSafe(Body):
    """No object of these datasets is under the old key."""

    datasets: tuple[str, ...]


class Restored(Body):
    """These consumers work again."""

    consumers: tuple[str, ...]


class Closed(Body):
    """The case ends."""

    by: str
    outcome: ClosingOutcome
