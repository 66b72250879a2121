"""What was refused is written down: once a minute, and whatever strangers do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from approvers import BOB, CASE, Office, at_desk, digest_of, open_office

from flows.break_glass import break_glass
from playbooks.desk import Actor
from playbooks.errors import NotApproved
from playbooks.record import EventKind


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's."""
    with open_office(tmp_path) as office:
        office.case()
        yield office


def test_strangers_cannot_crowd_out_what_a_person_was_refused(office: Office) -> None:
    """A flood of unknown accounts is cut off at thirty a minute; bob's refusal is still written."""
    desk, _ = at_desk(office)
    for number in range(50):
        with pytest.raises(NotApproved):
            desk.contain(Actor(account=f"USTRANGER{number}", via="slack"), CASE)
    with pytest.raises(NotApproved):
        desk.contain(BOB, CASE)
    refused = office.refusals()
    assert len(refused) == 31
    assert refused[-1][0] == "bob"


def test_the_same_refusal_is_written_once_a_minute(office: Office) -> None:
    """And again when the minute is over."""
    desk, _ = at_desk(office)
    for _ in range(3):
        with pytest.raises(NotApproved):
            desk.contain(BOB, CASE)
    assert len(office.refusals()) == 1
    office.later(minutes=2)
    with pytest.raises(NotApproved):
        desk.contain(BOB, CASE)
    assert len(office.refusals()) == 2


def test_a_glass_broken_again_by_the_same_person_alarms_nobody_anew(office: Office) -> None:
    """It counts once, and is told once."""
    here = Actor(account="bob-l", via="cli")
    for _ in range(3):
        break_glass(office.wiring, here, CASE, digest=digest_of(office)[:12], reason="the authenticator is lost")
    kinds = [event.kind for event in office.wiring.records.events(CASE)]
    assert kinds.count(EventKind.GLASS_BROKEN) == 1
    assert kinds.count(EventKind.MESSAGE_QUEUED) == 2
    assert kinds.count(EventKind.APPROVAL_GIVEN) == 1
