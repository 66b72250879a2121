"""The one thing to do next so that a team is ready, and the command that does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from playbooks.readiness import STALE, KeyClass, Offer, Way


@dataclass(frozen=True, slots=True)
class Open:
    """An action that a review agreed on and nobody has settled."""

    incident: str
    text: str
    owner: str
    due: date


@dataclass(frozen=True, slots=True)
class Next:
    """What to do next, in a sentence, and the command that does it ("" when it is not a command)."""

    sentence: str
    command: str = ""


def what_next(classes: Sequence[KeyClass], actions: Sequence[Open], scheduled: Iterable[str], *, now: datetime) -> Next:
    """One thing: a drill that failed, one that never was, an overdue action, an old drill, one not scheduled."""
    if not classes:
        sentence = "Tell keyquell which keys there are: nothing can be ready without them."
        return Next(sentence, "keyquell inventory import FILE")
    ways = [(each, way, way.offer) for each in classes for way in each.ways]
    found = (
        _failed(ways),
        _never(ways),
        _overdue(actions, now.date()),
        _old(ways, now),
        _unscheduled(ways, frozenset(scheduled)),
        _bare(classes),
    )
    calm = Next("Nothing: every drill that there is was passed, is recent, and is scheduled.")
    return next((each for each in found if each is not None), calm)


_Ways = Sequence[tuple[KeyClass, Way, Offer | None]]


def _failed(ways: _Ways) -> Next | None:
    for each, way, offer in ways:
        if offer and way.last is not None and way.last.passed is False:
            sentence = f"Run {offer.scenario} again: the latest drill of it did not pass, and {_kept(each)}."
            return Next(sentence, _run(offer))
    return None


def _never(ways: _Ways) -> Next | None:
    for each, way, offer in ways:
        if offer and all(one.passed is None for one in way.drills):
            why = "no exercise of it was scored" if way.drills else "it was never drilled"
            return Next(f"Run {offer.scenario}: {why}, and {_kept(each)}.", _run(offer))
    return None


def _overdue(actions: Sequence[Open], today: date) -> Next | None:
    late = [each for each in actions if each.due < today]
    if not late:
        return None
    first = min(late, key=lambda each: (each.due, each.incident))
    return Next(f"{first.owner} is to finish what a review agreed on, due {first.due.isoformat()}: {first.text}")


def _old(ways: _Ways, now: datetime) -> Next | None:
    for _, way, offer in ways:
        if offer and way.last is not None and now - way.last.at > STALE:
            return Next(f"Run {offer.scenario} again: the last drill of it is over a year old.", _run(offer))
    return None


def _unscheduled(ways: _Ways, scheduled: frozenset[str]) -> Next | None:
    for _, _, offer in ways:
        if offer and offer.scenario not in scheduled:
            command = f"keyquell drill schedule {offer.scenario} --cron '0 6 * * 1'"
            return Next(f"Schedule {offer.scenario}, so that it stays practised.", command)
    return None


def _bare(classes: Sequence[KeyClass]) -> Next | None:
    bare = sum(all(way.offer is None for way in each.ways) for each in classes)
    if not bare:
        return None
    return Next(f"Write a scenario of your own: none practises {bare} of {len(classes)} classes of keys.")


def _kept(found: KeyClass) -> str:
    keys, data = found.keys, found.datasets
    words = f"{keys:,} {found.scheme} key{'s' if keys != 1 else ''}"
    words += f" with {data:,} dataset{'s' if data != 1 else ''}" if data else ""
    return f"{words} can be lost that way"


def _run(offer: Offer) -> str:
    return f"keyquell drill run {offer.scenario}"
