"""What managers and auditors added to a case: clocks, filings, reviews, actions, checkpoints; also after its end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime

from playbooks.errors import RecordError
from playbooks.event_bodies import (
    ActionAdded,
    ActionSettled,
    Body,
    CheckpointAnchored,
    CheckpointSigned,
    ClockStarted,
    DeadlineReminded,
    DeadlineSettled,
    ReviewWritten,
)


@dataclass(frozen=True, slots=True)
class Action:
    """Something to be done after a review; ``outcome`` is "" while it is open."""

    id: str
    text: str
    owner: str
    due: date
    by: str
    at: datetime
    seq: int
    outcome: str = ""
    settled_by: str = ""
    reason: str = ""


@dataclass(slots=True)
class Oversight:
    """``clocks`` is by trigger, ``settled`` by rule, ``reminded`` by rule and percent, ``actions`` by id.

    A clock is started once; a deadline may be settled again (a decision that none is due, and later a filing): the
    latest word counts, the record keeps them all.  ``review`` is the latest version with its event's number.
    """

    clocks: dict[str, ClockStarted] = field(default_factory=dict)
    settled: dict[str, DeadlineSettled] = field(default_factory=dict)
    reminded: frozenset[tuple[str, int]] = frozenset()
    review: tuple[int, ReviewWritten] | None = None
    actions: dict[str, Action] = field(default_factory=dict)
    checkpoints: tuple[CheckpointSigned, ...] = ()
    anchors: tuple[CheckpointAnchored, ...] = ()

    def take(self, body: Body, *, seq: int, at: datetime) -> None:
        """Take in one event; bodies of other kinds change nothing.  Raises RecordError on a contradiction."""
        match body:
            case ClockStarted():
                if body.trigger in self.clocks:
                    raise RecordError(f"the clock of {body.trigger} is started a second time.")
                self.clocks[body.trigger] = body
            case DeadlineSettled():
                self.settled[body.rule] = body
            case DeadlineReminded():
                self.reminded |= {(body.rule, body.percent)}
            case ReviewWritten():
                self.review = (seq, body)
            case ActionAdded():
                if body.action in self.actions:
                    raise RecordError(f"action {body.action} is added a second time.")
                self.actions[body.action] = Action(
                    body.action, body.text, body.owner, body.due, body.by, at=at, seq=seq
                )
            case ActionSettled():
                self._settle(body)
            case CheckpointSigned():
                self.checkpoints += (body,)
            case CheckpointAnchored():
                self.anchors += (body,)

    def copied(self) -> Oversight:
        """The same, to be taken further on its own."""
        return replace(self, clocks=dict(self.clocks), settled=dict(self.settled), actions=dict(self.actions))

    def _settle(self, body: ActionSettled) -> None:
        action = self.actions.get(body.action)
        if action is None:
            raise RecordError(f"action {body.action} is settled that nobody added.")
        self.actions[body.action] = replace(action, outcome=body.outcome, settled_by=body.by, reason=body.reason)
