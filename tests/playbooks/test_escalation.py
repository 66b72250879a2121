"""Who is called when nobody takes the case: a table of moments."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from written_case import ESTATE, START, Case

from playbooks.escalation import GLASS_LEVEL, Call, CallPolicy, concerned, due, next_call, owed
from playbooks.record import EventKind
from playbooks.roster import Roster

ROSTER = Roster.model_validate({
    "people": [
        {"name": "ann", "roles": ["contain"]}, {"name": "ben"}, {"name": "eve", "left": "2026-01-01"},
        {"name": "kay"}, {"name": "alice", "roles": ["declare"]}, {"name": "lab", "roles": ["exercise"]},
    ],
    "escalation": {"people": ["ann", "eve", "ben"], "after_minutes": 5},
    "custodians": ["kay"],
})  # fmt: skip


def after(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def names(case: Case, minutes: float, roster: Roster | None = ROSTER, policy: CallPolicy | None = None) -> list[str]:
    calls = due(case.incident, roster=roster, policy=policy or CallPolicy(), now=after(minutes))
    return [f"{each.level} {each.name}" for each in calls]


def called(case: Case, level: int, *, person: str = "on-call", error: str = "") -> None:
    case.note(EventKind.ESCALATED, level=level, person=person, channel="pagerduty", error=error)


def test_whoever_is_on_call_is_called_at_once_and_only_once() -> None:
    """Level 0 needs no roster."""
    case = Case()
    assert names(case, 0) == names(case, 0, roster=None) == ["0 on-call"]
    called(case, 0)
    assert names(case, 4) == []


def test_the_next_is_called_after_the_pause_and_one_who_left_is_passed_over() -> None:
    """Levels keep their numbers, so that a change of the roster rings nobody twice."""
    case = Case()
    called(case, 0)
    assert names(case, 6) == ["1 ann"]
    called(case, 1, person="ann")
    assert names(case, 4) == []
    assert names(case, 6) == ["3 ben"]
    called(case, 3, person="ben")
    assert names(case, 4) == []


def test_when_the_last_has_not_acknowledged_it_begins_again_and_ends_after_the_repeats() -> None:
    """With levels of their own, so that each round rings; nobody is called for ever."""
    case, rung = Case(), []
    for minute in range(0, 600, 6):
        for call in due(case.incident, roster=ROSTER, policy=CallPolicy(), now=after(minute)):
            rung.append((call.level, call.name, call.again))
            body = {"level": call.level, "person": call.name, "channel": "pagerduty", "again": call.again}
            case.note(EventKind.ESCALATED, **body)
    assert rung == [
        (again * 100 + level, name, again)
        for again in range(3)
        for level, name in ((0, "on-call"), (1, "ann"), (3, "ben"))
    ]
    assert next_call(case.incident, roster=ROSTER, policy=CallPolicy(), now=after(600)) is None


@pytest.mark.parametrize(("people", "repeat"), [(["ann"], 0), ([], 5)])
def test_without_repeats_or_people_nobody_is_called_again(people: list[str], repeat: int) -> None:
    """Whoever is on call is called again by the pager's own policy."""
    order = {"people": people, "after_minutes": 5, "repeat": repeat}
    roster = Roster.model_validate({"people": [{"name": "ann"}], "escalation": order})
    case = Case()
    for level in range(len(people) + 1):
        called(case, level)
    assert names(case, 600, roster) == []


def test_somebody_who_takes_the_case_in_a_later_round_ends_it() -> None:
    """As in the first."""
    case = Case()
    for level in (0, 1, 3):
        called(case, level)
    assert names(case, 6) == ["100 on-call"]
    case.note(EventKind.ACKNOWLEDGED, by="ann", via="cli")
    assert names(case, 600) == []


@pytest.mark.parametrize("end", ["acknowledged", "closed"])
def test_nobody_is_called_any_more_once_somebody_has_the_case_or_it_is_over(end: str) -> None:
    """Whichever way they said so."""
    case = Case()
    if end == "acknowledged":
        case.note(EventKind.ACKNOWLEDGED, by="ann", via="cli")
    else:
        case.note(EventKind.CLOSED, by="ann", outcome="false-alarm")
    assert names(case, 600) == []


def test_a_call_that_nobody_took_is_made_again_with_growing_pauses_while_the_next_is_called_in_time() -> None:
    """A pager that is down costs no time of the escalation."""
    case = Case()
    called(case, 0, error="no answer")
    assert names(case, 0.1) == []
    assert names(case, 0.4) == ["0 on-call"]
    called(case, 0, error="no answer")
    assert names(case, 0.4) == []
    assert names(case, 6) == ["0 on-call", "1 ann"]


