"""Undo and the end of a case, confirmed by a passkey behind a link or a code at the terminal; the record proves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from approvers import ALICE, CAROL, CASE, CONTAIN, ERIN, PEOPLE_BY_NAME, Office, answer, at_desk, open_office, token_of
from to_confirm import case_to_confirm, confirmed

from flows import step_up
from flows.confirmations import carry_out
from playbooks import deeds
from playbooks.desk import Actor
from playbooks.errors import NotApproved, RecordError
from playbooks.event_bodies import body_of
from playbooks.record import GENESIS, EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case with a step to take back."""
    with case_to_confirm(tmp_path) as office:
        yield office


ACCOUNTS = {
    "slack": ALICE,
    "web": Actor(account="alice", via="web"),
    "pagerduty": Actor(account="PALICE", via="pagerduty"),
    "cli": Actor(account="alice", via="cli"),
}


@pytest.mark.parametrize("via", ACCOUNTS)
def test_a_click_takes_nothing_back(office: Office, via: str) -> None:
    """It gives a link; nothing is started and nothing is written but the request."""
    office.roster([PEOPLE_BY_NAME["alice"] | {"pagerduty": ["PALICE"]}])
    desk, background = at_desk(office)
    who = ACCOUNTS[via]
    made = desk.undo(who, CASE)
    assert made is not None
    assert made.link.startswith(office.wiring.settings.web.url)
    assert background.started == []
    assert confirmed(office) == []


def test_the_passkey_behind_the_link_takes_it_back(office: Office) -> None:
    """Also for whoever declared the case; the evidence stands in the record and verifies offline."""
    desk, background = at_desk(office)
    made = desk.undo(ALICE, CASE)
    assert made is not None
    token = token_of(made.link)
    shown = step_up.look(office.wiring, token)
    assert shown.deed == deeds.UNDO
    step_up.redeem(office.wiring, token, answer(office, token, "alice"), address="10.0.0.7")
    carry_out(office.wiring, background, CASE, by="alice", deed=shown.deed)
    assert background.started == [("undo by alice", CASE)]
    [said] = confirmed(office)
    assert (said.by, said.deed, said.method, said.address) == ("alice", deeds.UNDO, "webauthn", "10.0.0.7")
    plan = office.wiring.incident(CASE).plan
    step_up.verify_assertion(said, plan, incident=CASE)
    with pytest.raises(RecordError):
        step_up.verify_assertion(said, plan, incident="KQ-TEST-2")
    verify_chain(office.wiring.records.events(CASE))


def test_a_case_ends_as_what_was_confirmed(office: Office) -> None:
    """The outcome is part of what the passkey signed."""
    desk, background = at_desk(office)
    made = desk.stand_down(CAROL, CASE, outcome="false-alarm")
    assert made is not None
    assert office.wiring.incident(CASE).closed is None
    token = token_of(made.link)
    deed = step_up.look(office.wiring, token).deed
    step_up.redeem(office.wiring, token, answer(office, token, "carol"), address="")
    carry_out(office.wiring, background, CASE, by="carol", deed=deed)
    closed = office.wiring.incident(CASE).closed
    assert closed is not None
    assert (closed.outcome, closed.by) == ("false-alarm", "carol")


def test_at_the_terminal_a_one_time_code_confirms(office: Office) -> None:
    """A wrong one does not, and without one there is the link; the method stands in the record."""
    secret = pyotp.random_base32()
    (office.root / "alice.totp").write_text(secret)
    alice = PEOPLE_BY_NAME["alice"] | {"totp": f"file:{office.root / 'alice.totp'}"}
    office.roster([alice, *(each for each in PEOPLE_BY_NAME.values() if each["name"] != "alice")])
    desk, background = at_desk(office)
    here = Actor(account="alice", via="cli")
    with pytest.raises(NotApproved):
        desk.undo(here, CASE, code="000000")
    assert desk.undo(here, CASE) is not None
    assert background.started == []
    assert desk.undo(here, CASE, code=pyotp.TOTP(secret).at(office.now)) is None
    assert background.started == [("undo by alice", CASE)]
    assert [(each.by, each.method) for each in confirmed(office)] == [("alice", "totp")]


