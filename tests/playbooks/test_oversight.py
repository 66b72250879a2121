"""What managers and auditors add to a case is read from the record, also after its end."""

from datetime import UTC, date, datetime

import pytest

from playbooks.errors import RecordError
from playbooks.event_bodies import check_body
from playbooks.oversight import Oversight
from playbooks.record import EventKind

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def told(*events: tuple[EventKind, dict[str, object]]) -> Oversight:
    oversight = Oversight()
    for seq, (kind, body) in enumerate(events, start=1):
        oversight.take(check_body(kind, body), seq=seq, at=AT)
    return oversight


def clock() -> tuple[EventKind, dict[str, object]]:
    return EventKind.CLOCK_STARTED, {"trigger": "aware", "at": AT.isoformat(), "by": "Mei", "reason": "the scanner"}


def action(name: str = "a1") -> tuple[EventKind, dict[str, object]]:
    body = {"action": name, "text": "Rotate yearly", "owner": "Ana", "due": "2026-05-01", "by": "Mei"}
    return EventKind.ACTION_ADDED, dict(body)


def test_a_clock_starts_once() -> None:
    """A second start would move every deadline that hangs on it."""
    assert told(clock()).clocks["aware"].at == AT
    with pytest.raises(RecordError, match="a second time"):
        told(clock(), clock())


def test_the_latest_word_on_a_deadline_counts() -> None:
    """Not due by a decision, and filed after all: the filing stands."""
    body = {"rule": "gdpr-33-1", "at": AT.isoformat(), "by": "Mei"}
    settled = told(
        (EventKind.DEADLINE_SETTLED, body | {"outcome": "not-due", "reason": "no personal data"}),
        (EventKind.DEADLINE_SETTLED, body | {"outcome": "filed", "reference": "DPA 17"}),
    ).settled["gdpr-33-1"]
    assert (settled.outcome, settled.reference) == ("filed", "DPA 17")


def test_an_action_is_open_until_it_is_settled() -> None:
    """It carries its owner, its date and the event that added it."""
    added = told(action()).actions["a1"]
    assert (added.owner, added.due, added.seq, added.outcome) == ("Ana", date(2026, 5, 1), 1, "")
    done = (EventKind.ACTION_SETTLED, {"action": "a1", "outcome": "done", "by": "Ana"})
    assert told(action(), done).actions["a1"].outcome == "done"


def test_an_action_that_nobody_added_is_not_settled() -> None:
    """Nor is one added twice."""
    done = (EventKind.ACTION_SETTLED, {"action": "a1", "outcome": "done", "by": "Ana"})
    with pytest.raises(RecordError, match="nobody added"):
        told(done)
    with pytest.raises(RecordError, match="a second time"):
        told(action(), action())


def test_a_copy_goes_its_own_way() -> None:
    """What is taken in further does not show in the original."""
    first = told(clock())
    second = first.copied()
    second.take(check_body(*action()), seq=2, at=AT)
    assert not first.actions
    assert second.actions
    assert second.clocks == first.clocks
