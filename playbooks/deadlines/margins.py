"""Deadline margin: deadline − filing, with the events that prove both ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from playbooks.deadlines.counting import Place
from playbooks.deadlines.rules import Rule, Rules
from playbooks.deadlines.standing import anchor
from playbooks.event_bodies import ClockStarted, DeadlineSettled, read_body
from playbooks.incident import Incident
from playbooks.oversight import Oversight
from playbooks.record import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """``margin`` is negative when the filing came late.

    ``from_seqs`` are the numbers of the events that started the clock, ``to_seq`` is the filing's.
    """

    rule: str
    regime: str
    due_at: datetime
    filed_at: datetime
    margin: timedelta
    from_seqs: tuple[int, ...]
    to_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filing:
    """A filing with a deadline: ``margin`` is deadline − filing, negative when it came late."""

    rule: Rule
    due_at: datetime
    filed_at: datetime

    @property
    def margin(self) -> timedelta:
        """How much time was left."""
        return self.due_at - self.filed_at


def filings(oversight: Oversight, rules: Rules, *, place: Place) -> Iterator[Filing]:
    """The filings of one incident in the order of the rules; what was not filed or has no clock is left out."""
    for rule in rules.rules:
        settled = oversight.settled.get(rule.id)
        if settled is not None and settled.outcome == "filed":
            _, due = anchor(rule, oversight, place)
            if due is not None:
                yield Filing(rule=rule, due_at=due, filed_at=settled.at)


def margins(events: Sequence[Event], rules: Rules, *, place: Place) -> tuple[Margin, ...]:
    """The margins of one incident, in the order of the rules; what was not filed or has no clock has none.

    Raises RecordError when the events contradict one another.
    """
    oversight = Incident.of(events).oversight
    clocks, filed = _seqs(events)
    return tuple(
        Margin(
            rule=each.rule.id,
            regime=each.rule.regime,
            due_at=each.due_at,
            filed_at=each.filed_at,
            margin=each.margin,
            from_seqs=_began(each.rule, clocks, filed),
            to_seq=filed[each.rule.id],
        )
        for each in filings(oversight, rules, place=place)
    )


def _seqs(events: Sequence[Event]) -> tuple[dict[str, int], dict[str, int]]:
    """The numbers of the events by trigger and by rule, the latest of each."""
    clocks, filings = {}, {}
    for event in events:
        body = read_body(event)
        if isinstance(body, ClockStarted):
            clocks[body.trigger] = event.seq
        elif isinstance(body, DeadlineSettled):
            filings[body.rule] = event.seq
    return clocks, filings


def _began(rule: Rule, clocks: dict[str, int], filings: dict[str, int]) -> tuple[int, ...]:
    if rule.starts.filing:
        return (filings[rule.starts.filing],)
    triggers = [rule.starts.trigger, *([rule.starts.no_later.trigger] if rule.starts.no_later else [])]
    return tuple(clocks[each] for each in triggers if each in clocks)