def test_a_case_without_a_plan_can_be_ended(office: Office) -> None:
    """Nothing was planned yet, and it was a false alarm."""
    opened = {"codename": "calm-pond", "severity": "low", "exercise": False, "requested_by": "alice"}
    body = body_of(EventKind.INCIDENT_OPENED, playbook="leaked-credential", **opened)
    office.wiring.records.append("KQ-TEST-2", kind=EventKind.INCIDENT_OPENED, body=body, expected_head=GENESIS)
    desk, background = at_desk(office)
    made = desk.stand_down(ALICE, "KQ-TEST-2", outcome="false-alarm")
    assert made is not None
    token = token_of(made.link)
    shown = step_up.look(office.wiring, token)
    assert (shown.plan, shown.canonical) == (None, b"")
    step_up.redeem(office.wiring, token, answer(office, token, "alice"), address="")
    carry_out(office.wiring, background, "KQ-TEST-2", by="alice", deed=shown.deed)
    assert office.wiring.incident("KQ-TEST-2").closed is not None


def test_a_confirmation_is_verified_offline_for_its_own_deed_alone(office: Office) -> None:
    """As it stands in an export, with nothing but the record; another deed, person or plan is not what was signed."""
    desk, _ = at_desk(office)
    made = desk.stand_down(CAROL, CASE, outcome="false-alarm")
    assert made is not None
    token = token_of(made.link)
    step_up.redeem(office.wiring, token, answer(office, token, "carol"), address="")
    plan = office.wiring.incident(CASE).plan
    [event] = office.wiring.records.of_kind(EventKind.CONFIRMED)
    step_up.verify_assertion(event.body, plan, incident=CASE)
    forgeries: list[dict[str, Any]] = [{"deed": deeds.UNDO}, {"deed": "close:not-contained"}, {"by": "alice"}]
    for forged in forgeries:
        with pytest.raises(RecordError, match="not what its passkey signed"):
            step_up.verify_assertion({**event.body, **forged}, plan, incident=CASE)
    with pytest.raises(RecordError, match="another plan"):
        step_up.verify_assertion(event.body, None, incident=CASE)
    as_approval = {name: event.body[name] for name in ("digest", "method", "request", "assertion")}
    with pytest.raises(RecordError, match="not what its passkey signed"):
        step_up.verify_assertion({"approver": "carol", **as_approval}, plan)
    with pytest.raises(RecordError, match="deed"):
        step_up.verify_assertion({**event.body, "deed": deeds.APPROVE}, plan, incident=CASE)


def test_in_an_exercise_the_role_of_that_name_confirms_too(tmp_path: Path) -> None:
    """The drill's people learn the same way as it is for real."""
    with open_office(tmp_path, exercise=True) as office:
        office.enrol("erin")
        office.case(exercise=True)
        desk, _ = at_desk(office)
        made = desk.stand_down(ERIN, CASE, outcome="false-alarm")
        assert made is not None
        token = token_of(made.link)
        step_up.redeem(office.wiring, token, answer(office, token, "erin"), address="")
        assert [each.by for each in confirmed(office)] == ["erin"]


def test_without_a_roster_names_count_as_given(tmp_path: Path) -> None:
    """Labs, drills and one person's trial: nothing is asked for, on the terminal alone."""
    with open_office(tmp_path, roster=False) as office:
        office.case()
        office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
        desk, background = at_desk(office)
        here = Actor(account="alice", via="cli")
        assert desk.undo(here, CASE) is None
        assert background.started == [("undo by alice", CASE)]
        with pytest.raises(NotApproved, match="no roster is configured"):
            desk.stand_down(ALICE, CASE, outcome="false-alarm")
        assert desk.stand_down(here, CASE, outcome="false-alarm") is None
        assert confirmed(office) == []
        assert office.wiring.incident(CASE).closed is not None
