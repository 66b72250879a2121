"""How deadlines stand: what waits, runs, is late, was filed or decided; which reminder is owed; margins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playbooks.deadlines.counting import Place
from playbooks.deadlines.margins import margins
from playbooks.deadlines.reminding import owed
from playbooks.deadlines.rules import load_rules, own_rules
from playbooks.deadlines.standing import Deadline, State, standings
from playbooks.errors import InvalidInput
from playbooks.event_bodies import ClockStarted, DeadlineReminded, DeadlineSettled, body_of
from playbooks.oversight import Oversight
from playbooks.record import GENESIS, Event, EventKind

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
ALL = tuple(own_rules().regimes)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def started(**clocks: datetime) -> Oversight:
    """These triggers were recorded."""
    found = {name.replace("_", "-"): at for name, at in clocks.items()}
    return Oversight(clocks={name: ClockStarted(trigger=name, at=at, by="mei") for name, at in found.items()})


def settle(oversight: Oversight, rule: str, at: datetime, *, outcome: Any = "filed", reason: str = "") -> Oversight:
    """This deadline was settled."""
    oversight.settled[rule] = DeadlineSettled(rule=rule, outcome=outcome, at=at, by="mei", reason=reason)
    return oversight


def look(
    oversight: Oversight, rule: str, *, after: timedelta, applies: tuple[str, ...] = ALL, place: Place | None = None
) -> Deadline:
    """One deadline so long after 9 o'clock."""
    found = standings(oversight, own_rules(), applies=applies, place=place or Place(), now=AT + after)
    return next(each for each in found if each.rule.id == rule)


# --- the file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", own_rules().rules, ids=lambda each: each.id)
def test_every_rule_has_a_source_a_date_and_words(rule: Any) -> None:
    """Who it is for, who is told, what holds while the anchor is missing; a link to read on."""
    assert rule.source.name
    assert rule.source.url.startswith("https://")
    assert datetime(2026, 1, 1, tzinfo=UTC).date() <= rule.read_on
    assert all((rule.title, rule.condition, rule.recipient, rule.missing))


def test_every_trigger_and_every_regime_is_used() -> None:
    """A name that no rule uses would wait for ever."""
    rules = own_rules()
    limits = {each.starts.no_later.trigger for each in rules.rules if each.starts.no_later}
    assert {each.starts.trigger for each in rules.rules} - {""} | limits == set(rules.triggers)
    assert {each.regime for each in rules.rules} == set(rules.regimes)


def test_what_is_not_in_force_ships_switched_off() -> None:
    """CIRCIA has no final rule yet."""
    off = {each.id for each in own_rules().rules if not each.in_force}
    assert off == {"circia-incident", "circia-payment"}
    assert not any(each.enabled for each in own_rules().rules if each.id in off)


HEAD = "regimes: {a: A}\ntriggers: {t: T}\nrules:\n"
RULE = (
    "  - {id: r, regime: a, title: T, condition: C, starts: {trigger: t}, within: {amount: 1, unit: hours}, counting: "
    "elapsed, recipient: R, missing: M, source: {name: S}, read_on: 2026-11-24, confidence: memory}\n"
)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("confidence:", "confidense:", "no such field. Did you mean 'confidence'?"),
        ("confidence: memory", "confidence: sure", "expected one of primary, secondary, memory"),
        (", read_on: 2026-11-24", "", "read_on: this field is required"),
        ("trigger: t", "trigger: u", "names the trigger 'u'"),
        ("regime: a", "regime: b", "names the regime 'b'"),
        ("trigger: t", "filing: r", "waits for its own filing"),
        ("{trigger: t}", "{trigger: t, filing: r}", "starts by a trigger"),
        ("unit: hours", "unit: months", "goes in hours or days"),
        ("within: {amount: 1, unit: hours}, ", "", "needs within"),
        ("counting: elapsed", "counting: promptly", "without within"),
        ("confidence: memory", "confidence: memory, cutoff: '17:30'", "cutoff belongs"),
        ("confidence: memory", "confidence: memory, cutoff: 17:30", "in quotes"),
        ("confidence: memory", "confidence: memory, zone: Mars/Base", "no time zone"),
        ("source: {name: S}", "source: {name: S, url: 'javascript:x'}", "url"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line_and_the_way_out(before: str, after: str, said: str) -> None:
    """Nothing of it is taken."""
    load_rules(HEAD + RULE, file="own.yaml")
    with pytest.raises(InvalidInput, match=r"own\.yaml:") as caught:
        load_rules(HEAD + RULE.replace(before, after), file="own.yaml")
    assert said in caught.value.message
    assert "deadline rules --check" in caught.value.hint


def test_a_rule_that_stands_there_twice_is_refused() -> None:
    """Nobody could tell which one counts."""
    with pytest.raises(InvalidInput, match="twice"):
        load_rules(HEAD + RULE + RULE, file="own.yaml")


# --- states ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "state"),
    [(0, State.RUNNING), (57.5, State.RUNNING), (57.6, State.DUE_SOON), (72, State.DUE_SOON), (72.1, State.OVERDUE)],
)
def test_a_clock_runs_is_due_soon_and_is_overdue(after: float, state: State) -> None:
    """Soon from 80 % on; the last moment is still in time."""
    found = look(started(personal_data_aware=AT), "gdpr-authority", after=hours(after))
    assert found.state is state
    assert found.due_at == AT + hours(72)
    assert found.used == pytest.approx(after / 72)


