"""The incident as its events tell it: one frozen value, computed from the record and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from pydantic import JsonValue

from playbooks.dealings import Dealings
from playbooks.deeds import APPROVE
from playbooks.errors import InvalidInput, RecordError
from playbooks.event_bodies import (
    ApprovalDenied,
    ApprovalGiven,
    Body,
    CensusTaken,
    Closed,
    Confirmed,
    Contained,
    ExposureAdded,
    FactsRead,
    IncidentOpened,
    MessageDelivered,
    MessageFailed,
    MessageQueued,
    NotContained,
    PlanMade,
    ShardFinished,
    SignalReceived,
    StepFailed,
    StepFinished,
    StepStarted,
    StepUndone,
    read_body,
)
from playbooks.exposures import Exposure, Signal
from playbooks.keys import KeyFacts
from playbooks.outgoing import OutboxMessage, post
from playbooks.oversight import Oversight
from playbooks.plans import Plan, Step
from playbooks.receipts import Census
from playbooks.record import Event, EventKind
from playbooks.step_status import StepStatus, carry_over

_REFERENCE = "step:"


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's yes to a plan digest; ``credential`` is the id of the passkey that gave it, "" when none did."""

    approver: str
    digest: str
    method: str
    at: datetime
    request: str = ""
    passkey_enrolled_at: datetime | None = None
    credential: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """A person's no to a plan digest."""

    approver: str
    digest: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Closing:
    """How and when the case ended."""

    outcome: str
    by: str
    at: datetime


