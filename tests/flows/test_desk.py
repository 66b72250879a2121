"""The desk: every way in asks the roster afresh, and what it refuses is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

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
    LEAK,
    MALLORY,
    PEOPLE,
    PEOPLE_BY_NAME,
    RENEW,
    Office,
    at_desk,
    digest_of,
    open_office,
    token_of,
)

from flows import step_up
from playbooks.desk import Actor, Desk
from playbooks.errors import InvalidInput, NotApproved
from playbooks.progress import gate_open
from playbooks.record import EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's; nobody has a passkey yet."""
    with open_office(tmp_path) as office:
        office.case()
        yield office


# --- who may -------------------------------------------------------------------------------------

MOVES: dict[str, tuple[Callable[[Desk, Actor, str], object], set[str]]] = {
    "declare": (lambda desk, who, _: desk.declare(who, [LEAK], severity="high"), {"alice"}),
    "recognise": (lambda desk, who, _: desk.recognise(who, "nothing to see"), {"alice"}),
    "contain": (lambda desk, who, _: desk.contain(who, CASE), {"alice", "carol"}),
    "acknowledge": (lambda desk, who, _: desk.acknowledge(who, CASE), {"alice", "carol"}),
    "stand down": (lambda desk, who, _: desk.stand_down(who, CASE, outcome="false-alarm"), {"alice", "carol"}),
    "deny": (lambda desk, who, plan: desk.deny(who, CASE, digest=plan, reason="wait"), {"bob", "carol"}),
    "export": (lambda desk, who, _: desk.export(who, CASE), {"dave"}),
    "card": (lambda desk, who, _: desk.card(who, CASE), {"alice", "bob", "carol", "dave", "erin"}),
    "plan": (lambda desk, who, _: desk.plan(who, CASE), {"alice", "bob", "carol", "dave", "erin"}),
    "who": (lambda desk, who, _: desk.who(who, CASE), {"alice", "bob", "carol", "dave", "erin"}),
    "incidents": (lambda desk, who, _: desk.incidents(who), {"alice", "bob", "carol", "dave", "erin"}),
    "targets": (lambda desk, who, _: desk.targets(who, "checkout"), {"alice", "bob", "carol", "dave", "erin"}),
    "incident of": (lambda desk, who, _: desk.incident_of(who, "C1"), {"alice", "bob", "carol", "dave", "erin"}),
}
EVERYBODY = ("alice", "bob", "carol", "dave", "erin", "frank", "mallory")


@pytest.mark.parametrize("name", EVERYBODY)
@pytest.mark.parametrize("move", MOVES)
def test_each_move_needs_its_role(office: Office, move: str, name: str) -> None:
    """Who left and who is nobody may nothing; what was refused stands in the record, what was done does not."""
    act, allowed = MOVES[move]
    desk, _ = at_desk(office)
    who = Actor(account=f"U{name.upper()}", via="slack")
    if move == "stand down" and name in allowed:
        office.enrol(name)
    if name in allowed:
        act(desk, who, digest_of(office))
        assert office.refusals() + office.refused_here() == []
        return
    with pytest.raises(NotApproved) as refusal:
        act(desk, who, digest_of(office))
    assert refusal.value.hint
    [(by, why)] = office.refusals() + office.refused_here()
    assert by == ("UMALLORY" if name == "mallory" else name)
    assert why
    assert len(office.wiring.records.incidents()) == 1
    assert office.wiring.incident(CASE).closed is None
    verify_chain(office.wiring.records.events(CASE))


def test_undo_needs_the_role_and_something_to_undo(office: Office) -> None:
    """And then a passkey: a click alone starts nothing."""
    desk, background = at_desk(office)
    with pytest.raises(NotApproved):
        desk.undo(BOB, CASE)
    with pytest.raises(InvalidInput, match="nothing to undo"):
        desk.undo(ALICE, CASE)
    office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
    office.enrol("alice")
    assert desk.undo(ALICE, CASE) is not None
    assert background.started == []


def test_in_an_exercise_the_role_of_that_name_declares_and_contains(tmp_path: Path) -> None:
    """It approves nothing, and in a real case it does nothing."""
    with open_office(tmp_path, exercise=True) as office:
        office.case(exercise=True)
        desk, background = at_desk(office)
        desk.contain(ERIN, CASE)
        assert background.started == [("contain", CASE)]
        with pytest.raises(NotApproved):
            desk.deny(ERIN, CASE, digest=digest_of(office), reason="wait")


def test_an_exercise_within_a_real_installation_counts_as_one(office: Office) -> None:
    """The incident itself says so."""
    office.case(incident="KQ-DRILL", exercise=True)
    desk, background = at_desk(office)
    desk.contain(ERIN, "KQ-DRILL")
    with pytest.raises(NotApproved):
        desk.contain(ERIN, CASE)
    assert background.started == [("contain", "KQ-DRILL")]


