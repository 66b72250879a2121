"""Who is called when, and who sees a case: decided from the record and the roster alone, so a kill changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from playbooks.blast_radius import Graph, blast_radius
from playbooks.dealings import Page
from playbooks.estate import ConsumerEntry, DatasetEntry, Estate, KeyEntry
from playbooks.incident import Incident
from playbooks.roster import MOST_REPEATS, ROUND_LEVELS, Escalation, Person, Role, Roster

SEVERITIES = ("low", "medium", "high", "critical")
ON_CALL = "on-call"
"""Whoever the pager's own schedule names, as the record calls them."""
GLASS_LEVEL = (MOST_REPEATS + 1) * ROUND_LEVELS
"""Custodians are called at levels from here on, apart from those of the escalation."""
_PER_GLASS = 50
_FIRST_RETRY = timedelta(seconds=15)

Severity = Literal["low", "medium", "high", "critical"]


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody to call now; ``person`` None is whoever is on call by the pager's own schedule."""

    level: int
    person: Person | None

    @property
    def name(self) -> str:
        """As the record calls them."""
        return self.person.name if self.person else ON_CALL

    @property
    def again(self) -> int:
        """How often everybody had been called in vain before; 0 for custodians, who are called once."""
        return again_of(self.level)


def again_of(level: int) -> int:
    """The times that the escalation had begun before this level's round."""
    return level // ROUND_LEVELS if level < GLASS_LEVEL else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """What rings at all: cases of this severity or graver, and exercises only when asked."""

    from_severity: Severity = "medium"
    exercises: bool = False

    def rings(self, incident: Incident) -> bool:
        """Does this case call anybody?  An unknown severity does."""
        if incident.exercise and not self.exercises:
            return False
        grave = SEVERITIES.index(incident.severity) if incident.severity in SEVERITIES else len(SEVERITIES)
        return grave >= SEVERITIES.index(self.from_severity)


def due(incident: Incident, *, roster: Roster | None, policy: CallPolicy, now: datetime) -> list[Call]:
    """The calls to make now.

    Level 0 is whoever is on call, at once; then the roster's escalation one after another, ``after_minutes`` after the
    level before was first tried, until somebody has acknowledged or the case is closed.  When the last has not, it
    begins again with whoever is on call, as often as the roster repeats it.  A level that no channel took is tried
    again, with growing pauses.  Custodians are called when the glass is broken, acknowledged or not.
    """
    if incident.closed is not None or not policy.rings(incident):
        return []
    escalation = roster.escalation if roster else Escalation()
    after = timedelta(minutes=escalation.after_minutes)
    found = [each for each in _custodians(incident, roster, now) if _tried_in_vain(incident, each.level, now, after)]
    if incident.people.acknowledged is not None:
        return found
    started = incident.opened_at
    for call in _ladder(roster, escalation, now):
        if call.level and now < started + after:
            break
        tries = _tries(incident, call.level)
        if _tried_in_vain(incident, call.level, now, after):
            found.append(call)
        if not tries:
            break
        started = tries[0].at
    return found


def next_call(
    incident: Incident, *, roster: Roster | None, policy: CallPolicy, now: datetime
) -> tuple[Call, datetime] | None:
    """Who is called next if nobody acknowledges, and when; None when nobody is."""
    if incident.closed is not None or incident.people.acknowledged is not None or not policy.rings(incident):
        return None
    escalation = roster.escalation if roster else Escalation()
    at = incident.opened_at
    for call in _ladder(roster, escalation, now):
        tries = _tries(incident, call.level)
        if not tries:
            return call, max(at, now)
        at = tries[0].at + timedelta(minutes=escalation.after_minutes)
    return None


def owed(incident: Incident, pager: str, policy: CallPolicy) -> Literal["", "acknowledge", "resolve"]:
    """What a pager has yet to be told: that somebody took the case, or that it is over.

    A pager that may have rung is told, though nothing in the record says that it did: a kill, or an answer that was
    lost, leaves just that.  Pagers drop what they do not know.
    """
    if not policy.rings(incident) and not any(each.channel == pager for each in incident.people.pages):
        return ""
    told = incident.people.links.get(pager, {})
    if incident.closed is not None:
        return "" if "resolved" in told else "resolve"
    if incident.people.acknowledged is not None and "acknowledged" not in told:
        return "acknowledge"
    return ""


def concerned(incident: Incident, *, estate: Estate, roster: Roster | None, now: datetime) -> list[Person]:
    """Those who should see the case: who may respond now, owners of what is in reach, custodians of a broken glass."""
    if roster is None:
        return []
    roles = [Role.CONTAIN, Role.APPROVE, Role.RETIRE] + ([Role.EXERCISE] if incident.exercise else [])
    found = [each for role in roles for each in roster.holders(role, now)]
    found += roster.reachable(_owners(incident, estate), now)
    found += roster.reachable(roster.custodians if incident.people.glass else (), now)
    taken = incident.people.acknowledged
    found += roster.reachable([incident.requested_by, *([taken.by] if taken else [])], now)
    unique = {each.name: each for each in found}
    return [each for each in roster.people if each.name in unique]


def _owners(incident: Incident, estate: Estate) -> set[str]:
    radius = blast_radius(estate, incident.exposures)
    graph = Graph.of(estate)
    found = (graph.find(each.name) for each in (*radius.keys, *radius.datasets, *radius.consumers))
    entries = (graph.entry(index) for index in found if index is not None)
    return {each.owner for each in entries if isinstance(each, KeyEntry | DatasetEntry | ConsumerEntry) and each.owner}


def _ladder(roster: Roster | None, escalation: Escalation, now: datetime) -> Iterator[Call]:
    """Levels in order; a level keeps its number when somebody before it has left.

    Where nobody is listed there is nothing to repeat: whoever is on call is called again by the pager's own policy.
    """
    for again in range(escalation.repeat + 1 if escalation.people else 1):
        yield Call(again * ROUND_LEVELS, None)
        for level, name in enumerate(escalation.people, start=again * ROUND_LEVELS + 1):
            for person in roster.reachable([name], now) if roster else ():
                yield Call(level, person)


def _custodians(incident: Incident, roster: Roster | None, now: datetime) -> Iterator[Call]:
    for broken, _ in enumerate(incident.people.glass):
        for number, name in enumerate(roster.custodians[:_PER_GLASS] if roster else ()):
            for person in roster.reachable([name], now) if roster else ():
                yield Call(GLASS_LEVEL + broken * _PER_GLASS + number, person)


def _tries(incident: Incident, level: int) -> Sequence[Page]:
    return [each for each in incident.people.pages if each.level == level]


def _tried_in_vain(incident: Incident, level: int, now: datetime, most: timedelta) -> bool:
    """Is this level to be called now: never tried, or not taken by any channel and the pause is over?"""
    tries = _tries(incident, level)
    if not tries:
        return True
    if any(not each.error for each in tries):
        return False
    moments = {each.at for each in tries}
    pause = min(_FIRST_RETRY * int(2 ** min(len(moments) - 1, 10)), most)
    return now >= max(moments) + pause
