"""How long each phase of a response took, step by step, and what failed on the way; from the record alone.

A step counts from its first start to its last end, over every retry; waiting for people before its first start is part
of its phase, where an earlier step of the phase had begun, and of no step.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from playbooks.event_bodies import StepFailed, StepFinished, StepStarted, read_body
from playbooks.incident import Incident
from playbooks.plans import Phase
from playbooks.record import Event, EventKind

_KINDS = (EventKind.STEP_STARTED, EventKind.STEP_FINISHED, EventKind.STEP_FAILED)


class StepTime(BaseModel):
    """A step that was begun.

    ``seconds`` is None while it runs.  ``tries`` counts its starts, ``failures`` the ends that raised or left it
    unproven; ``seq`` is the latest event about it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    action: str
    seconds: float | None
    tries: int
    failures: int
    seq: int


class PhaseTime(BaseModel):
    """A phase that was begun: from its first step's start to its last step's end.

    ``reached``: every step of it that the plan can make succeeded.  ``running``: not so, and ``seconds`` is how long it
    had lasted at the last event, or at the end of the case; ``since`` is its start while the case is open.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    phase: Phase
    state: Literal["reached", "running"]
    seconds: float
    since: AwareDatetime | None
    seq: int
    steps: tuple[StepTime, ...]

    def lasted(self, now: datetime) -> float:
        """Seconds as of ``now`` (aware); what is over, or whose case is, lasts no longer."""
        return self.seconds if self.since is None else max(self.seconds, (now - self.since).total_seconds())


class _Told:
    """What the events tell of one step."""

    def __init__(self, at: datetime) -> None:
        self.begun = at
        self.ended: datetime | None = None
        self.tries = 0
        self.failures = 0
        self.seq = 0

    def take(self, body: object, event: Event) -> None:
        self.seq = event.seq
        if isinstance(body, StepStarted):
            self.tries += 1
            self.ended = None
            return
        self.ended = event.at
        self.failures += isinstance(body, StepFailed) or (
            isinstance(body, StepFinished) and body.outcome == "not-proven"
        )

    def time(self, step: str) -> StepTime:
        seconds = None if self.ended is None else (self.ended - self.begun).total_seconds()
        action = step.partition("-")[2]
        return StepTime(
            step=step, action=action, seconds=seconds, tries=self.tries, failures=self.failures, seq=self.seq
        )


def phase_times(events: Sequence[Event], *, incident: Incident | None = None) -> tuple[PhaseTime, ...]:
    """The phases that were begun, in their order; RecordError when the events contradict one another."""
    incident = incident or Incident.of(events)
    told: dict[str, _Told] = {}
    for event in events:
        if event.kind not in _KINDS:
            continue
        body = read_body(event)
        if isinstance(body, StepStarted):
            told.setdefault(body.step, _Told(event.at)).take(body, event)
        elif isinstance(body, StepFinished | StepFailed) and body.step in told:
            told[body.step].take(body, event)
    closed = incident.closed.at if incident.closed else None
    found = (_phase(phase, told, incident, until=closed or events[-1].at) for phase in Phase)
    return tuple(each for each in found if each is not None)


def _phase(phase: Phase, told: dict[str, _Told], incident: Incident, *, until: datetime) -> PhaseTime | None:
    mine = {step: each for step, each in told.items() if step.partition(".")[0] == phase.value}
    if not mine:
        return None
    begun = min(each.begun for each in mine.values())
    wanted = incident.plan.in_phase(phase) if incident.plan else ()
    over = all(incident.steps[each.id].succeeded for each in wanted if not each.unavailable)
    ends = [each.ended for each in mine.values() if each.ended is not None]
    over = over and len(ends) == len(mine)
    end = max(ends) if over else until
    return PhaseTime(
        phase=phase,
        state="reached" if over else "running",
        seconds=max(0.0, (end - begun).total_seconds()),
        since=None if over or incident.closed else begun,
        seq=max(each.seq for each in mine.values()),
        steps=tuple(each.time(step) for step, each in mine.items()),
    )
