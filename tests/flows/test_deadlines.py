"""Clocks are started once, filings and decisions are recorded with who said so, and people are reminded in time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time
from open_case import OpenedByHand, wired
from written_case import ID, Case

from flows.deadline_reminders import Reminders
from flows.deadlines import book, decide_not_due, everywhere, file, moment_of, of_case, start_clock
from flows.overview import Overview
from flows.wiring import Wiring
from playbooks.deadlines.standing import Deadline, State
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, KeyquellError, NotApproved, Unreachable
from playbooks.ports import Message
from playbooks.record import EventKind

MEI = Actor(account="mei", via="cli")
APPLIES = {"applies": ["gdpr", "nis2", "dora", "pci-dss"], "country": "DE", "timezone": "Europe/Berlin"}


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """One case of an organisation in Germany, and nobody's roster."""
    with wired(tmp_path, Case(), deadlines=APPLIES) as opened:
        yield opened


def ago(wiring: Wiring, **time: float) -> datetime:
    return wiring.clock() - timedelta(**time)


def one(wiring: Wiring, rule: str) -> Deadline:
    return next(each for each in of_case(wiring, ID).deadlines if each.rule.id == rule)


# --- what people record ------------------------------------------------------------------------------


def test_a_clock_is_started_once_by_whoever_says_so(wiring: OpenedByHand) -> None:
    """It starts every rule of its trigger; a second word about it is refused, with the first one's name."""
    at = ago(wiring, hours=3)
    start_clock(wiring, MEI, "calm-otter", "significant-incident-aware", at=at, reason="the scanner")
    assert {each.rule.id for each in of_case(wiring, ID).deadlines if each.state.open} == {
        "nis2-early-warning", "nis2-notification",
    }  # fmt: skip
    recorded = wiring.case.oversight.clocks["significant-incident-aware"]
    assert (recorded.at, recorded.by, recorded.reason) == (at, "mei", "the scanner")
    with pytest.raises(InvalidInput, match="by mei"):
        start_clock(wiring, MEI, ID, "significant-incident-aware")
    assert wiring.kinds().count(EventKind.CLOCK_STARTED) == 1


@pytest.mark.parametrize(
    ("trigger", "ahead", "said"),
    [
        ("personal-data-aware", timedelta(minutes=5), "in the future"),
        ("personal-data-aware", timedelta(days=-5000), "more than a year before"),
        ("hipaa-discovered", timedelta(), "starts no clock here"),
        ("personal-data-awre", timedelta(), "starts no clock here"),
    ],
)
def test_what_cannot_be_starts_nothing(wiring: OpenedByHand, trigger: str, ahead: timedelta, said: str) -> None:
    """A moment to come or one long ago, a regime that does not apply, a typing error."""
    with pytest.raises(InvalidInput, match=said):
        start_clock(wiring, MEI, ID, trigger, at=wiring.clock() + ahead)
    assert EventKind.CLOCK_STARTED not in wiring.kinds()


def test_of_many_who_start_a_clock_at_once_one_is_believed(wiring: OpenedByHand) -> None:
    """The others are told who was first."""

    def start(number: int) -> str:
        try:
            start_clock(wiring, Actor(account=f"person-{number}", via="cli"), ID, "personal-data-aware")
        except InvalidInput as error:
            return error.message
        return ""

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(start, range(8)))
    assert said.count("") == 1
    assert wiring.case.oversight.clocks["personal-data-aware"].by == f"person-{said.index('')}"
    assert all("was started at" in each for each in said if each)


def test_a_filing_is_recorded_once_and_starts_what_follows_it(wiring: OpenedByHand) -> None:
    """With the recipient's reference; the next report counts from it."""
    filed = ago(wiring, hours=6)
    start_clock(wiring, MEI, ID, "dora-classified", at=filed - timedelta(hours=3))
    file(wiring, MEI, ID, "dora-initial", at=filed, reference="BaFin 17")
    done, following = one(wiring, "dora-initial"), one(wiring, "dora-intermediate")
    assert (done.state, done.margin, done.settled and done.settled.reference) == (
        State.FILED, timedelta(hours=1), "BaFin 17",
    )  # fmt: skip
    assert following.due_at == filed + timedelta(hours=72)
    with pytest.raises(InvalidInput, match="was filed at"):
        file(wiring, MEI, ID, "dora-initial")
    with pytest.raises(InvalidInput, match="was filed at"):
        decide_not_due(wiring, MEI, ID, "dora-initial", reason="no")