def test_the_same_refusal_is_written_once_a_minute(office: Office) -> None:
    """A hundred clicks fill no record; a minute later it is written again."""
    desk, _ = at_desk(office)
    for _ in range(100):
        with pytest.raises(NotApproved):
            desk.contain(MALLORY, CASE)
    assert len(office.refusals()) == 1
    office.later(seconds=61)
    with pytest.raises(NotApproved):
        desk.contain(MALLORY, CASE)
    assert len(office.refusals()) == 2


def test_many_accounts_cannot_flood_the_record_either(office: Office) -> None:
    """A hundred strangers leave thirty lines."""
    desk, _ = at_desk(office)
    for number in range(100):
        with pytest.raises(NotApproved):
            desk.contain(Actor(account=f"U{number}", via="slack"), CASE)
    assert len(office.refusals()) == 30


def test_a_stranger_does_not_learn_which_incidents_there_are(office: Office) -> None:
    """An incident that is not there is refused like one that is."""
    desk, _ = at_desk(office)
    with pytest.raises(NotApproved):
        desk.card(MALLORY, "quiet-nothing")
    with pytest.raises(InvalidInput, match="no incident"):
        desk.card(ALICE, "quiet-nothing")


def test_who_leaves_loses_everything_with_the_next_click(office: Office) -> None:
    """The roster is read again each time."""
    desk, _ = at_desk(office)
    desk.contain(ALICE, CASE)
    office.roster([each | ({"left": "2027-03-02"} if each["name"] == "alice" else {}) for each in PEOPLE])
    with pytest.raises(NotApproved, match="has left"):
        desk.contain(ALICE, CASE)


def test_a_broken_roster_lets_nobody_do_anything_but_read_at_the_terminal(office: Office) -> None:
    """Fails closed, and says which line is wrong."""
    (office.root / "roster.yaml").write_text("people: [{name: bob, roles: [everything]}]", encoding="utf-8")
    desk, background = at_desk(office)
    at_terminal = Actor(account="alice", via="cli")
    for who in (ALICE, at_terminal):
        with pytest.raises(NotApproved, match="roster cannot be read"):
            desk.contain(who, CASE)
    with pytest.raises(NotApproved):
        desk.card(ALICE, CASE)
    assert desk.card(at_terminal, CASE).id == CASE
    assert "roster cannot be read" in " ".join(desk.who(at_terminal, CASE))
    assert background.started == []


@pytest.mark.parametrize("via", ["slack", "web", "pagerduty"])
def test_without_a_roster_only_the_terminal_counts(tmp_path: Path, via: str) -> None:
    """There a name is a name; a chat account gives no right."""
    with open_office(tmp_path, roster=False) as office:
        office.case()
        desk, background = at_desk(office)
        with pytest.raises(NotApproved, match="no roster is configured"):
            desk.contain(Actor(account="alice", via=via), CASE)  # type: ignore[arg-type]
        desk.contain(Actor(account="alice", via="cli"), CASE)
        assert background.started == [("contain", CASE)]
        assert desk.approve(Actor(account="bob", via="cli"), CASE, digest=digest_of(office)) is None
        assert [each.method for each in office.wiring.incident(CASE).approvals] == ["cli"]


# --- approving -----------------------------------------------------------------------------------


def test_a_click_counts_where_all_is_reversible_and_one_persons(office: Office) -> None:
    """At once, and what it opens is started; a second click adds nothing."""
    office.plan(CONTAIN, RENEW)
    desk, background = at_desk(office)
    assert desk.approve(BOB, CASE, digest=digest_of(office)) is None
    wiring = office.wiring
    assert [(each.approver, each.method) for each in wiring.incident(CASE).approvals] == [("bob", "slack")]
    assert gate_open(wiring.incident(CASE), RENEW, wiring.authority())
    assert background.started == [("contain", CASE)]
    with pytest.raises(InvalidInput, match="nothing of"):
        desk.approve(BOB, CASE, digest=digest_of(office))


def test_a_click_is_a_wish_where_something_cannot_be_taken_back(office: Office) -> None:
    """It gives a link for this person and this plan, and approves nothing."""
    office.enrol("bob")
    desk, background = at_desk(office)
    made = desk.approve(BOB, CASE, digest=digest_of(office)[:12])
    assert made is not None
    assert made.link.startswith("http://localhost:8750/approve/")
    assert step_up.look(office.wiring, token_of(made.link)).approver == "bob"
    assert office.wiring.incident(CASE).approvals == ()
    assert background.started == []


def test_a_click_without_a_passkey_says_how_to_get_one(office: Office) -> None:
    """The attempt is recorded."""
    desk, _ = at_desk(office)
    with pytest.raises(NotApproved, match=r"no passkey of bob .* roster enrol bob"):
        desk.approve(BOB, CASE, digest=digest_of(office))
    assert office.refusals() == [("bob", "no passkey of bob is enrolled")]