def test_nothing_runs_before_somebody_says_when_it_began() -> None:
    """It says what is missing, in words."""
    found = look(Oversight(), "gdpr-authority", after=hours(900))
    assert found.state is State.WAITING
    assert "became aware" in found.why


@pytest.mark.parametrize(("filed", "state"), [(71, State.FILED), (72, State.FILED), (73, State.FILED_LATE)])
def test_a_filing_has_a_margin(filed: float, state: State) -> None:
    """Deadline − filing; negative when it came late."""
    oversight = settle(started(personal_data_aware=AT), "gdpr-authority", AT + hours(filed))
    found = look(oversight, "gdpr-authority", after=hours(100))
    assert (found.state, found.margin) == (state, hours(72 - filed))


def test_a_decision_that_nothing_is_due_stands_with_its_reason() -> None:
    """And it holds for what would have followed that filing."""
    oversight = settle(started(significant_incident_aware=AT), "nis2-notification", AT, outcome="not-due", reason="no")
    assert look(oversight, "nis2-notification", after=hours(80)).state is State.NOT_DUE
    final = look(oversight, "nis2-final", after=hours(80))
    assert (final.state, final.why) == (State.NOT_DUE, "it follows what was decided not to be due: no")


def test_a_final_report_starts_with_the_filing_before_it() -> None:
    """A month after the notification was filed, not after it was due."""
    oversight = settle(started(significant_incident_aware=AT), "nis2-notification", AT + hours(60))
    found = look(oversight, "nis2-final", after=hours(61))
    assert found.due_at == datetime(2026, 12, 26, 23, 59, 59, tzinfo=UTC)
    assert look(started(significant_incident_aware=AT), "nis2-final", after=hours(61)).state is State.WAITING


def test_dora_goes_from_report_to_report() -> None:
    """72 hours after the initial notification, then a month that a weekend extends."""
    oversight = settle(started(dora_classified=AT), "dora-initial", AT + hours(3))
    assert look(oversight, "dora-intermediate", after=hours(4)).due_at == AT + hours(75)
    settle(oversight, "dora-intermediate", AT + hours(50))  # 26 November; 26 December is a Saturday
    found = look(oversight, "dora-final", after=hours(51), place=Place("UTC", "DE"))
    assert found.due_at == datetime(2026, 12, 28, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("aware", "classified", "due"),
    [
        (0, 1, 5),  # four hours from classification come first
        (0, 22, 24),  # a day from awareness comes first
        (0, 24, 24),
        (0, 24.1, 28.1),  # classified after that day: four hours from classification
        (0, 70, 74),
        (0, None, 24),  # not classified yet: the day is counted
        (None, 2, 6),  # nobody recorded awareness
    ],
)
def test_the_earlier_of_two_ends_counts_unless_the_classification_came_late(
    aware: float | None, classified: float | None, due: float
) -> None:
    """DORA, Delegated Regulation 2025/301, Article 5."""
    clocks = {"dora_aware": aware, "dora_classified": classified}
    oversight = started(**{name: AT + hours(at) for name, at in clocks.items() if at is not None})
    assert look(oversight, "dora-initial", after=hours(1)).due_at == AT + hours(due)


def test_what_has_no_clock_runs_without_an_end() -> None:
    """Promptly: it is open until it is done, and reminds nobody."""
    found = look(started(account_key_compromise=AT), "pci-dss-key", after=hours(500))
    assert (found.state, found.due_at, found.clockless) == (State.RUNNING, None, True)
    assert owed([found], []) == []
    done = look(settle(started(account_key_compromise=AT), "pci-dss-key", AT), "pci-dss-key", after=hours(1))
    assert (done.state, done.margin) == (State.FILED, None)


def test_what_does_not_apply_or_is_not_in_force_is_off_and_says_why() -> None:
    """Also a rule that comes into force later, or one that counsel switched off."""
    clocks = started(personal_data_aware=AT, circia_believed=AT)
    assert look(clocks, "gdpr-authority", after=hours(1), applies=("nis2",)).state is State.OFF
    off = look(clocks, "circia-incident", after=hours(1))
    assert (off.state, off.why) == (State.OFF, "it is not in force")
    cra = own_rules().rule("cra-exploited-warning")
    assert cra is not None
    assert cra.objection(datetime(2026, 9, 10, tzinfo=UTC)) == "it is in force from 2026-09-11"
    assert cra.objection(datetime(2026, 9, 11, tzinfo=UTC)) == ""
    assert "switched off" in cra.model_copy(update={"enabled": False}).objection(AT)