def test_a_decision_needs_a_reason_and_may_be_followed_by_a_filing(wiring: OpenedByHand) -> None:
    """The record keeps both; the same decision is not made twice."""
    with pytest.raises(InvalidInput, match="is missing"):
        decide_not_due(wiring, MEI, ID, "gdpr-authority", reason=" ")
    decide_not_due(wiring, MEI, ID, "gdpr-authority", reason="no personal data")
    with pytest.raises(InvalidInput, match="decided before"):
        decide_not_due(wiring, MEI, ID, "gdpr-authority", reason="still none")
    file(wiring, MEI, ID, "gdpr-authority")
    assert one(wiring, "gdpr-authority").state is State.FILED
    assert wiring.kinds().count(EventKind.DEADLINE_SETTLED) == 2


@pytest.mark.parametrize(("rule", "said"), [("hipaa-hhs", "is off"), ("gdpr-autority", "no rule is called")])
def test_what_is_off_or_unknown_is_not_filed(wiring: OpenedByHand, rule: str, said: str) -> None:
    """It names the way out."""
    with pytest.raises(InvalidInput, match=said) as caught:
        file(wiring, MEI, ID, rule)
    assert caught.value.hint


def test_whoever_may_only_read_records_nothing(tmp_path: Path) -> None:
    """The roster says who; the attempt is recorded."""
    people = [{"name": "mei", "roles": ["read", "declare"]}]
    with wired(tmp_path, Case(), roster={"version": 1, "people": people}, deadlines=APPLIES) as opened:
        for move in (
            lambda: start_clock(opened, MEI, ID, "personal-data-aware"),
            lambda: file(opened, MEI, ID, "gdpr-authority"),
            lambda: decide_not_due(opened, MEI, ID, "gdpr-authority", reason="none"),
        ):
            with pytest.raises(NotApproved, match="record a deadline"):
                move()
        assert {each.what for each in opened.case.people.refused} == {"record a deadline"}
        assert not {EventKind.CLOCK_STARTED, EventKind.DEADLINE_SETTLED} & set(opened.kinds())


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-28T14:05", datetime(2026, 3, 28, 13, 5, tzinfo=UTC)),
        ("2026-03-30T14:05", datetime(2026, 3, 30, 12, 5, tzinfo=UTC)),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-28T14:05-05:00", datetime(2026, 3, 28, 19, 5, tzinfo=UTC)),
        (" ", None),
    ],
)
def test_a_time_without_a_zone_is_of_the_organisations_zone(text: str, at: datetime | None) -> None:
    """Of one that the clocks show twice, the earlier."""
    assert moment_of(text, "Europe/Berlin") == at


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "0001-01-01T00:00", "9999-12-31T23:59-12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the way to write it; also before the calendar begins and after it ends."""
    with pytest.raises(InvalidInput, match="is no time"):
        moment_of(text, "Europe/Berlin")


def test_a_secret_in_a_reason_is_blanked(wiring: OpenedByHand) -> None:
    """People paste things."""
    token = "ghp_" + "a1B2" * 9
    decide_not_due(wiring, MEI, ID, "gdpr-authority", reason=f"it was only {token} of a test")
    assert token not in wiring.case.oversight.settled["gdpr-authority"].reason
    file(wiring, MEI, ID, "gdpr-authority", reference="2026-117")
    assert wiring.case.oversight.settled["gdpr-authority"].reference == "2026-117"


# --- which rules -------------------------------------------------------------------------------------


def test_nothing_applies_by_itself(tmp_path: Path) -> None:
    """An organisation says what applies to it."""
    with wired(tmp_path, Case()) as opened:
        found = of_case(opened, ID)
        assert (found.deadlines, found.triggers) == ((), {})