def test_a_call_that_a_second_pager_took_was_made() -> None:
    """The first one's failure stays in the record and rings nobody again."""
    case = Case()
    called(case, 0, error="no answer")
    called(case, 0)
    assert names(case, 4) == []


@pytest.mark.parametrize(
    ("case", "policy", "rings"),
    [
        (Case(exercise=True), CallPolicy(), False),
        (Case(exercise=True), CallPolicy(exercises=True), True),
        (Case(severity="low"), CallPolicy(), False),
        (Case(severity="low"), CallPolicy(from_severity="low"), True),
        (Case(severity="medium"), CallPolicy(), True),
        (Case(severity="unheard of"), CallPolicy(from_severity="critical"), True),
    ],
)
def test_an_exercise_and_a_small_case_call_nobody_unless_the_policy_says_so(
    case: Case, policy: CallPolicy, *, rings: bool
) -> None:
    """A severity that nobody foresaw rings."""
    assert bool(names(case, 0, policy=policy)) is rings


def test_custodians_are_called_when_the_glass_breaks_even_though_the_case_is_taken() -> None:
    """At levels of their own, and once."""
    case = Case()
    case.note(EventKind.ACKNOWLEDGED, by="ann", via="cli")
    case.note(EventKind.GLASS_BROKEN, by="ben", digest=case.plan.digest, reason="no passkey at hand")
    assert names(case, 0) == [f"{GLASS_LEVEL} kay"]
    called(case, GLASS_LEVEL, person="kay")
    assert names(case, 60) == []


def test_a_pager_is_told_what_happened_here_once() -> None:
    """Also when the record does not say that it rang: a kill in between leaves just that."""
    case = Case()
    assert owed(case.incident, "pagerduty", CallPolicy()) == ""
    case.note(EventKind.ACKNOWLEDGED, by="ann", via="slack")
    assert owed(case.incident, "pagerduty", CallPolicy()) == "acknowledge"
    case.note(EventKind.LINKED, surface="pagerduty", ids={"acknowledged": "2026-03-02T09:00:00Z"})
    assert owed(case.incident, "pagerduty", CallPolicy()) == ""
    case.note(EventKind.CLOSED, by="ann", outcome="false-alarm")
    assert owed(case.incident, "pagerduty", CallPolicy()) == "resolve"
    case.note(EventKind.LINKED, surface="pagerduty", ids={"resolved": "2026-03-02T09:00:00Z"})
    assert owed(case.incident, "pagerduty", CallPolicy()) == ""


def test_a_pager_is_told_nothing_of_a_case_that_rings_nobody_unless_it_rang() -> None:
    """A policy that was changed meanwhile leaves no alert behind."""
    case = Case(exercise=True)
    case.note(EventKind.CLOSED, by="ann", outcome="false-alarm")
    assert owed(case.incident, "pagerduty", CallPolicy()) == ""
    rang = Case(exercise=True)
    called(rang, 0)
    rang.note(EventKind.CLOSED, by="ann", outcome="false-alarm")
    assert owed(rang.incident, "pagerduty", CallPolicy()) == "resolve"


def test_who_is_called_next_is_known_beforehand() -> None:
    """For those who ask; nobody once somebody has the case."""
    case = Case()
    called(case, 0)
    found = next_call(case.incident, roster=ROSTER, policy=CallPolicy(), now=after(1))
    assert found is not None
    assert found == (Call(1, ROSTER.person("ann")), case.events[-1].at + timedelta(minutes=5))
    case.note(EventKind.ACKNOWLEDGED, by="ann", via="cli")
    assert next_call(case.incident, roster=ROSTER, policy=CallPolicy(), now=after(1)) is None


def test_a_case_is_shown_to_responders_owners_and_who_opened_it_and_to_nobody_who_left() -> None:
    """Exercise leads see exercises, custodians a broken glass."""
    estate = ESTATE.model_copy(update={"keys": (ESTATE.keys[0].model_copy(update={"owner": "ben"}),)})

    def shown(case: Case) -> list[str]:
        return [each.name for each in concerned(case.incident, estate=estate, roster=ROSTER, now=START)]

    case = Case()
    assert shown(case) == ["ann", "ben", "alice"]
    assert shown(Case(exercise=True)) == ["ann", "ben", "alice", "lab"]
    case.note(EventKind.GLASS_BROKEN, by="ben", digest=case.plan.digest, reason="no passkey at hand")
    assert shown(case) == ["ann", "ben", "kay", "alice"]
    assert concerned(case.incident, estate=estate, roster=None, now=START) == []
