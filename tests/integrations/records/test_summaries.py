"""Lines beside the record count only while they agree with it, and never stand in its way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from integrations.records.sql import SqlRecords
from integrations.records.summaries import Line, SummaryTable
from playbooks.record import EventKind

NOTE = {"text": "n", "by": "tester"}


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def records(url: str) -> Iterator[SqlRecords]:
    opened = SqlRecords.open(url, clock=now)
    yield opened
    opened.close()


def note(records: SqlRecords, incident: str) -> Line:
    made = records.append_next(incident, kind=EventKind.NOTE, body=NOTE)
    return Line(incident=incident, seq=made.seq, hash=made.hash, body=f"{incident} {made.seq}")


def test_what_is_kept_is_loaded(records: SqlRecords) -> None:
    """By incident; a later line takes the place of an earlier one."""
    table = SummaryTable(records, form="one")
    assert table.load() == {}
    table.keep([note(records, "A"), note(records, "B")])
    table.keep([note(records, "A")])
    assert table.load() == {"A": (1, "A 1"), "B": (0, "B 0")}


def test_a_line_of_another_form_is_not_seen(records: SqlRecords) -> None:
    """A newer program computes anew instead of believing an older one."""
    SummaryTable(records, form="old").keep([note(records, "A")])
    assert SummaryTable(records, form="new").load() == {}


def test_a_line_whose_hash_is_not_that_of_the_record_is_not_seen(records: SqlRecords) -> None:
    """A record that was restored or rewritten makes its lines worthless."""
    line = note(records, "A")
    table = SummaryTable(records, form="one")
    table.keep([Line(incident="A", seq=line.seq, hash="0" * 64, body="forged")])
    assert table.load() == {}
    table.keep([Line(incident="A", seq=7, hash=line.hash, body="of an event that is not there")])
    assert table.load() == {}


def test_keeping_lines_leaves_the_record_as_it_was(records: SqlRecords) -> None:
    """The chain has no event more, and the incidents are the same."""
    line = note(records, "A")
    before = records.events("A")
    SummaryTable(records, form="one").keep([line])
    assert records.events("A") == before
    assert records.heads() == {"A": 0}


def test_heads_see_what_another_connection_writes(url: str, records: SqlRecords) -> None:
    """They are remembered only while nothing was added."""
    note(records, "A")
    assert records.heads() == {"A": 0}
    other = SqlRecords.open(url, clock=now)
    note(other, "A")
    note(other, "B")
    other.close()
    assert records.heads() == {"A": 1, "B": 0}
    records.heads().clear()
    assert records.heads() == {"A": 1, "B": 0}


def test_a_write_that_was_taken_back_changes_no_head(records: SqlRecords) -> None:
    """The check whether a row could be written leaves nothing, and what follows is seen."""
    note(records, "A")
    records.heads()
    records.check_writable()
    assert records.heads() == {"A": 0}
    note(records, "A")
    assert records.heads() == {"A": 1}


def test_when_each_incident_had_a_kind_of_event(records: SqlRecords) -> None:
    """The latest of it, and nothing of incidents without one."""
    note(records, "A")
    latest = records.append_next("A", kind=EventKind.NOTE, body=NOTE)
    records.append_next("B", kind=EventKind.RENEWED, body={})
    assert records.having(EventKind.NOTE) == {"A": latest.at}
    assert records.having(EventKind.CLOSED) == {}
