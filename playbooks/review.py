"""A post-incident review, and an exercise's after-action report, drafted from the record: every number with its event.

The structure follows NIST SP 800-61 r3 (lessons learned) and SP 800-84 (after-action reports): what happened, what was
proven, what was not, who decided, what is to be done.  Nobody's fault is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from playbooks.audit import Decision, decisions
from playbooks.incident import Incident
from playbooks.metrics.measure import Measure
from playbooks.metrics.measuring import measures_of
from playbooks.oversight import Action
from playbooks.record import Event, EventKind

PARTS = {
    "summary": "What happened, in three sentences that somebody who was not there understands.",
    "worked": "What worked, and should stay as it is?",
    "hindered": "What slowed the response, and what would have made it faster?",
    "luck": "Where was it luck?",
    "change": "What will be done differently; who does it, and until when?",
}
"""The parts that people write, and the question each answers."""

_MILESTONES = {
    EventKind.INCIDENT_OPENED: "The case was opened",
    EventKind.SIGNAL_RECEIVED: "A finding came in",
    EventKind.PLAN_MADE: "A plan was made",
    EventKind.ACKNOWLEDGED: "Somebody took the case",
    EventKind.CONTAINED: "Contained, by the probes",
    EventKind.NOT_CONTAINED: "Found not to be contained",
    EventKind.RENEWED: "New keys and credentials in use",
    EventKind.DATA_SAFE: "No object under the old key",
    EventKind.RESTORED: "Every consumer worked again",
    EventKind.GLASS_BROKEN: "The glass was broken",
    EventKind.CLOSED: "The case was closed",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: event ``seq``, ``after`` the first."""

    seq: int
    at: datetime
    after: timedelta
    what: str


@dataclass(frozen=True, slots=True)
class StepLine:
    """What became of a step: ``seq`` is the event that says so, None when nothing happened."""

    step: str
    title: str
    state: str
    seq: int | None
    probes: int


@dataclass(frozen=True, slots=True)
class Review:
    """All of a review.  ``written`` are the parts that people wrote, by name; "" where nobody has."""

    incident: Incident
    count: int
    moments: tuple[Moment, ...]
    measures: tuple[Measure, ...]
    steps: tuple[StepLine, ...]
    decisions: tuple[Decision, ...]
    actions: tuple[Action, ...]
    written: dict[str, str]
    written_by: str

    @property
    def title(self) -> str:
        """What the document is called."""
        sort = "After-action report" if self.incident.exercise else "Post-incident review"
        return f"{sort}: {self.incident.codename}"

    @property
    def unproven(self) -> tuple[StepLine, ...]:
        """Steps that ended without proof."""
        return tuple(each for each in self.steps if each.state not in ("proven", "unavailable"))

    @property
    def verdict(self) -> str:
        """The case in a sentence, claimed only as far as the record goes."""
        if self.incident.closed is None:
            return f"The case is still open: {self.incident.phase}."
        outcome = self.incident.closed.outcome.replace("-", " ")
        proven = sum(each.state == "proven" for each in self.steps)
        return f"Closed as {outcome}; {proven} of {len(self.steps)} steps are proven by probes."


def draft_review(events: Sequence[Event], *, now: datetime) -> Review:
    """The review as the record has it ``now``; RecordError when the events contradict one another or there are none."""
    incident = Incident.of(events)
    zero = events[0].at
    moments = tuple(
        Moment(each.seq, each.at, each.at - zero, _MILESTONES[each.kind]) for each in events if each.kind in _MILESTONES
    )
    version = incident.oversight.review
    return Review(
        incident=incident,
        count=len(events),
        moments=moments,
        measures=measures_of(events, now=now),
        steps=_steps(incident, events),
        decisions=tuple(reversed(decisions(events))),
        actions=tuple(incident.oversight.actions.values()),
        written={name: version[1].parts.get(name, "") if version else "" for name in PARTS},
        written_by=version[1].by if version else "",
    )


def _steps(incident: Incident, events: Sequence[Event]) -> tuple[StepLine, ...]:
    ends = (EventKind.STEP_FINISHED, EventKind.STEP_FAILED, EventKind.STEP_UNDONE)
    last = {str(each.body["step"]): each.seq for each in events if each.kind in ends}
    steps = incident.plan.steps if incident.plan else ()
    return tuple(
        StepLine(
            step=step.id,
            title=f"{step.action.value.replace('-', ' ')}: {step.target}",
            state=incident.steps[step.id].state,
            seq=last.get(step.id),
            probes=len(incident.steps[step.id].probes),
        )
        for step in steps
    )
