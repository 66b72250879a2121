"""What the body of each event kind must hold, checked when an event is written and when it is read.

Unknown names in a stored body are tolerated, so that an older keyquell reads a newer record; ``body_of`` refuses them,
because there they are a mistake in our own code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from playbooks.errors import RecordError
from playbooks.exposures import Exposure, Signal
from playbooks.keys import KeyFacts
from playbooks.plans import Plan
from playbooks.receipts import Census, ProbeResult, Receipt
from playbooks.record import Event, EventKind

StepOutcome = Literal["proven", "done", "not-proven", "unavailable"]
ClosingOutcome = Literal["recovered", "false-alarm", "not-contained"]


class Body(BaseModel):
    """Any event's body."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class IncidentOpened(Body):
    """The case begins; ``scenario`` is set by drills alone."""

    codename: str
    severity: str
    exercise: bool
    requested_by: str
    playbook: str
    scenario: str = ""


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


class ApprovalGiven(Body):
    """A person agreed to the plan of this digest."""

    approver: str = Field(min_length=1)
    digest: str
    method: str


class ApprovalDenied(Body):
    """A person said no to the plan of this digest."""

    approver: str = Field(min_length=1)
    digest: str
    reason: str


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


class MessageQueued(Body):
    """A message waits in the outbox."""

    id: str = Field(min_length=1)
    audience: str
    subject: str
    body: str


class MessageDelivered(Body):
    """A channel took the message."""

    id: str
    channel: str


class MessageFailed(Body):
    """A channel did not take the message; it is tried again."""

    id: str
    channel: str
    error: str


class Note(Body):
    """A person's or a component's remark."""

    text: str
    by: str


class Closed(Body):
    """The case ends."""

    by: str
    outcome: ClosingOutcome


MODELS: dict[EventKind, type[Body]] = {
    EventKind.INCIDENT_OPENED: IncidentOpened,
    EventKind.SIGNAL_RECEIVED: SignalReceived,
    EventKind.EXPOSURE_ADDED: ExposureAdded,
    EventKind.FACTS_READ: FactsRead,
    EventKind.PLAN_MADE: PlanMade,
    EventKind.APPROVAL_GIVEN: ApprovalGiven,
    EventKind.APPROVAL_DENIED: ApprovalDenied,
    EventKind.STEP_STARTED: StepStarted,
    EventKind.STEP_FINISHED: StepFinished,
    EventKind.STEP_FAILED: StepFailed,
    EventKind.STEP_UNDONE: StepUndone,
    EventKind.SHARD_FINISHED: ShardFinished,
    EventKind.CENSUS_TAKEN: CensusTaken,
    EventKind.CONTAINED: Contained,
    EventKind.NOT_CONTAINED: NotContained,
    EventKind.RENEWED: Renewed,
    EventKind.DATA_SAFE: DataSafe,
    EventKind.RESTORED: Restored,
    EventKind.MESSAGE_QUEUED: MessageQueued,
    EventKind.MESSAGE_DELIVERED: MessageDelivered,
    EventKind.MESSAGE_FAILED: MessageFailed,
    EventKind.NOTE: Note,
    EventKind.CLOSED: Closed,
}


def check_body(kind: EventKind, body: Mapping[str, Any]) -> Body:
    """The body as a typed object; RecordError names the kind and the field that is missing or wrong."""
    try:
        return MODELS[kind].model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise RecordError(f"the body of a {kind} event is wrong: {field}: {first['msg']}.") from error


def read_body(event: Event) -> Body:
    """A stored event's body as a typed object; RecordError names the event too."""
    try:
        return check_body(event.kind, event.body)
    except RecordError as error:
        raise RecordError(f"event {event.seq} of {event.incident}: {error.message}") from error


def body_of(kind: EventKind, **fields: Any) -> dict[str, JsonValue]:
    """The JSON body of an event from plain values and domain objects, checked, unknown names refused.

    Raises RecordError naming the field that is missing, unknown or wrong.
    """
    unknown = sorted(set(fields) - set(MODELS[kind].model_fields))
    if unknown:
        raise RecordError(f"the body of a {kind} event has no field {unknown[0]!r}.")
    plain = {name: _plain(value) for name, value in fields.items()}
    return check_body(kind, plain).model_dump(mode="json")


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