@dataclass(slots=True, kw_only=True)
class Incident:
    """One case.  Treat it as a value: it is read again after every change of the record.

    ``approvals`` and ``denials`` are those of the current plan's digest.  ``contained_at``, ``renewed_at``,
    ``data_safe_at`` and ``restored_at`` fall back to None when a further exposure turns up; ``contained_at`` also when
    containment is found not to hold (``not_contained`` then says why).  ``shards_done`` is by step, then shard.
    ``people`` is what else people did, ``oversight`` what managers and auditors added; ``redeemed`` are the single-use
    requests that gave an approval.  ``head`` is the hash that the next append must expect.
    """

    id: str
    codename: str
    severity: str
    exercise: bool
    requested_by: str
    playbook: str
    opened_at: datetime
    head: str
    scenario: str = ""
    virtual_time: bool = False
    signals: tuple[Signal, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    facts: dict[str, KeyFacts] = field(default_factory=dict)
    plan: Plan | None = None
    approvals: tuple[Approval, ...] = ()
    denials: tuple[Denial, ...] = ()
    steps: dict[str, StepStatus] = field(default_factory=dict)
    shards_done: dict[str, dict[int, dict[str, JsonValue]]] = field(default_factory=dict)
    censuses: dict[str, Census] = field(default_factory=dict)
    contained_at: datetime | None = None
    not_shown: tuple[str, ...] = ()
    not_contained: tuple[str, ...] = ()
    renewed_at: datetime | None = None
    data_safe_at: datetime | None = None
    restored_at: datetime | None = None
    closed: Closing | None = None
    messages: dict[str, OutboxMessage] = field(default_factory=dict)
    people: Dealings = field(default_factory=Dealings)
    oversight: Oversight = field(default_factory=Oversight)
    origin: str = ""
    redeemed: frozenset[str] = frozenset()
    events: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> Incident:
        """Compute the incident from its events, in order and from the first.

        Raises RecordError when they are out of order, malformed or contradict one another.  Hashes are not computed
        again here: that is ``verify_chain``.
        """
        ordered = iter(events)
        first = next(ordered, None)
        if first is None:
            raise RecordError("there is no such incident: its record is empty.")
        incident = _opened(first, read_body(first))
        for event in ordered:
            _follow(incident, event)
        return incident

    def after(self, events: Iterable[Event]) -> Incident:
        """The incident once these further events have happened; this one stays as it is.  Raises like ``of``."""
        later = replace(
            self,
            facts=dict(self.facts),
            steps=dict(self.steps),
            shards_done={step: dict(done) for step, done in self.shards_done.items()},
            censuses=dict(self.censuses),
            messages={name: replace(each, failures=dict(each.failures)) for name, each in self.messages.items()},
            people=self.people.copied(),
            oversight=self.oversight.copied(),
        )
        for event in events:
            _follow(later, event)
        return later

    @property
    def phase(self) -> str:
        """Where the case is, in a word or two for people."""
        if self.closed:
            return f"closed: {self.closed.outcome}"
        started = any(status.attempts for status in self.steps.values())
        return next(
            word
            for word, holds in (
                ("not contained", bool(self.not_contained)),
                ("restored", self.contained_at and self.restored_at),
                ("data safe", self.contained_at and self.data_safe_at),
                ("renewed", self.contained_at and self.renewed_at),
                ("contained", self.contained_at),
                ("containing", started),
                ("planned", self.plan),
                ("assessing", self.signals or self.exposures),
                ("opened", True),
            )
            if holds
        )

    def next_steps(self) -> tuple[Step, ...]:
        """Steps that may run now, in plan order: needs succeeded, not finished; the caller checks gate and claim.

        A step that failed for good is not among them; ``steps`` shows it.
        """
        if self.plan is None or self.closed:
            return ()
        succeeded = {step_id for step_id, status in self.steps.items() if status.succeeded}
        return tuple(
            step for step in self.plan.steps if self.steps[step.id].runnable and succeeded.issuperset(step.needs)
        )

    def resolve_inputs(self, step: Step) -> dict[str, JsonValue]:
        """The step's inputs with every ``step:ID#name`` replaced by that step's output, also inside lists and objects.

        Raises InvalidInput when the step has not succeeded or has no such output.
        """
        return {name: self._resolve(value, step) for name, value in step.inputs.items()}

    def _resolve(self, value: JsonValue, step: Step) -> JsonValue:
        if isinstance(value, list):
            return [self._resolve(each, step) for each in value]
        if isinstance(value, dict):
            return {name: self._resolve(each, step) for name, each in value.items()}
        if not isinstance(value, str) or not value.startswith(_REFERENCE):
            return value
        source, _, name = value.removeprefix(_REFERENCE).partition("#")
        status = self.steps.get(source)
        if status is None or not status.succeeded or name not in status.outputs:
            state = status.state if status else "not in the plan"
            raise InvalidInput(
                f"step {step.id} needs the output {name!r} of step {source}, which is not there ({state})",
                hint="Finish that step first, or make the plan again.",
            )
        return status.outputs[name]


def _opened(event: Event, body: Body) -> Incident:
    if not isinstance(body, IncidentOpened) or event.seq != 0:
        raise RecordError(f"the record of {event.incident} does not begin with its opening.")
    return Incident(
        id=event.incident,
        codename=body.codename,
        severity=body.severity,
        exercise=body.exercise,
        requested_by=body.requested_by,
        playbook=body.playbook,
        scenario=body.scenario,
        virtual_time=body.virtual_time,
        origin=body.origin,
        opened_at=event.at,
        head=event.hash,
        events=1,
    )


def _follow(incident: Incident, event: Event) -> None:
    if (event.incident, event.seq, event.prev) != (incident.id, incident.events, incident.head):
        raise RecordError(f"event {event.seq} of {event.incident} does not follow what was read before it.")
    body = read_body(event)
    try:
        _apply(incident, event, body)
    except RecordError as error:
        raise RecordError(f"event {event.seq} of {event.incident}: {error.message}") from error
    incident.head, incident.events = event.hash, event.seq + 1


def _apply(incident: Incident, event: Event, body: Body) -> None:
    incident.people.take(body, event.at)
    incident.oversight.take(body, seq=event.seq, at=event.at)
    if incident.closed and event.kind in _BARRED_AFTER_CLOSING:
        raise RecordError(f"{event.kind} comes after the incident was closed.")
    match body:
        case IncidentOpened():
            raise RecordError("the incident is opened a second time.")
        case SignalReceived():
            incident.signals += (body.signal,)
        case ExposureAdded():
            _add_exposure(incident, body.exposure)
        case FactsRead():
            incident.facts.update(body.facts)
        case PlanMade():
            _take_plan(incident, body.plan)
        case ApprovalGiven() | ApprovalDenied():
            _note_decision(incident, body, event.at)
        case Confirmed():
            if body.request:
                _redeem(incident, body.request, who=body.by, digest=body.digest, deed=body.deed)
        case StepStarted() | StepFinished() | StepFailed() | StepUndone():
            _advance_step(incident, body, event.at)
        case ShardFinished():
            _status(incident, body.step)
            incident.shards_done.setdefault(body.step, {})[body.shard] = body.result
        case CensusTaken():
            incident.censuses[body.census.dataset] = body.census
        case MessageQueued() | MessageDelivered() | MessageFailed():
            post(incident.messages, body)
        case Closed():
            incident.closed = Closing(body.outcome, body.by, event.at)
        case _:
            _reach(incident, event, body)


_BARRED_AFTER_CLOSING = frozenset({EventKind.CLOSED, EventKind.STEP_STARTED, EventKind.PLAN_MADE})


def _add_exposure(incident: Incident, exposure: Exposure) -> None:
    others = tuple(each for each in incident.exposures if (each.kind, each.target) != (exposure.kind, exposure.target))
    if len(others) == len(incident.exposures):
        incident.contained_at = incident.renewed_at = incident.data_safe_at = incident.restored_at = None
    incident.exposures = (*others, exposure)


def _take_plan(incident: Incident, plan: Plan) -> None:
    if plan.incident_id != incident.id:
        raise RecordError(f"the plan belongs to {plan.incident_id}.")
    old = incident.plan.steps if incident.plan else ()
    if incident.plan is None or incident.plan.digest != plan.digest:
        incident.approvals, incident.denials = (), ()
    incident.steps = carry_over(old, incident.steps, plan.steps)
    incident.plan = plan


def _note_decision(incident: Incident, body: ApprovalGiven | ApprovalDenied, at: datetime) -> None:
    if incident.plan is None:
        raise RecordError("somebody decides on a plan that was never made.")
    if isinstance(body, ApprovalGiven) and body.request:
        _redeem(incident, body.request, who=body.approver, digest=body.digest, deed=APPROVE)
    if body.digest != incident.plan.digest:
        return
    if isinstance(body, ApprovalGiven):
        incident.approvals += (
            Approval(
                body.approver,
                body.digest,
                body.method,
                at,
                request=body.request,
                passkey_enrolled_at=body.passkey_enrolled_at,
                credential=body.assertion.credential_id if body.assertion else "",
            ),
        )
    else:
        incident.denials += (Denial(body.approver, body.digest, body.reason, at),)


def _redeem(incident: Incident, request: str, *, who: str, digest: str, deed: str) -> None:
    asked = incident.people.asked.get(request)
    if asked is None or (asked.approver, asked.digest, asked.deed) != (who, digest, deed):
        raise RecordError(f"{who} redeems a request that was not made to them for this.")
    if request in incident.redeemed:
        raise RecordError("one request is used twice.")
    incident.redeemed |= {request}


def _status(incident: Incident, step_id: str) -> StepStatus:
    if step_id not in incident.steps:
        raise RecordError(f"the plan has no step {step_id}.")
    return incident.steps[step_id]


def _advance_step(incident: Incident, body: StepStarted | StepFinished | StepFailed | StepUndone, at: datetime) -> None:
    status = _status(incident, body.step)
    match body:
        case StepStarted():
            advance = partial(status.started, body, at)
        case StepFinished():
            advance = partial(status.finished, body, at)
        case StepFailed():
            advance = partial(status.failed, body)
        case StepUndone():
            advance = partial(status.undone, body.step, at)
    incident.steps[body.step] = advance()


def _reach(incident: Incident, event: Event, body: Body) -> None:
    match body:
        case Contained():
            incident.contained_at = incident.contained_at or event.at
            incident.not_contained, incident.not_shown = (), body.not_shown
        case NotContained():
            incident.contained_at, incident.not_contained = None, body.reasons
    match event.kind:
        case EventKind.RENEWED:
            incident.renewed_at = incident.renewed_at or event.at
        case EventKind.DATA_SAFE:
            incident.data_safe_at = incident.data_safe_at or event.at
        case EventKind.RESTORED:
            incident.restored_at = incident.restored_at or event.at
