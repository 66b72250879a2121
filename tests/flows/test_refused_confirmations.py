"""A stolen chat account, a second try or the wrong circumstances take nothing back and end nothing."""

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
    PEOPLE_BY_NAME,
    Office,
    answer,
    at_desk,
    digest_of,
    token_of,
)
from fakes.authenticator import Lie
from to_confirm import case_to_confirm, confirmed

from flows import step_up
from flows.confirmations import carry_out
from flows.passkey_register import remove_passkey
from playbooks import deeds
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.progress import gate_open
from playbooks.record import EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case with a step to take back."""
    with case_to_confirm(tmp_path) as office:
        yield office


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
