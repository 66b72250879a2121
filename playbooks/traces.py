"""An incident as a trace, from the record alone: the case, its phases, steps and gates as spans; pure.

A span is told once, by the event that ends it, and depends on nothing later: computed again it is the same.  It names
no key, no person and no text that anybody wrote; the incident's page has those.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from playbooks.deeds import APPROVE
from playbooks.event_bodies import (
    ApprovalAsked,
    ApprovalDenied,
    ApprovalGiven,
    Closed,
    Confirmed,
    PlanMade,
    StepFailed,
    StepFinished,
    StepStarted,
    StepUndone,
    read_body,
)
from playbooks.incident import Incident
from playbooks.plans import Phase, Step
from playbooks.record import Event
from playbooks.span_words import ENDING, about, kind_of_error, milestone, outcome_of_step, shown, what_failed
from playbooks.spans import Moment, Span, Value, span_id_of, trace_id_of

ROOT = "incident"
"""The name of the span that is the case."""


def spans_after(events: Sequence[Event], seq: int, *, page: str = "") -> list[Span]:
    """The spans that the events behind number ``seq`` end, in order.

    ``events`` is the whole record of one incident; ``page`` is the address of the web page, "" when there is none.
    Raises RecordError for a record that contradicts itself.
    """
    if not any(each.kind in ENDING for each in events if each.seq > seq):
        return []
    trace = _Trace(Incident.of(events[:1]), events[0], page)
    for event in events[1:]:
        trace.take(event)
    return [each for each in trace.spans if each.seq > seq]


@dataclass(slots=True)
class _Open:
    """A span that goes on: a phase, or an attempt at a step."""

    span_id: int
    parent_id: int
    begun: datetime
    attributes: dict[str, Value] = field(default_factory=dict)


class _Trace:
    """The record as read so far; ``spans`` are those that ended."""

    def __init__(self, incident: Incident, opening: Event, page: str) -> None:
        self.spans: list[Span] = []
        self._incident = incident
        self._unread: list[Event] = []
        self._id = trace_id_of(opening)
        self._root = _Open(span_id_of(self._id, ROOT, opening.seq), 0, opening.at)
        self._about = about(incident, page)
        self._milestones: list[Moment] = []
        self._phases: dict[Phase, _Open] = {}
        self._attempts: dict[str, _Open] = {}
        self._planned: dict[str, datetime] = {}
        self._asked: dict[str, tuple[datetime, ApprovalAsked]] = {}

    def take(self, event: Event) -> None:
        """Read the next event."""
        self._unread.append(event)
        body = read_body(event)
        self._milestones += milestone(event, body)
        match body:
            case PlanMade():
                self._planned.setdefault(body.plan.digest, event.at)
            case StepStarted():
                self._begin_attempt(event, body)
            case StepFinished() | StepFailed():
                self._end_attempt(event, body)
            case StepUndone():
                self._undo(event, body)
            case ApprovalAsked():
                self._asked[body.request] = (event.at, body)
            case ApprovalGiven() | ApprovalDenied() | Confirmed():
                self._decide(event, body)
            case Closed():
                self._close(event, body)

    def _now(self) -> Incident:
        """The incident after all that was taken; shards are many, so that events are read together."""
        if self._unread:
            self._incident, self._unread = self._incident.after(self._unread), []
        return self._incident

    def _step(self, step_id: str) -> Step:
        plan = self._now().plan
        assert plan is not None  # noqa: S101 - for the type checker: no step starts without one
        return plan.step(step_id)

    def _begin_attempt(self, event: Event, body: StepStarted) -> None:
        phase = self._step(body.step).phase
        if lost := self._attempts.pop(body.step, None):
            self._end(lost, event, self._step(body.step).action.value, error="superseded")
        if phase not in self._phases:
            self._phases[phase] = self._open(f"phase {phase.value}", event, self._root)
        attempt = self._open(f"step {body.step}", event, self._phases[phase])
        attempt.attributes.update({"keyquell.step.id": body.step, "keyquell.step.attempt": body.attempt})
        self._attempts[body.step] = attempt

    def _end_attempt(self, event: Event, body: StepFinished | StepFailed) -> None:
        """A second result, of an owner that was thought dead, ends nothing."""
        step = self._step(body.step)
        if attempt := self._attempts.pop(body.step, None):
            attempt.attributes.update(outcome_of_step(body))
            self._end(attempt, event, step.action.value, moments=shown(body), error=what_failed(body))
            self._end_phase_when_over(step.phase, event)

    def _end_phase_when_over(self, phase: Phase, event: Event) -> None:
        incident = self._now()
        steps = incident.plan.in_phase(phase) if incident.plan else ()
        if phase in self._phases and not any(incident.steps[each.id].runnable for each in steps):
            self._end_phase(phase, event)

    def _end_phase(self, phase: Phase, event: Event) -> None:
        incident = self._now()
        steps = [incident.steps[each.id] for each in incident.plan.in_phase(phase)] if incident.plan else []
        errors = [each.code or each.state for each in steps if each.state in ("failed", "not-proven")]
        self._end(self._phases.pop(phase), event, phase.value, error=kind_of_error(errors[0]) if errors else "")

    def _undo(self, event: Event, body: StepUndone) -> None:
        begun = min(body.receipt.requested_at, event.at) if body.receipt else event.at
        undone = self._open("undo", event, self._root, begun=begun)
        undone.attributes["keyquell.step.id"] = body.step
        moments = shown(body)
        self._end(undone, event, f"undo {self._step(body.step).action.value}", moments=moments)

    def _decide(self, event: Event, body: ApprovalGiven | ApprovalDenied | Confirmed) -> None:
        """From when somebody was asked; from the making of the plan when nobody was asked by name."""
        deed = body.deed if isinstance(body, Confirmed) else APPROVE
        by_name = self._planned.get(body.digest, event.at) if deed == APPROVE else event.at
        begun = self._asked_at(body) or by_name
        gate = self._open("gate", event, self._root, begun=begun)
        gate.attributes["keyquell.gate.outcome"] = "denied" if isinstance(body, ApprovalDenied) else "approved"
        gate.attributes["keyquell.gate.method"] = body.via if isinstance(body, ApprovalDenied) else body.method
        self._end(gate, event, f"gate {deed}")

    def _asked_at(self, body: ApprovalGiven | ApprovalDenied | Confirmed) -> datetime | None:
        """A no redeems no request: it answers the latest."""
        if not isinstance(body, ApprovalDenied):
            return self._asked[body.request][0] if body.request in self._asked else None
        wanted = (body.approver, body.digest, APPROVE)
        asked = [at for at, each in self._asked.values() if (each.approver, each.digest, each.deed) == wanted]
        return asked[-1] if asked else None

    def _close(self, event: Event, body: Closed) -> None:
        """What goes on still (a step of another host) ends later, below a phase that has ended."""
        for phase in list(self._phases):
            self._end_phase(phase, event)
        incident = self._now()
        self._root.attributes.update(
            {
                "keyquell.outcome": body.outcome,
                "keyquell.playbook": incident.playbook,
                "keyquell.exposure.kinds": tuple(sorted({each.kind.value for each in incident.exposures})),
                **({"keyquell.scenario": incident.scenario} if incident.scenario else {}),
            }
        )
        error = body.outcome if body.outcome == "not-contained" else ""
        self._end(self._root, event, ROOT, moments=tuple(self._milestones), error=error)

    def _open(self, kind: str, event: Event, parent: _Open, *, begun: datetime | None = None) -> _Open:
        return _Open(span_id_of(self._id, kind, event.seq), parent.span_id, begun or event.at)

    def _end(self, span: _Open, event: Event, name: str, *, moments: tuple[Moment, ...] = (), error: str = "") -> None:
        self.spans.append(
            Span(
                trace_id=self._id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                name=name,
                begun=span.begun,
                ended=event.at,
                attributes={**self._about, **span.attributes},
                seq=event.seq,
                moments=moments,
                error=error,
                exercise=self._incident.exercise,
            )
        )
