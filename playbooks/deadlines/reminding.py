"""Which reminder is owed: at 50, 80 and 100 % of a deadline's time, each once, and after a pause only the latest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from playbooks.deadlines.standing import Deadline
from playbooks.event_bodies import DeadlineReminded

Percent = Literal[50, 80, 100]
PERCENTS: tuple[Percent, ...] = (50, 80, 100)


@dataclass(frozen=True, slots=True)
class Reminder:
    """``percent`` of the deadline's time is used, and nobody was told."""

    deadline: Deadline
    percent: Percent


def owed(deadlines: Iterable[Deadline], told: Iterable[DeadlineReminded]) -> list[Reminder]:
    """What people must be told now.

    A deadline that was moved (a later classification, an edited rule) has another end, and is told of anew.
    """
    highest: dict[tuple[str, object], int] = {}
    for each in told:
        place = (each.rule, each.due_at)
        highest[place] = max(each.percent, highest.get(place, 0))
    found = []
    for deadline in deadlines:
        if not deadline.state.open or deadline.due_at is None:
            continue
        passed = [each for each in PERCENTS if deadline.used * 100 >= each]
        if passed and passed[-1] > highest.get((deadline.rule.id, deadline.due_at), 0):
            found.append(Reminder(deadline, passed[-1]))
    return found
