"""People write the review's parts and agree on actions; all of it stands in the record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from open_case import OpenedByHand, wired
from written_case import ID, Case

from flows.reviews import add_action, open_actions, settle_action, write_parts
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.record import EventKind

MEI = Actor(account="mei", via="cli")


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    """One case, and nobody's roster."""
    with wired(tmp_path, Case()) as opened:
        yield opened


def in_days(wiring: OpenedByHand, days: int) -> date:
    return wiring.clock().date() + timedelta(days=days)


def test_a_part_is_replaced_and_the_others_stay(wiring: OpenedByHand) -> None:
    """Each version is an event of its own, so that nothing that was written is lost."""
    write_parts(wiring, MEI, ID, {"summary": "A key was out.", "luck": "It was noon."})
    write_parts(wiring, MEI, ID, {"summary": "A key was out for an hour."})
    review = wiring.case.oversight.review
    assert review is not None
    assert review[1].parts == {"summary": "A key was out for an hour.", "luck": "It was noon."}
    assert wiring.kinds().count(EventKind.REVIEW_WRITTEN) == 2


@pytest.mark.parametrize(("part", "text"), [("blame", "x"), ("summary", "x" * 8001)])
def test_what_does_not_fit_is_refused_and_nothing_is_written(wiring: OpenedByHand, part: str, text: str) -> None:
    """An unknown part, one that is far too long."""
    with pytest.raises(InvalidInput, match=part):
        write_parts(wiring, MEI, ID, {part: text})
    assert EventKind.REVIEW_WRITTEN not in wiring.kinds()


def test_an_action_waits_until_it_is_settled_once(wiring: OpenedByHand) -> None:
    """The earliest day comes first; what is settled is settled."""
    later = add_action(wiring, MEI, ID, text="Cut the cache", owner="Bo", due=in_days(wiring, 9))
    first = add_action(wiring, MEI, ID, text="Rotate yearly", owner="Ana", due=in_days(wiring, 3))
    assert [(case, each.id) for case, each in open_actions(wiring)] == [(ID, first.id), (ID, later.id)]
    assert settle_action(wiring, MEI, ID, first.id, outcome="done", reason="").outcome == "done"
    assert [each.id for _, each in open_actions(wiring)] == [later.id]
    with pytest.raises(InvalidInput, match="no open action"):
        settle_action(wiring, MEI, ID, first.id, outcome="done", reason="")


def test_an_action_is_not_dropped_without_a_reason(wiring: OpenedByHand) -> None:
    """Nor agreed on without an owner, or for a day that is over."""
    action = add_action(wiring, MEI, ID, text="Rotate yearly", owner="Ana", due=in_days(wiring, 0))
    with pytest.raises(InvalidInput, match="dropped"):
        settle_action(wiring, MEI, ID, action.id, outcome="dropped", reason=" ")
    with pytest.raises(InvalidInput, match="owner"):
        add_action(wiring, MEI, ID, text="Rotate yearly", owner=" ", due=in_days(wiring, 1))
    with pytest.raises(InvalidInput, match="is over"):
        add_action(wiring, MEI, ID, text="Rotate yearly", owner="Ana", due=in_days(wiring, -1))
    assert len(wiring.case.oversight.actions) == 1


def test_whoever_only_declares_writes_no_review(tmp_path: Path) -> None:
    """The roster says who; the attempt is recorded."""
    people = [{"name": "Mei", "roles": ["declare"], "login": "mei"}]
    with wired(tmp_path, Case(), roster={"version": 1, "people": people}) as opened:
        with pytest.raises(NotApproved, match="write the review"):
            write_parts(opened, MEI, ID, {"summary": "I was here."})
        assert [each.what for each in opened.case.people.refused] == ["write the review"]
