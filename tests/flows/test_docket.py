"""The docket knows the marks of every incident, also those that another process writes, and reads only what is new."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from open_case import OpenedByHand, wired
from written_case import ID, Case

from flows.docket import Docket, docket
from flows.wiring import Wiring
from playbooks.event_bodies import body_of
from playbooks.record import EventKind

AT = datetime(2026, 11, 24, 9, tzinfo=UTC).isoformat()
CLOCK = {"trigger": "personal-data-aware", "at": AT, "by": "mei"}
FILED = {"rule": "gdpr-authority", "outcome": "filed", "at": AT, "by": "mei"}


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """One case."""
    with wired(tmp_path, Case()) as opened:
        yield opened


def write(wiring: Wiring, kind: EventKind, incident: str = ID, **fields: Any) -> None:
    wiring.records.append_next(incident, kind=kind, body=body_of(kind, **fields))


def test_what_is_new_is_seen_and_agrees_with_the_whole_record(wiring: OpenedByHand) -> None:
    """Event by event, as reading the case anew would have it."""
    found = Docket(wiring.records)
    assert found.look() == {}
    for kind, fields in ((EventKind.CLOCK_STARTED, CLOCK), (EventKind.NOTE, {"text": "x", "by": "mei"}),
                         (EventKind.DEADLINE_SETTLED, FILED)):  # fmt: skip
        write(wiring, kind, **fields)
        for each in (found, Docket(wiring.records)):
            marks = each.look()[ID]
            assert marks.oversight.clocks == wiring.case.oversight.clocks
            assert marks.oversight.settled == wiring.case.oversight.settled
    due = {"rule": "nis2-final", "percent": 50, "due_at": AT}
    write(wiring, EventKind.DEADLINE_REMINDED, **due)
    assert [each.percent for each in found.look()[ID].reminded] == [50]


def test_what_another_process_writes_is_seen(wiring: OpenedByHand) -> None:
    """It has a wiring, and a docket, of its own."""
    found = docket(wiring)
    assert found.look() == {}
    with Wiring.open(wiring.settings) as other:
        write(other, EventKind.CLOCK_STARTED, **CLOCK)
    assert list(found.look()) == [ID]
    assert docket(wiring) is found


def test_a_record_that_contradicts_itself_hides_no_other(wiring: OpenedByHand) -> None:
    """The first word about a clock stays."""
    write(wiring, EventKind.CLOCK_STARTED, **CLOCK)
    write(wiring, EventKind.CLOCK_STARTED, **{**CLOCK, "by": "mallory"})
    write(wiring, EventKind.CLOCK_STARTED, "KQ-OTHER", **CLOCK)
    marks = Docket(wiring.records).look()
    assert marks[ID].oversight.clocks["personal-data-aware"].by == "mei"
    assert "KQ-OTHER" in marks


def test_an_earlier_look_is_not_changed_by_a_later_one(wiring: OpenedByHand) -> None:
    """Pages and reminders read it in threads of their own."""
    found = Docket(wiring.records)
    write(wiring, EventKind.CLOCK_STARTED, **CLOCK)
    before = found.look()
    write(wiring, EventKind.DEADLINE_SETTLED, **FILED)
    assert found.look()[ID].oversight.settled
    assert not before[ID].oversight.settled
