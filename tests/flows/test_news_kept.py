"""What was written and could not be read at once is not lost for whoever looks again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from open_case import OpenedByHand, add_case, close_case, sql, wired
from written_case import ID, Case

from flows.code_names import CodeNames
from flows.decisions import Decisions
from flows.overview import Overview
from integrations.records.sql import SqlRecords
from playbooks.errors import RecordError
from playbooks.record import Event


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """One open case; others are added by the tests."""
    with wired(tmp_path, Case()) as opened:
        yield opened


class Flaky(SqlRecords):
    """The same record, whose database does not answer once for one chain."""

    fails_for = ""

    def events_after(self, incident: str, seq: int) -> list[Event]:
        if incident == self.fails_for:
            self.fails_for = ""
            raise RecordError("the database does not answer.")
        return super().events_after(incident, seq)


def test_a_database_that_fails_once_hides_no_new_incident(wiring: OpenedByHand) -> None:
    """Names of chains that were read before the failure come with the next look."""
    records = Flaky(wiring.records.engine, clock=wiring.clock)
    names = CodeNames(records)
    names.look()
    add_case(wiring, "KQ-A")
    add_case(wiring, "KQ-B")
    records.fails_for = "KQ-B"
    with pytest.raises(RecordError):
        names.look()
    assert {"KQ-A", "KQ-B"} <= set(names.look())


def test_a_decision_that_cannot_be_read_is_said_each_time(wiring: OpenedByHand) -> None:
    """An audit with holes must not look whole the second time."""
    close_case(wiring, ID)
    add_case(wiring, "KQ-B")
    close_case(wiring, "KQ-B")
    sql(wiring, "UPDATE events SET body='{}' WHERE kind='closed' AND incident='KQ-B'")
    found = Decisions(wiring.records)
    for _ in range(2):
        with pytest.raises(RecordError):
            found.look()


def test_a_kept_line_that_is_no_line_is_computed_again(wiring: OpenedByHand) -> None:
    """Whatever stands in the derived table."""
    close_case(wiring, ID)
    Overview(wiring).all()
    sql(wiring, "UPDATE summaries SET body='{}'")
    assert [each.id for each in Overview(wiring).all()] == [ID]