def test_the_organisations_own_file_takes_the_place_of_ours(tmp_path: Path) -> None:
    """Read again at each use; a mistake is named, and so is a regime that it lacks."""
    own = (
        "regimes: {bank: Contract}\ntriggers: {lost: A key is lost}\nrules:\n"
        "  - {id: partner, regime: bank, title: Tell the partner, condition: Always, starts: {trigger: lost}, "
        "within: {amount: 2, unit: hours}, counting: elapsed, recipient: the bank, missing: Ask, "
        "source: {name: Contract 7}, read_on: 2026-01-02, confidence: primary}\n"
    )
    (tmp_path / "rules.yaml").write_text(own, encoding="utf-8")
    with wired(tmp_path, Case(), deadlines={"applies": ["bank"], "rules": "rules.yaml"}) as opened:
        start_clock(opened, MEI, ID, "lost")
        assert one(opened, "partner").state is State.RUNNING
        (tmp_path / "rules.yaml").write_text(own.replace("hours", "ours"), encoding="utf-8")
        with pytest.raises(InvalidInput, match="expected one of hours"):
            book(opened)
        (tmp_path / "rules.yaml").unlink()
        with pytest.raises(InvalidInput, match="cannot be read"):
            book(opened)


def test_a_regime_that_the_rules_lack_is_named(tmp_path: Path) -> None:
    """A typing error must not switch a deadline off."""
    with (
        wired(tmp_path, Case(), deadlines={"applies": ["gdrp"]}) as opened,
        pytest.raises(InvalidInput, match="'gdrp'"),
    ):
        book(opened)


# --- over all cases ----------------------------------------------------------------------------------


def test_a_closed_case_is_listed_while_a_clock_runs(wiring: OpenedByHand) -> None:
    """And for thirty days after its end; then only if something is open."""
    close = {"by": "mei", "outcome": "recovered"}
    wiring.records.append_next(ID, kind=EventKind.CLOSED, body=close)
    assert [each.open for each in everywhere(wiring, Overview(wiring))] == [False]
    wiring.time.ahead = timedelta(days=31)
    assert everywhere(wiring, Overview(wiring)) == []
    start_clock(wiring, MEI, ID, "personal-data-aware")
    assert [each.incident for each in everywhere(wiring, Overview(wiring))] == [ID]
    file(wiring, MEI, ID, "gdpr-authority")
    assert everywhere(wiring, Overview(wiring)) == []


# --- reminders ---------------------------------------------------------------------------------------


class Channel:
    """Takes messages, or is away."""

    def __init__(self) -> None:
        self.taken: list[Message] = []
        self.away = False

    def deliver(self, message: Message) -> None:
        if self.away:
            raise Unreachable("it is away", subject="channel")
        self.taken.append(message)

    def close(self) -> None:
        """Nothing is open."""


def reminded(wiring: OpenedByHand) -> list[tuple[Any, Any]]:
    """Rule and percent of every reminder in the record."""
    events = wiring.records.of_kind(EventKind.DEADLINE_REMINDED, incident=ID)
    return [(each.body["rule"], each.body["percent"]) for each in events]


def test_each_percent_is_told_once_also_across_restarts(wiring: OpenedByHand) -> None:
    """A new process each time; in between nothing is told twice."""
    channel = Channel()
    wiring.channels = {"room": channel}
    start_clock(wiring, MEI, ID, "personal-data-aware")
    for hours in (35, 37, 37.5, 58, 59, 71, 73, 100):
        wiring.time.ahead = timedelta(hours=hours)
        Reminders(wiring).round()
        Reminders(wiring).round()
    assert reminded(wiring) == [("gdpr-authority", 50), ("gdpr-authority", 80), ("gdpr-authority", 100)]
    assert [each.subject.rpartition(": ")[2] for each in channel.taken] == [
        "50 % of its time is used", "80 % of its time is used", "its time is over",
    ]  # fmt: skip
    assert "not legal advice" in channel.taken[0].body
    assert "keyquell deadline file" in channel.taken[0].body


@pytest.mark.parametrize(("hours", "percent"), [(60, 80), (200, 100)])
def test_after_a_pause_only_the_latest_percent_is_told(wiring: OpenedByHand, hours: int, percent: int) -> None:
    """Nobody needs three messages at once."""
    start_clock(wiring, MEI, ID, "personal-data-aware")
    wiring.time.ahead = timedelta(hours=hours)
    assert Reminders(wiring).round() == 1
    assert Reminders(wiring).round() == 0
    assert reminded(wiring) == [("gdpr-authority", percent)]


