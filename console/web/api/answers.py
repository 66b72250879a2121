"""What the API answers with: one model a thing, each a view of what the record computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Generic, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from playbooks.audit import Decision
from playbooks.incident import Incident
from playbooks.key_health import KeyHealth, Weakness
from playbooks.metrics.measure import Measure, MeasureName
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility
from playbooks.step_status import StepState
from playbooks.summary import Summary

_T = TypeVar("_T")
_R = TypeVar("_R")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listing(_Answer, Generic[_T]):
    """A part of a list: ``next`` is the offset of the next part, none at the end."""

    items: tuple[_T, ...]
    total: int = Field(ge=0)
    offset: int = Field(ge=0)
    next: int | None


def listing(found: Sequence[_R], offset: int, limit: int, made: Callable[[_R], _T]) -> Listing[_T]:
    """``limit`` things from the ``offset``-th on (zero-based)."""
    return page_of(found[offset : offset + limit], len(found), offset, limit, made)


def page_of(shown: Iterable[_R], total: int, offset: int, limit: int, made: Callable[[_R], _T]) -> Listing[_T]:
    """The things ``shown``, of a ``total``, which are ``limit`` or fewer from the ``offset``-th on."""
    ends = offset + limit
    return Listing(items=tuple(map(made, shown)), total=total, offset=offset, next=ends if ends < total else None)


class IncidentAnswer(_Answer):
    """One incident in a line; ``outcome`` is empty while it is open.

    Never pool exercises with real cases, nor an incident of virtual time with any other.
    """

    id: str
    codename: str
    severity: str
    exercise: bool
    virtual_time: bool
    scenario: str
    playbook: str
    phase: str
    requested_by: str
    outcome: str
    exposures: tuple[str, ...]
    targets: tuple[str, ...]
    events: int = Field(ge=1)
    opened_at: AwareDatetime
    detected_at: AwareDatetime | None
    acknowledged_at: AwareDatetime | None
    contained_at: AwareDatetime | None
    data_safe_at: AwareDatetime | None
    restored_at: AwareDatetime | None
    closed_at: AwareDatetime | None

    @classmethod
    def of(cls, case: Summary) -> Self:
        """From the summary."""
        named = {name: getattr(case, name) for name in cls.model_fields if name != "events"}
        return cls(**named, events=case.seq + 1)


class EventAnswer(_Answer):
    """One link of the incident's chain, as it is recorded; ``body`` depends on ``kind``."""

    seq: int
    at: AwareDatetime
    kind: str
    body: dict[str, object]
    prev: str
    hash: str


class EventsAnswer(_Answer):
    """Events in order; ask again with ``after`` set to ``next``, none when these were the last."""

    incident: str
    items: tuple[EventAnswer, ...]
    next: int | None


class ApprovalAnswer(_Answer):
    """A yes to the plan's digest."""

    approver: str
    method: str
    at: AwareDatetime


class StepAnswer(_Answer):
    """One move of the plan, where it stands, and the three times of its effect."""

    id: str
    phase: Phase
    action: Action
    target: str
    reversibility: Reversibility
    window_ends: datetime | None
    gate: Gate
    price: str
    why: str
    needs: tuple[str, ...]
    unavailable: str
    state: StepState
    attempts: int
    error: str
    requested_at: AwareDatetime | None
    accepted_at: AwareDatetime | None
    proven_at: AwareDatetime | None
    finished_at: AwareDatetime | None


class PlanAnswer(_Answer):
    """The current plan; ``approvals`` are those of this digest."""

    incident: str
    digest: str
    playbook: str
    playbook_version: int
    exposures: tuple[str, ...]
    unknowns: tuple[str, ...]
    residual: tuple[str, ...]
    approvals: tuple[ApprovalAnswer, ...]
    steps: tuple[StepAnswer, ...]

    @classmethod
    def of(cls, incident: Incident, plan: Plan) -> Self:
        """The plan of an incident, with the state of its steps."""
        shown = set(StepAnswer.model_fields)
        return cls(
            incident=incident.id,
            digest=plan.digest,
            playbook=plan.playbook,
            playbook_version=plan.playbook_version,
            exposures=plan.exposures,
            unknowns=plan.unknowns,
            residual=plan.residual,
            approvals=tuple(
                ApprovalAnswer(approver=each.approver, method=each.method, at=each.at) for each in incident.approvals
            ),
            steps=tuple(
                StepAnswer(**each.model_dump(include=shown), **_standing(incident, each.id)) for each in plan.steps
            ),
        )


def _standing(incident: Incident, step: str) -> dict[str, object]:
    status = incident.steps[step]
    times = ("requested_at", "accepted_at", "proven_at")
    return {
        "state": status.state,
        "attempts": status.attempts,
        "error": status.error,
        "finished_at": status.finished_at,
        **{name: getattr(status.receipt, name, None) for name in times},
    }


class MeasureAnswer(_Answer):
    """One span of one incident with its bounds, and the numbers of the events that prove them."""

    incident: str
    exercise: bool
    virtual_time: bool
    name: MeasureName
    state: Literal["reached", "running", "undefined"]
    lower_seconds: float | None
    upper_seconds: float | None
    from_seq: int | None
    to_seq: int | None
    why: str

    @classmethod
    def of(cls, case: Summary, measure: Measure) -> Self:
        """One measure of a case."""
        of_case = ("incident", "exercise", "virtual_time")
        named = {name: getattr(measure, name) for name in cls.model_fields if name not in of_case}
        return cls(incident=case.id, exercise=case.exercise, virtual_time=case.virtual_time, **named)


class KeyAnswer(_Answer):
    """One key of the inventory and what is wrong with it.

    ``algorithm`` is empty when no case has read the key, ``rotate_by`` (the last day of its cryptoperiod) when its age
    is not known or it protects nothing.
    """

    ref: str
    owner: str
    purpose: str
    algorithm: str
    rotate_by: date | None
    weaknesses: tuple[Weakness, ...]

    @classmethod
    def of(cls, key: KeyHealth) -> Self:
        """From key health."""
        return cls(**{name: getattr(key, name) for name in cls.model_fields})


class DecisionAnswer(_Answer):
    """Who decided what; ``chain`` and ``seq`` name the event that proves it, ``loud`` ones want a second look."""

    chain: str
    seq: int
    at: AwareDatetime
    who: str
    what: str
    loud: bool

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """From the audit."""
        return cls(**{name: getattr(decision, name) for name in cls.model_fields})
