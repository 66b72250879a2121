"""A stolen chat account takes nothing back and ends nothing: undo and the end of a case need a passkey or a code."""

from __future__ import annotations

import threading
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
    ERIN,
    PEOPLE_BY_NAME,
    Office,
    at_desk,
    digest_of,
    open_office,
    token_of,
)
from fakes.authenticator import Lie

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


RULES = {
    "hours": ({"hours": {"from": 18, "to": 20}}, "outside the hours"),
    "network": ({"networks": ["192.168.0.0/16"]}, "network"),
    "a fresh passkey": ({"passkey_age_hours": 24}, "enrolled less than 24 hours ago"),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_circumstances_that_the_roster_doubts_confirm_nothing(office: Office, rule: tuple[dict[str, Any], str]) -> None:
    """The rules are those of approvals, and nobody is told to break a glass that opens nothing here."""
    office.roster(rules=rule[0])
    desk, _ = at_desk(office)
    made = desk.undo(ALICE, CASE)
    assert made is not None
    token = token_of(made.link)
    with pytest.raises(NotApproved, match=rule[1]) as refusal:
        step_up.redeem(office.wiring, token, answer(office, token, "alice"), address="10.0.0.7")
    assert refusal.value.hint == "Ask another person."
    assert confirmed(office) == []


@pytest.mark.parametrize("rule", [RULES["hours"]], ids=["hours"])
def test_a_one_time_code_out_of_hours_confirms_nothing(office: Office, rule: tuple[dict[str, Any], str]) -> None:
    """The code is not used up by it."""
    secret = pyotp.random_base32()
    (office.root / "alice.totp").write_text(secret)
    alice = PEOPLE_BY_NAME["alice"] | {"totp": f"file:{office.root / 'alice.totp'}"}
    office.roster([alice], rules=rule[0])
    desk, _ = at_desk(office)
    here, code = Actor(account="alice", via="cli"), pyotp.TOTP(secret).at(office.now)
    with pytest.raises(NotApproved, match=rule[1]):
        desk.stand_down(here, CASE, outcome="false-alarm", code=code)
    assert office.wiring.incident(CASE).closed is None
    office.roster([alice])
    assert desk.stand_down(here, CASE, outcome="false-alarm", code=code) is None
    assert office.wiring.incident(CASE).closed is not None


def test_only_the_passkey_of_the_person_and_only_while_it_is_enrolled_confirms(office: Office) -> None:
    """Another responder's does not, nor one that was removed between the link and the touch."""
    desk, _ = at_desk(office)
    made = desk.undo(ALICE, CASE)
    assert made is not None
    token = token_of(made.link)
    options = step_up.look(office.wiring, token).options
    carols = office.authenticators["carol"].get(options, asked=False)
    with pytest.raises(NotApproved, match="that of carol"):
        step_up.redeem(office.wiring, token, carols, address="")
    own = office.authenticators["alice"].get(options)
    remove_passkey(office.wiring, office.authenticators["alice"].id, person="alice", by="admin", reason="lost")
    with pytest.raises(NotApproved, match="not enrolled here"):
        step_up.redeem(office.wiring, token, own, address="")
    assert confirmed(office) == []


def test_a_link_to_confirm_expires_and_is_void_once_there_is_nothing_left_to_do(office: Office) -> None:
    """Somebody else closed the case otherwise; an hour went by."""
    desk, background = at_desk(office)
    made = desk.stand_down(ALICE, CASE, outcome="false-alarm")
    other = desk.stand_down(CAROL, CASE, outcome="not-contained")
    assert made is not None
    assert other is not None
    token, said = token_of(made.link), answer(office, token_of(made.link), "alice")
    late = token_of(other.link)
    step_up.redeem(office.wiring, late, answer(office, late, "carol"), address="")
    carry_out(office.wiring, background, CASE, by="carol", deed=deeds.closing("not-contained"))
    with pytest.raises(NotApproved, match="was closed as not-contained by carol"):
        step_up.redeem(office.wiring, token, said, address="")
    undo = desk.undo(CAROL, CASE)
    assert undo is not None
    office.later(hours=1)
    with pytest.raises(NotApproved, match="the link has expired"):
        step_up.look(office.wiring, token_of(undo.link))


def test_racing_touches_of_one_link_confirm_once(office: Office) -> None:
    """Eight browsers at the same moment: one confirmation, one chain."""
    desk, _ = at_desk(office)
    made = desk.undo(ALICE, CASE)
    assert made is not None
    token = token_of(made.link)
    options = step_up.look(office.wiring, token).options
    said = [office.authenticators["alice"].get(options, Lie(sign_count=0)) for _ in range(8)]
    together = threading.Barrier(8)
    refused: list[str] = []

    def redeem(each: dict[str, Any]) -> None:
        together.wait()
        try:
            step_up.redeem(office.wiring, token, each, address="")
        except NotApproved as error:
            refused.append(error.message)

    threads = [threading.Thread(target=redeem, args=(each,)) for each in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(confirmed(office)) == 1
    assert len(refused) == 7
    verify_chain(office.wiring.records.events(CASE))


def test_a_removed_passkey_never_comes_back(office: Office) -> None:
    """Enrolled again, what it approved before would count again."""
    lost = office.authenticators["bob"]
    remove_passkey(office.wiring, lost.id, person="bob", by="admin", reason="stolen")
    token = token_of(step_up.invite(office.wiring, person="bob", by="admin").link)
    made = lost.create(step_up.invited(office.wiring, token).options)
    with pytest.raises(NotApproved, match="this passkey was removed"):
        step_up.enrol(office.wiring, token, made, label="")
    assert lost.id in office.wiring.authority().removed


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