def test_a_process_that_died_between_message_and_event_tells_nothing_twice(wiring: OpenedByHand) -> None:
    """The message has the same id, and goes out once."""
    channel = Channel()
    wiring.channels = {"room": channel}
    start_clock(wiring, MEI, ID, "personal-data-aware")
    wiring.time.ahead = timedelta(hours=40)

    class Killed(Reminders):
        def _noted(self, *_: Any) -> bool:
            raise KeyquellError("killed")

    assert Killed(wiring, on_trouble=lambda *_: None).round() == 0
    assert Reminders(wiring).round() == 1
    assert len(channel.taken) == 1
    assert wiring.kinds().count(EventKind.MESSAGE_QUEUED) == 1


def test_of_two_processes_that_remind_at_once_one_does(wiring: OpenedByHand) -> None:
    """The record lets one through."""
    start_clock(wiring, MEI, ID, "personal-data-aware")
    wiring.time.ahead = timedelta(hours=40)
    with Wiring.open(wiring.settings, clock=wiring.clock) as other, ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda each: Reminders(each).round(), [wiring, other] * 2))
    assert sum(counts) == 1
    assert reminded(wiring) == [("gdpr-authority", 50)]
    assert wiring.kinds().count(EventKind.MESSAGE_QUEUED) == 1


def test_a_channel_that_is_away_loses_no_reminder(wiring: OpenedByHand) -> None:
    """It waits in the outbox, as other messages do."""
    channel = Channel()
    channel.away = True
    wiring.channels = {"room": channel}
    start_clock(wiring, MEI, ID, "personal-data-aware")
    wiring.time.ahead = timedelta(hours=40)
    assert Reminders(wiring).round() == 1
    assert [each.delivered for each in wiring.case.messages.values()] == [()]
    assert wiring.kinds().count(EventKind.MESSAGE_FAILED) == 1


def test_what_was_settled_or_is_not_over_half_reminds_nobody(wiring: OpenedByHand) -> None:
    """Filed, decided not to be due, or just begun."""
    for trigger in ("personal-data-aware", "significant-incident-aware", "dora-classified"):
        start_clock(wiring, MEI, ID, trigger)
    file(wiring, MEI, ID, "gdpr-authority")
    decide_not_due(wiring, MEI, ID, "dora-initial", reason="it is minor")
    wiring.time.ahead = timedelta(hours=11)
    assert Reminders(wiring).round() == 0
    wiring.time.ahead = timedelta(hours=13)
    assert Reminders(wiring).round() == 1
    assert reminded(wiring) == [("nis2-early-warning", 50)]


def test_a_reminder_of_an_exercise_says_so(tmp_path: Path) -> None:
    """Nobody must take it for real."""
    with wired(tmp_path, Case(exercise=True), deadlines=APPLIES) as opened:
        opened.channels = {"room": (channel := Channel())}
        start_clock(opened, MEI, ID, "personal-data-aware")
        opened.time.ahead = timedelta(hours=40)
        Reminders(opened).round()
    assert channel.taken[0].exercise
    assert channel.taken[0].subject.startswith("EXERCISE")


def test_rules_that_cannot_be_read_are_told_and_stop_nothing(tmp_path: Path) -> None:
    """The next round tries again."""
    troubles: list[str] = []
    (tmp_path / "rules.yaml").write_text("[", encoding="utf-8")
    with wired(tmp_path, Case(), deadlines={"rules": "rules.yaml"}) as opened:
        assert Reminders(opened, on_trouble=lambda name, _: troubles.append(name)).round() == 0
    assert troubles == ["deadlines"]


@freeze_time("2026-10-23 08:00:00", real_asyncio=True)
def test_a_night_with_a_clock_change_is_an_hour_longer(tmp_path: Path) -> None:
    """72 hours from Friday ten o'clock in Berlin end on Monday at nine."""
    with wired(tmp_path, Case(), deadlines=APPLIES) as opened:
        at = moment_of("2026-10-23T10:00", "Europe/Berlin")
        start_clock(opened, MEI, ID, "personal-data-aware", at=at)
        assert one(opened, "gdpr-authority").due_at == moment_of("2026-10-26T09:00", "Europe/Berlin")
        for moment, state in (
            ("2026-10-26 07:59:00", State.DUE_SOON), ("2026-10-26 08:00:00", State.DUE_SOON),
            ("2026-10-26 08:00:01", State.OVERDUE),
        ):  # fmt: skip
            with freeze_time(moment):
                assert one(opened, "gdpr-authority").state is state
