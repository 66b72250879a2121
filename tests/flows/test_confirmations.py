"""A stolen chat account takes nothing back and ends nothing: undo and the end of a case need a passkey or a code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from approvers import (
    ALICE,
    BOB,
    CAROL,
    CASE,
    CONTAIN,
    DESTROY,
    PEOPLE_BY_NAME,
    Office,
    at_desk,
    digest_of,
    open_office,
    token_of,
)

from flows import step_up
from flows.confirmations import carry_out
from flows.passkey_register import remove_passkey
from playbooks import deeds
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved, RecordError
from playbooks.event_bodies import Confirmed, body_of, read_body
from playbooks.progress import gate_open
from playbooks.record import GENESIS, EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's with a containing step that ran; alice, bob and carol have passkeys."""
    with open_office(tmp_path) as office:
        for person in ("alice", "bob", "carol"):
            office.enrol(person)
        office.case()
        office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
        yield office


def answer(office: Office, token: str, person: str) -> dict[str, Any]:
    return office.authenticators[person].get(step_up.look(office.wiring, token).options)


def confirmed(office: Office) -> list[Confirmed]:
    events = office.wiring.records.of_kind(EventKind.CONFIRMED)
    return [body for each in events if isinstance(body := read_body(each), Confirmed)]


@pytest.mark.parametrize("via", ["slack", "web"])
def test_a_click_takes_nothing_back(office: Office, via: Any) -> None:
    """It gives a link; nothing is started and nothing is written but the request."""
    desk, background = at_desk(office)
    who = ALICE if via == "slack" else Actor(account="alice", via="web")
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


def test_an_assertion_for_one_deed_is_good_for_no_other(office: Office) -> None:
    """Approving, undoing and each end of a case are signed as different things."""
    desk, _ = at_desk(office)
    links = [desk.undo(CAROL, CASE), desk.stand_down(CAROL, CASE, outcome="false-alarm")]
    links += [
        desk.stand_down(CAROL, CASE, outcome="not-contained"),
        desk.approve(CAROL, CASE, digest=digest_of(office)),
    ]
    tokens = [token_of(each.link) for each in links if each is not None]
    assert len(tokens) == 4
    said = {token: answer(office, token, "carol") for token in tokens}
    for token in tokens:
        for other in tokens:
            if other != token:
                with pytest.raises(NotApproved, match="challenge"):
                    step_up.redeem(office.wiring, token, said[other], address="")
    assert confirmed(office) == []
    assert office.wiring.incident(CASE).approvals == ()


def test_a_link_confirms_once(office: Office) -> None:
    """Whoever sends it again, or races."""
    desk, _ = at_desk(office)
    made = desk.undo(ALICE, CASE)
    assert made is not None
    token = token_of(made.link)
    said = answer(office, token, "alice")
    step_up.redeem(office.wiring, token, said, address="")
    with pytest.raises(NotApproved, match="has been used"):
        step_up.redeem(office.wiring, token, said, address="")
    assert len(confirmed(office)) == 1


def test_a_link_is_void_when_the_plan_changes_or_the_role_goes(office: Office) -> None:
    """Everything is asked again at the moment it counts."""
    desk, _ = at_desk(office)
    made = desk.undo(CAROL, CASE)
    assert made is not None
    token = token_of(made.link)
    said = answer(office, token, "carol")
    office.without("carol", "contain")
    with pytest.raises(NotApproved, match="does not hold the role contain"):
        step_up.redeem(office.wiring, token, said, address="")
    office.roster()
    office.plan(CONTAIN, DESTROY)
    with pytest.raises(NotApproved, match="the plan has changed"):
        step_up.redeem(office.wiring, token, said, address="")
    assert confirmed(office) == []


def test_without_the_role_or_a_passkey_there_is_no_link(office: Office) -> None:
    """Bob may approve, not undo; the attempt is recorded."""
    desk, _ = at_desk(office)
    with pytest.raises(NotApproved):
        desk.undo(BOB, CASE)
    remove_passkey(office.wiring, office.authenticators["alice"].id, person="alice", by="x", reason="lost")
    with pytest.raises(NotApproved, match="no passkey of alice is enrolled"):
        desk.stand_down(ALICE, CASE, outcome="false-alarm")
    assert len(office.refusals()) == 2


def test_at_the_terminal_a_one_time_code_confirms(office: Office) -> None:
    """A wrong one does not; the method stands in the record."""
    secret = pyotp.random_base32()
    (office.root / "alice.totp").write_text(secret)
    alice = PEOPLE_BY_NAME["alice"] | {"totp": f"file:{office.root / 'alice.totp'}"}
    office.roster([alice, *(each for each in PEOPLE_BY_NAME.values() if each["name"] != "alice")])
    desk, background = at_desk(office)
    here = Actor(account="alice", via="cli")
    for wrong in ("", "000000"):
        with pytest.raises(NotApproved):
            desk.undo(here, CASE, code=wrong)
    assert desk.undo(here, CASE, code=pyotp.TOTP(secret).at(office.now)) is None
    assert background.started == [("undo by alice", CASE)]
    assert [(each.by, each.method) for each in confirmed(office)] == [("alice", "totp")]


def test_what_a_removed_passkey_approved_counts_no_more(office: Office) -> None:
    """A device that was stolen may have approved; whoever lost it approves again with another."""
    desk, _ = at_desk(office)
    wiring = office.wiring
    for who, name in ((BOB, "bob"), (CAROL, "carol")):
        made = desk.approve(who, CASE, digest=digest_of(office))
        assert made is not None
        token = token_of(made.link)
        step_up.redeem(wiring, token, answer(office, token, name), address="")
    assert gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    lost = office.authenticators["bob"].id
    remove_passkey(wiring, lost, person="bob", by="admin", reason="stolen")
    assert not gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    office.enrol("bob")
    made = desk.approve(BOB, CASE, digest=digest_of(office))
    assert made is not None
    token = token_of(made.link)
    step_up.redeem(wiring, token, answer(office, token, "bob"), address="")
    assert gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    assert len(wiring.records.of_kind(EventKind.APPROVAL_GIVEN)) == 3


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


def test_what_makes_no_sense_gives_no_link(office: Office) -> None:
    """Closing as recovered what was never contained is refused before anybody is asked for a passkey."""
    desk, _ = at_desk(office)
    with pytest.raises(InvalidInput, match="never proven contained"):
        desk.stand_down(ALICE, CASE, outcome="recovered")
    assert office.wiring.records.of_kind(EventKind.APPROVAL_ASKED) == []