def test_the_most_urgent_comes_first() -> None:
    """Overdue, then soon, then what runs, the earliest end first."""
    oversight = started(personal_data_aware=AT, cii_aware=AT, cert_in_noticed=AT, account_key_compromise=AT)
    found = standings(oversight, own_rules(), applies=ALL, place=Place(), now=AT + hours(5))
    assert [each.rule.id for each in found if each.state.open] == [
        "sg-cii", "cert-in", "gdpr-authority", "uk-gdpr-authority", "pci-dss-key",
    ]  # fmt: skip


# --- reminders ---------------------------------------------------------------------------------------


def told(deadline: Deadline, percent: Any) -> DeadlineReminded:
    assert deadline.due_at is not None
    return DeadlineReminded(rule=deadline.rule.id, percent=percent, due_at=deadline.due_at)


@given(st.lists(st.floats(0, 1.6), min_size=1, max_size=12).map(sorted))
def test_each_percent_is_told_once_and_never_an_earlier_one_afterwards(shares: list[float]) -> None:
    """However often it is asked, and however long nobody asked."""
    clocks, sent = started(personal_data_aware=AT), []
    for share in shares:
        deadline = look(clocks, "gdpr-authority", after=hours(72 * share))
        found = owed([deadline], sent)
        assert len(found) <= 1
        sent += [told(each.deadline, each.percent) for each in found]
    percents = [each.percent for each in sent]
    assert percents == sorted(set(percents))
    latest = [
        each
        for each in (50, 80, 100)
        if look(clocks, "gdpr-authority", after=hours(72 * shares[-1])).used * 100 >= each
    ]
    assert percents[-1:] == latest[-1:]


def test_a_deadline_that_was_moved_is_told_of_anew() -> None:
    """A late classification gives it another end."""
    before = look(started(dora_aware=AT), "dora-initial", after=hours(25))
    sent = [told(each.deadline, each.percent) for each in owed([before], [])]
    moved = look(started(dora_aware=AT, dora_classified=AT + hours(26)), "dora-initial", after=hours(28.5))
    assert [each.percent for each in owed([moved], sent)] == [50]


def test_what_was_settled_reminds_nobody() -> None:
    """Filed, or decided not to be due."""
    for outcome in ("filed", "not-due"):
        oversight = settle(started(personal_data_aware=AT), "gdpr-authority", AT + hours(1), outcome=outcome)
        assert owed([look(oversight, "gdpr-authority", after=hours(100))], []) == []


# --- margins -----------------------------------------------------------------------------------------


def chain(*bodies: tuple[EventKind, dict[str, Any]]) -> list[Event]:
    """The record of a case with these events."""
    opened = {"codename": "calm-otter", "severity": "high", "exercise": False, "requested_by": "mei", "playbook": "x"}
    events: list[Event] = []
    for number, (kind, fields) in enumerate([(EventKind.INCIDENT_OPENED, opened), *bodies]):
        prev = events[-1].hash if events else GENESIS
        at = AT + timedelta(seconds=number)
        events.append(
            Event.link(incident="KQ-1", seq=number, at=at, kind=kind, body=body_of(kind, **fields), prev=prev)
        )
    return events


def test_margins_name_the_events_that_prove_them() -> None:
    """Clock or filing at one end, filing at the other; what has no end has no margin."""
    clock, done = EventKind.CLOCK_STARTED, EventKind.DEADLINE_SETTLED
    events = chain(
        (clock, {"trigger": "dora-aware", "at": AT.isoformat(), "by": "mei"}),
        (clock, {"trigger": "dora-classified", "at": (AT + hours(2)).isoformat(), "by": "mei"}),
        (done, {"rule": "dora-initial", "outcome": "filed", "at": (AT + hours(7)).isoformat(), "by": "mei"}),
        (done, {"rule": "dora-intermediate", "outcome": "filed", "at": (AT + hours(40)).isoformat(), "by": "mei"}),
        (done, {"rule": "pci-dss-key", "outcome": "filed", "at": AT.isoformat(), "by": "mei"}),
        (done, {"rule": "dora-final", "outcome": "not-due", "at": AT.isoformat(), "by": "mei", "reason": "minor"}),
    )
    found = margins(events, own_rules(), place=Place())
    assert [(each.rule, each.margin, each.from_seqs, each.to_seq) for each in found] == [
        ("dora-initial", -hours(1), (2, 1), 3),
        ("dora-intermediate", hours(39), (3,), 4),
    ]
