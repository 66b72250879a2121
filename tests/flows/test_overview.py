"""Every incident in a line: as the record has it, whatever was kept; one broken record hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from open_case import OpenedByHand, add_case, close_case, sql, wired
from written_case import ID, KEY, Case

from flows.key_health import key_health
from flows.news import News
from flows.overview import Overview, overview
from playbooks.event_bodies import body_of
from playbooks.key_health import Weakness
from playbooks.keys import KeyFacts, KeyState
from playbooks.record import INSTALLATION, EventKind
from playbooks.refs import KeyRef
from playbooks.summary import Summary, summary_of


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """One open case; others are added by the tests."""
    with wired(tmp_path, Case()) as opened:
        yield opened


def sql_one(wiring: OpenedByHand, statement: str) -> str:
    with wiring.records.engine.connect() as connection:
        return str(connection.exec_driver_sql(statement).scalar_one())


def as_recorded(wiring: OpenedByHand) -> dict[str, Summary]:
    return {each: summary_of(wiring.records.events(each)) for each in wiring.records.incidents()}


def test_it_agrees_with_the_whole_record_and_grows_with_it(wiring: OpenedByHand) -> None:
    """After each event, and after a restart that finds lines which were kept."""
    found = Overview(wiring)
    add_case(wiring, "KQ-OLD", closed=True)
    assert {each.id: each for each in found.all()} == as_recorded(wiring)
    add_case(wiring, "KQ-NEW")
    close_case(wiring, ID)
    assert {each.id: each for each in found.all()} == as_recorded(wiring)
    assert {each.id: each for each in Overview(wiring).all()} == as_recorded(wiring)
    assert found.all()[0].id == "KQ-NEW"


def test_open_ones_and_those_closed_lately(wiring: OpenedByHand) -> None:
    """The oldest open one first, the last closed one first."""
    for name in ("KQ-1", "KQ-2"):
        add_case(wiring, name, closed=True)
    found = Overview(wiring)
    add_case(wiring, "KQ-3")
    assert [each.id for each in found.open()] == [ID, "KQ-3"]
    assert [each.id for each in found.lately_closed(1)] == ["KQ-2"]
    close_case(wiring, "KQ-3")
    assert [each.id for each in found.open()] == [ID]
    assert [each.id for each in found.lately_closed(5)] == ["KQ-3", "KQ-2", "KQ-1"]


def test_lines_of_closed_cases_are_kept_for_the_next_start(wiring: OpenedByHand) -> None:
    """They are used as they stand, so that their events need not be read; open cases are always read."""
    add_case(wiring, "KQ-OLD", closed=True)
    Overview(wiring).all()
    sql(wiring, "UPDATE summaries SET body = replace(body, 'kq-old', 'as-it-was-kept')")
    assert {each.codename for each in Overview(wiring).all()} == {"as-it-was-kept", "calm-otter"}
    sql(wiring, "DELETE FROM summaries")
    assert {each.codename for each in Overview(wiring).all()} == {"kq-old", "calm-otter"}


@pytest.mark.parametrize(
    "kept",
    [
        """UPDATE summaries SET body = replace(body, '"virtual_time":true,', ''), form = 'of-an-older-release'""",
        """UPDATE summaries SET body = replace(body, '"virtual_time":true,', '')""",
    ],
)
def test_a_line_that_was_kept_before_there_was_virtual_time_is_made_again(wiring: OpenedByHand, kept: str) -> None:
    """It has another form; and if it had the same, what lacks a field is not believed."""
    opened = {"codename": "kq-drill", "severity": "high", "exercise": True, "requested_by": "alice"}
    body = body_of(EventKind.INCIDENT_OPENED, **opened, playbook="kms-key-leak", virtual_time=True)
    wiring.records.append_next("KQ-DRILL", kind=EventKind.INCIDENT_OPENED, body=body)
    close_case(wiring, "KQ-DRILL")
    Overview(wiring).all()
    sql(wiring, kept)
    assert "virtual_time" not in sql_one(wiring, "SELECT body FROM summaries")
    found = {each.id: each for each in Overview(wiring).all()}
    assert found == as_recorded(wiring)
    assert found["KQ-DRILL"].virtual_time
    assert '"virtual_time":true,' in sql_one(wiring, "SELECT body FROM summaries")


def test_what_comes_after_closing_is_seen(wiring: OpenedByHand) -> None:
    """A kept line is not believed when its record has grown."""
    add_case(wiring, "KQ-OLD", closed=True)
    Overview(wiring).all()
    wiring.records.append_next("KQ-OLD", kind=EventKind.NOTE, body={"text": "x", "by": "mei"})
    assert {each.id: each.seq for each in Overview(wiring).all()}["KQ-OLD"] == 2


def test_a_broken_record_is_named_and_hides_no_other(wiring: OpenedByHand) -> None:
    """And it is read again once it has grown."""
    add_case(wiring, "KQ-BAD")
    sql(wiring, "UPDATE events SET body = '{}' WHERE incident = 'KQ-BAD' AND seq = 0")
    found = Overview(wiring)
    assert [each.id for each in found.all()] == [ID]
    assert [each.id for each in found.open()] == [ID]
    assert list(found.unread()) == ["KQ-BAD"]
    assert "event 0" in found.unread()["KQ-BAD"]


def test_lines_that_cannot_be_kept_cost_nothing_but_time(wiring: OpenedByHand) -> None:
    """The table is gone: everything is still told."""
    add_case(wiring, "KQ-OLD", closed=True)
    found = Overview(wiring)
    found.all()
    sql(wiring, "DROP TABLE summaries")
    add_case(wiring, "KQ-NEXT", closed=True)
    assert {each.id for each in found.all()} == {ID, "KQ-OLD", "KQ-NEXT"}


def test_one_overview_for_each_wiring(wiring: OpenedByHand) -> None:
    """Whoever asks gets the one that has read already."""
    assert overview(wiring) is overview(wiring)


def test_news_are_told_once_and_in_order(wiring: OpenedByHand) -> None:
    """Of the kinds that were asked for, in the incidents and in the chains that were named."""
    news = News(wiring.records, {EventKind.NOTE, EventKind.CLOSED}, chains=(INSTALLATION,))
    assert news.take() == []
    told = []
    for number in range(3):
        for chain in (ID, INSTALLATION, "KQ-1"):
            wiring.records.append_next(chain, kind=EventKind.NOTE, body={"text": f"{number}", "by": "mei"})
        wiring.records.append_next(ID, kind=EventKind.RENEWED, body={})
        told += news.take()
    assert [(each.incident, each.body["text"]) for each in told if each.incident == ID] == [
        (ID, f"{number}") for number in range(3)
    ]
    assert len({(each.incident, each.seq) for each in told}) == len(told) == 9
    assert news.take() == []
    again = News(wiring.records, {EventKind.NOTE}, chains=(INSTALLATION,)).take()
    assert sorted(told, key=lambda each: each.hash) == sorted(again, key=lambda each: each.hash)


def test_a_row_that_is_no_event_hides_no_other_chain(wiring: OpenedByHand) -> None:
    """Neither at the first look nor later; what the others tell is told once."""
    for name in ("KQ-1", "KQ-2"):
        add_case(wiring, name)
    news = News(wiring.records, {EventKind.NOTE})
    news.take()
    for name in ("KQ-1", "KQ-2"):
        wiring.records.append_next(name, kind=EventKind.NOTE, body={"text": name, "by": "mei"})
    sql(wiring, "UPDATE events SET body = '{broken' WHERE incident = 'KQ-1' AND seq = 1")
    assert [each.incident for each in news.take()] == ["KQ-2"]
    assert news.take() == []
    assert [each.incident for each in News(wiring.records, {EventKind.NOTE}).take()] == ["KQ-2"]


def test_key_health_is_made_again_only_when_something_changed(wiring: OpenedByHand) -> None:
    """Facts that a case read, an exercise, another inventory: each is seen at the next look."""
    first = key_health(wiring, [])
    assert key_health(wiring, []) is first
    facts = KeyFacts(
        ref=KeyRef.parse(KEY), algorithm="RSA-1024", purpose="encrypt", state=KeyState.ACTIVE, version="1",
        containment_unit="key", capabilities=frozenset(), read_at=wiring.clock(),
    )  # fmt: skip
    body = body_of(EventKind.FACTS_READ, facts={KEY: facts})
    wiring.records.append_next(ID, kind=EventKind.FACTS_READ, body=body)
    second = key_health(wiring, [])
    assert (first.count(Weakness.WEAK), second.count(Weakness.WEAK)) == (0, 1)
    wiring.settings.estate.write_text("version: 1\n", encoding="utf-8")
    assert len(key_health(wiring, [])) == 0