def test_who_may_only_approve_is_not_asked_for_what_only_others_may_retire(office: Office) -> None:
    """Grace's click counts for the renewal; for the retirement she is refused."""
    office.roster([*PEOPLE, {"name": "grace", "slack": ["UGRACE"], "roles": ["approve"]}])
    grace = Actor(account="UGRACE", via="slack")
    desk, _ = at_desk(office)
    assert desk.approve(grace, CASE, digest=digest_of(office)) is None
    wiring = office.wiring
    assert gate_open(wiring.incident(CASE), RENEW, wiring.authority())
    assert not gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    with pytest.raises(NotApproved, match="role retire"):
        desk.approve(grace, CASE, digest=digest_of(office))


def test_the_requester_cannot_approve_and_that_is_recorded(office: Office) -> None:
    """Carol declared this one."""
    office.case(RENEW, requested_by="carol", incident="KQ-TEST-2")
    desk, _ = at_desk(office)
    plan = desk.plan(CAROL, "KQ-TEST-2")
    with pytest.raises(NotApproved, match="asked for this"):
        desk.approve(CAROL, "KQ-TEST-2", digest=plan.digest)
    assert office.refusals("KQ-TEST-2") == [("carol", "carol asked for this and cannot approve it")]


def test_a_digest_that_is_not_the_plans_approves_nothing(office: Office) -> None:
    """Of an earlier plan, too short, or made up."""
    desk, _ = at_desk(office)
    old = digest_of(office)
    office.plan(RENEW)
    for wrong in (old, digest_of(office)[:7], "", "f" * 64):
        for decide in (
            lambda given: desk.approve(BOB, CASE, digest=given),
            lambda given: desk.deny(BOB, CASE, digest=given, reason="no"),
        ):
            with pytest.raises(InvalidInput, match="digest"):
                decide(wrong)


def test_a_click_out_of_hours_is_refused(office: Office) -> None:
    """When the team has set hours."""
    office.roster(rules={"hours": {"from": 18, "to": 20}})
    office.plan(RENEW)
    desk, _ = at_desk(office)
    with pytest.raises(NotApproved, match="outside the hours"):
        desk.approve(BOB, CASE, digest=digest_of(office))
    assert office.wiring.incident(CASE).approvals == ()


def test_the_pager_approves_nothing(office: Office) -> None:
    """It acknowledges; more than that a stolen phone must not do."""
    office.plan(RENEW)
    desk, _ = at_desk(office)
    with pytest.raises(NotApproved, match="by pagerduty is no approval"):
        desk.approve(Actor(account="PBOB", via="pagerduty"), CASE, digest=digest_of(office))


def test_the_web_always_asks_for_the_passkey(office: Office) -> None:
    """Also where a click would do."""
    office.enrol("bob")
    office.plan(RENEW)
    desk, _ = at_desk(office)
    assert desk.approve(Actor(account="bob", via="web"), CASE, digest=digest_of(office)) is not None


def test_at_the_terminal_a_one_time_code_approves_what_is_not_grave(office: Office) -> None:
    """Right and once; a login alone is no approval."""
    secret = pyotp.random_base32()
    (office.root / "bob.totp").write_text(secret, encoding="utf-8")
    with_code = PEOPLE_BY_NAME["bob"] | {"totp": f"file:{office.root / 'bob.totp'}"}
    office.roster([each for each in PEOPLE if each["name"] != "bob"] + [with_code])
    office.plan(RENEW)
    desk, background = at_desk(office)
    bob = Actor(account="bob-l", via="cli")
    for wrong, why in (("", "not right"), ("000000", "not right")):
        with pytest.raises(NotApproved, match=why):
            desk.approve(bob, CASE, digest=digest_of(office), code=wrong)
    assert desk.approve(bob, CASE, digest=digest_of(office), code=pyotp.TOTP(secret).at(office.now)) is None
    assert [each.method for each in office.wiring.incident(CASE).approvals] == ["totp"]
    assert background.started == []
    assert ("bob", "the one-time code is not right.") in office.refusals()


def test_at_the_terminal_without_codes_a_passkey_must_do(office: Office) -> None:
    """Carol has no code set up: she gets a link, and a made-up code is refused."""
    office.enrol("carol")
    office.plan(RENEW)
    desk, _ = at_desk(office)
    carol = Actor(account="carol", via="cli")
    assert desk.approve(carol, CASE, digest=digest_of(office)) is not None
    with pytest.raises(NotApproved, match="no one-time codes"):
        desk.approve(carol, CASE, digest=digest_of(office), code="123456")


def test_one_no_stops_the_plan(office: Office) -> None:
    """With its reason, from which a secret is blanked."""
    office.plan(RENEW)
    desk, _ = at_desk(office)
    desk.approve(BOB, CASE, digest=digest_of(office))
    desk.deny(CAROL, CASE, digest=digest_of(office), reason="wait, password: hunter2hunter2")
    incident = office.wiring.incident(CASE)
    assert not gate_open(incident, RENEW, office.wiring.authority())
    assert incident.denials[0].approver == "carol"
    assert "hunter2" not in incident.denials[0].reason
