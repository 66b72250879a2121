"""The timeline of an incident: one short sentence for each event that people care about, and no key's name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from playbooks import deeds
from playbooks import event_bodies as bodies
from playbooks.card_words import METHODS, WORDS, dataset_name, doing, exposed, names_of, number, sentence, without_names
from playbooks.errors import RecordError
from playbooks.event_bodies import Body, read_body
from playbooks.incident import Incident
from playbooks.plans import Action
from playbooks.record import Event


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: the number of its event, when it happened, and what happened."""

    seq: int
    at: datetime
    text: str


def entries(events: Iterable[Event], incident: Incident) -> list[Entry]:
    """All lines in order.  Events of bookkeeping (links, started steps, shards, deliveries that failed) have none."""
    names, told = names_of(incident), _Teller()
    found = []
    for event in events:
        try:
            text = told.tell(read_body(event))
        except RecordError:
            text = f"{event.kind} (its content cannot be read)"
        if text:
            found.append(Entry(event.seq, event.at, without_names(sentence(text), names)))
    return found


@dataclass(slots=True)
class _Teller:
    """Remembers what later events refer to: the actions of steps, the audiences of messages."""

    actions: dict[str, Action] = field(default_factory=dict)
    audiences: dict[str, str] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)

    def tell(self, body: Body) -> str:
        """The sentence, "" when the event is not for people."""
        told = self._of_case(body) or self._of_people(body) or self._of_deadlines(body)
        return told or self._of_messages(body) or self._of_steps(body)

    def _of_case(self, body: Body) -> str:
        match body:
            case bodies.IncidentOpened():
                return f"declared by {body.requested_by}, severity {body.severity}"
            case bodies.SignalReceived():
                leaked = ", in the open" if body.signal.publicly_leaked else ""
                return f"{body.signal.source} reported a finding{leaked}"
            case bodies.ExposureAdded():
                return f"exposed: {exposed([body.exposure.kind], keys=-1)}"
            case bodies.PlanMade():
                self.actions |= {step.id: step.action for step in body.plan.steps}
                return f"plan {body.plan.digest[:12]} made, {number(len(body.plan.steps), 'step')}"
            case bodies.Contained():
                left = f"; {number(len(body.not_shown), 'move')} not shown by any probe" if body.not_shown else ""
                return f"contained: {number(body.probes, 'probe')} refused{left}"
            case bodies.NotContained():
                return f"NOT contained: {'; '.join(each.rstrip('.') for each in body.reasons)}"
            case bodies.Renewed():
                return "new keys and credentials are in use"
            case bodies.DataSafe():
                return f"no object is under the old key any more ({number(len(body.datasets), 'dataset')})"
            case bodies.Restored():
                return f"every service works again ({len(body.consumers)})"
            case bodies.CensusTaken():
                census = body.census
                held = f"{census.on_new} of {number(census.objects, 'object')} verified under the new key"
                return f"counted {dataset_name(census.dataset)}: {held}"
            case bodies.Closed():
                return f"closed by {body.by}: {body.outcome}"
        return ""

    def _of_people(self, body: Body) -> str:
        match body:
            case bodies.ApprovalAsked():
                which = f" {body.digest[:12]}" if body.deed == deeds.APPROVE else ""
                return f"a passkey was asked of {body.approver} to {deeds.words(body.deed)}{which}"
            case bodies.Confirmed():
                return f"{body.by} confirmed ({METHODS.get(body.method, body.method)}): {deeds.words(body.deed)}"
            case bodies.ApprovalGiven():
                return f"{body.approver} approved plan {body.digest[:12]} ({METHODS.get(body.method, body.method)})"
            case bodies.ApprovalDenied():
                return f"{body.approver} said no to plan {body.digest[:12]}: {body.reason}"
            case bodies.GlassBroken():
                return f"{body.by} BROKE THE GLASS for plan {body.digest[:12]}: {body.reason}"
            case bodies.GlassReviewed():
                return f"{body.by} reviewed the broken glass: {body.verdict}"
            case bodies.Acknowledged():
                return f"{body.by} took the case"
            case bodies.Escalated():
                failed = f", in vain ({body.error})" if body.error else ""
                again = " again" if body.again else ""
                whom = body.person or "whoever is on call"
                return f"{whom} was called{again} (level {body.level}, {body.channel}){failed}"
            case bodies.AttemptRefused():
                return f"refused: {body.by} tried to {body.what} ({body.reason})"
            case bodies.Note():
                return f"{body.by} noted: {body.text}"
        return ""

    def _of_deadlines(self, body: Body) -> str:
        match body:
            case bodies.ClockStarted():
                return f"{body.by} started the clock {body.trigger}, from {_when(body.at)}"
            case bodies.DeadlineSettled(outcome="filed"):
                return f"{body.by} recorded that {body.rule} was filed, {_when(body.at)}"
            case bodies.DeadlineSettled():
                return f"{body.by} decided that {body.rule} is not due: {body.reason}"
            case bodies.DeadlineReminded(percent=100):
                return f"the deadline {body.rule} is OVER since {_when(body.due_at)}"
            case bodies.DeadlineReminded():
                return f"the deadline {body.rule} is due {_when(body.due_at)}: {body.percent} % of its time is used"
        return ""

    def _of_messages(self, body: Body) -> str:
        match body:
            case bodies.MessageDrafted():
                self.audiences[body.id] = body.audience
                return f"a message to {body.audience} is drafted and waits to be read"
            case bodies.MessageWithdrawn():
                return f"{body.by} withdrew the message to {self.audiences.get(body.id, 'somebody')}"
            case bodies.MessageQueued():
                self.audiences[body.id] = body.audience
                return f"{body.reviewed_by} released the message to {body.audience}" if body.reviewed_by else ""
            case bodies.MessageDelivered() if body.id not in self.delivered:
                self.delivered.add(body.id)
                return f"{self.audiences.get(body.id, 'somebody')} told by {body.channel.partition('#')[0]}"
        return ""

    def _of_steps(self, body: Body) -> str:
        match body:
            case bodies.StepFinished(outcome="proven"):
                one, _, shown = self._words(body.step)
                return f"1 {one}: {shown}"
            case bodies.StepFinished(outcome="not-proven"):
                return f"{self._doing(body.step)}: done, and NOT shown to hold"
            case bodies.StepFinished(outcome="unavailable"):
                return f"{self._doing(body.step)}: cannot be done here"
            case bodies.StepFinished():
                return f"{self._doing(body.step)}: done"
            case bodies.StepFailed():
                again = ", and is tried again" if body.retryable else ""
                return f"{self._doing(body.step)}: failed ({body.code or 'no code'}){again}"
            case bodies.StepUndone():
                return f"{self._doing(body.step)}: taken back"
        return ""

    def _words(self, step: str) -> tuple[str, str, str]:
        action = self.actions.get(step)
        return WORDS[action] if action is not None else ("step", "doing", "shown")

    def _doing(self, step: str) -> str:
        action = self.actions.get(step)
        return doing(action) if action is not None else f"step {step}"


def _when(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
