"""How each deadline of a case stands: computed from the record and the rules, for a given moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from playbooks.deadlines.counting import Place, due_at
from playbooks.deadlines.rules import Rule, Rules
from playbooks.event_bodies import ClockStarted, DeadlineSettled
from playbooks.oversight import Oversight

SOON = 0.8
"""From this share of its time on, a deadline is due soon."""


class State(StrEnum):
    """How a deadline stands; the most urgent first."""

    OVERDUE = "overdue"
    DUE_SOON = "due soon"
    RUNNING = "running"
    WAITING = "waiting"
    FILED_LATE = "filed late"
    FILED = "filed"
    NOT_DUE = "not due"
    OFF = "off"

    @property
    def open(self) -> bool:
        """Does its clock run?"""
        return self in (State.OVERDUE, State.DUE_SOON, State.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One rule in one case.

    ``started_at`` and ``due_at`` are None while its anchor is missing; ``due_at`` also where the rule has no clock.
    ``used`` is the share of the time that has passed, 0 without a clock.  ``margin`` is deadline − filing: negative
    when it was filed late, None when there is none.  ``clock`` is who said that the trigger became true.  ``why`` says
    what it waits for, or why it is off.
    """

    rule: Rule
    state: State
    started_at: datetime | None = None
    due_at: datetime | None = None
    used: float = 0.0
    settled: DeadlineSettled | None = None
    margin: timedelta | None = None
    clock: ClockStarted | None = None
    why: str = ""

    @property
    def clockless(self) -> bool:
        """Promptly: nothing counts the time."""
        return self.rule.within is None


def standings(
    oversight: Oversight, rules: Rules, *, applies: Iterable[str], place: Place, now: datetime
) -> tuple[Deadline, ...]:
    """Every rule as it stands at ``now`` (aware), the most urgent first; ``applies`` are the organisation's regimes."""
    regimes = frozenset(applies)
    found = [_standing(each, oversight, rules, regimes, place, now) for each in rules.rules]
    order = list(State)
    return tuple(sorted(found, key=lambda each: (order.index(each.state), _urgency(each, now))))


def _urgency(deadline: Deadline, now: datetime) -> timedelta:
    """What has no clock comes after what has one."""
    return deadline.due_at - now if deadline.due_at else timedelta.max


def anchor(rule: Rule, oversight: Oversight, place: Place) -> tuple[datetime | None, datetime | None]:
    """When the rule's clock started and when it ends; None while nobody recorded that."""
    starts = rule.starts
    if starts.filing:
        before = oversight.settled.get(starts.filing)
        start = before.at if before is not None and before.outcome == "filed" else None
        return start, due_at(rule, start, place) if start else None
    clock = oversight.clocks.get(starts.trigger)
    own = (clock.at, due_at(rule, clock.at, place)) if clock else (None, None)
    cap = oversight.clocks.get(starts.no_later.trigger) if starts.no_later else None
    if cap is None or starts.no_later is None:
        return own
    latest = cap.at + timedelta(hours=starts.no_later.hours)
    if own[0] is None:
        return cap.at, latest
    if own[1] is None or own[0] > latest or own[1] <= latest:
        return own
    return min(own[0], cap.at), latest


def _standing(
    rule: Rule, oversight: Oversight, rules: Rules, applies: frozenset[str], place: Place, now: datetime
) -> Deadline:
    settled, clock = oversight.settled.get(rule.id), oversight.clocks.get(rule.starts.trigger)
    start, due = anchor(rule, oversight, place)
    if settled is not None and settled.outcome == "filed":
        margin = due - settled.at if due else None
        late = margin is not None and margin < timedelta()
        state = State.FILED_LATE if late else State.FILED
        return Deadline(
            rule=rule, state=state, started_at=start, due_at=due, settled=settled, margin=margin, clock=clock
        )
    if settled is not None:
        return Deadline(
            rule=rule,
            state=State.NOT_DUE,
            started_at=start,
            due_at=due,
            settled=settled,
            clock=clock,
            why=settled.reason,
        )
    if off := rule.objection(now) or ("" if rule.regime in applies else "the settings do not say that it applies"):
        return Deadline(rule=rule, state=State.OFF, why=off)
    if start is None:
        return _waiting(rule, oversight, rules)
    used = _used(start, due, now)
    return Deadline(rule=rule, state=_state(due, used, now), started_at=start, due_at=due, used=used, clock=clock)


def _state(due: datetime | None, used: float, now: datetime) -> State:
    if due is None:
        return State.RUNNING
    if now > due:
        return State.OVERDUE
    return State.DUE_SOON if used >= SOON else State.RUNNING


def _used(start: datetime, due: datetime | None, now: datetime) -> float:
    if due is None:
        return 0.0
    whole = (due - start).total_seconds()
    return max(0.0, (now - start).total_seconds()) / whole if whole > 0 else 1.0


def _waiting(rule: Rule, oversight: Oversight, rules: Rules) -> Deadline:
    """Its anchor is missing, or will never come: the filing it follows was decided not to be due."""
    if not rule.starts.filing:
        return Deadline(rule=rule, state=State.WAITING, why=rules.triggers[rule.starts.trigger])
    before = rules.rule(rule.starts.filing)
    title = before.title if before else rule.starts.filing
    decided = next(_decided_before(rule, oversight, rules), None)
    if decided is not None:
        return Deadline(rule=rule, state=State.NOT_DUE, why=f"it follows what was decided not to be due: {decided}")
    return Deadline(rule=rule, state=State.WAITING, why=f"It starts when this is filed: {title}")


def _decided_before(rule: Rule, oversight: Oversight, rules: Rules) -> Iterator[str]:
    """Reasons why a rule that this one follows, directly or not, is not due."""
    name = rule.starts.filing
    while name:
        settled, before = oversight.settled.get(name), rules.rule(name)
        if settled is not None and settled.outcome == "not-due":
            yield settled.reason
        name = before.starts.filing if before else ""
