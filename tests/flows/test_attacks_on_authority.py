"""Attacks on who may: one human as two, borrowed names, short digests, ended rights, guessed codes, stolen links."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyotp
import pytest
from approvers import (
    BOB,
    CASE,
    CREDENTIAL,
    DESTROY,
    PEOPLE,
    RENEW,
    START,
    Office,
    at_desk,
    digest_of,
    open_office,
    token_of,
)

from flows import step_up
from flows.admission import at_terminal
from flows.break_glass import break_glass
from flows.intake import take_in
from flows.lookup import SHORTEST_DIGEST
from integrations.one_time_codes import PAUSE, WRONG_IN_A_ROW, OneTimeCodes
from integrations.passkeys import challenge_of
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.gates import satisfied
from playbooks.progress import gate_open
from playbooks.record import INSTALLATION, EventKind

BOB_AT_TERMINAL = Actor(account="bob-l", via="cli")
NEWCOMER: dict[str, Any] = {"name": "newcomer", "roles": ["approve", "retire"]}


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's, with steps that nobody, one and two people must let through."""
    with open_office(tmp_path) as found:
        found.case()
        yield found


def by_passkey(office: Office, person: str, incident: str = CASE) -> None:
    """The person opens a link of their own and touches their authenticator."""
    authenticator = office.authenticators.get(person) or office.enrol(person)
    token = token_of(
        step_up.ask(office.wiring, incident, person=person, digest=digest_of(office, incident), via="slack").link
    )
    said = authenticator.get(step_up.look(office.wiring, token).options)
    step_up.redeem(office.wiring, token, said, address="")


def is_open(office: Office, step: Any) -> bool:
    """Would the step run now?"""
    return gate_open(office.wiring.incident(CASE), step, office.wiring.authority())


# --- one human as two ------------------------------------------------------------------------------

TWINS: dict[str, dict[str, Any]] = {
    "the same mailbox": {"email": "Bob+second@Example.com"},
    "the same one-time secret": {"totp": "file:./bob.totp"},
    "the same Slack account": {"slack": ["UBOB"]},
    "the same name to the eye": {"display": "B\u043eb"},
    "the same name in full width": {"display": "\uff22\uff2f\uff22"},
    "the same name with something unseen": {"display": "bob\u200b"},
    "another's name as a login": {"logins": ["bob"]},
    "another's login": {"logins": ["bob-l"]},
    "another's name": {"name": "bob"},
}


@pytest.mark.parametrize("twin", TWINS.values(), ids=TWINS.keys())
def test_a_human_who_stands_in_the_roster_twice_counts_nowhere(office: Office, twin: dict[str, Any]) -> None:
    """The roster is refused as a whole, and says at what it stumbled; nobody approves until it is plain."""
    office.enrol("carol")
    bob = {**PEOPLE[1], "email": "bob@example.com", "totp": "file:./bob.totp", "display": "Bob"}
    others = [each for each in PEOPLE if each["name"] != "bob"]
    for order in ([NEWCOMER | twin, bob, *others], [bob, *others, NEWCOMER | twin]):
        office.roster(order)
        with pytest.raises(InvalidInput, match="stands at two people"):
            _ = office.wiring.roster
        with pytest.raises(NotApproved, match="nobody counts"):
            step_up.ask(office.wiring, CASE, person="carol", digest=digest_of(office), via="slack")


@pytest.mark.parametrize("account", ["B0123", "ubob2", "U BOB", "<@UBOB>", "U1|x", "*", ""])
def test_what_is_no_members_id_stands_in_no_roster(office: Office, account: str) -> None:
    """Neither a bot's, nor a pattern, nor markup."""
    office.roster([*PEOPLE, NEWCOMER | {"slack": [account]}])
    with pytest.raises(InvalidInput):
        _ = office.wiring.roster


def test_one_person_with_two_chat_accounts_and_two_passkeys_counts_once(office: Office) -> None:
    """Also with a broken glass on top."""
    office.roster([{**each, "slack": ["UBOB", "UBOB2"]} if each["name"] == "bob" else each for each in PEOPLE])
    by_passkey(office, "bob")
    desk, _ = at_desk(office)
    assert desk.approve(Actor(account="UBOB2", via="slack"), CASE, digest=digest_of(office)) is None
    office.enrol("bob")
    with pytest.raises(NotApproved, match="counts once"):
        by_passkey(office, "bob")
    break_glass(office.wiring, BOB_AT_TERMINAL, CASE, digest=digest_of(office), reason="a second try")
    assert not is_open(office, DESTROY)


@pytest.mark.parametrize("written", ["ALICE", " alice ", "\uff41lice", "ali\u200bce", "Alice\u202e", "AL\u0130CE"])
def test_whoever_asked_does_not_approve_under_another_spelling(office: Office, written: str) -> None:
    """Case, width and characters that cannot be seen make no second person; a dotted I makes a stranger to nobody."""
    incident = office.wiring.incident(CASE)
    assert incident.plan is not None
    office.write(EventKind.APPROVAL_GIVEN, approver=written, digest=incident.plan.digest, method="cli")
    incident = office.wiring.incident(CASE)
    may, _ = satisfied(RENEW, incident.plan, incident.approvals, requested_by=incident.requested_by)
    assert may is (written == "AL\u0130CE")
    assert not is_open(office, RENEW)


def test_at_the_terminal_nobody_is_somebody_else(office: Office) -> None:
    """The login decides; a name that is claimed must be its own."""
    assert at_terminal(office.wiring, login="bob-l", claimed="BOB").account == "bob-l"
    for claimed in ("carol", "b\u043eb", "bob,carol", "bob\x00carol"):
        with pytest.raises(NotApproved):
            at_terminal(office.wiring, login="bob-l", claimed=claimed)


# --- who asked, when a machine did -----------------------------------------------------------------


def test_what_a_detector_opened_nobody_opens_the_grave_steps_of_alone(tmp_path: Path) -> None:
    """Whoever made the detector speak counts at most as one; a detector with a person's name is not that person."""
    finding = Signal(
        source="bob",
        external_id="made up",
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=CREDENTIAL.rpartition("/")[2]),),
        summary="bob says so",
        observed_at=START,
        confidence=0.3,
    )
    with open_office(tmp_path) as office:
        incident_id = take_in(office.wiring, finding).incident
        assert office.wiring.incident(incident_id).requested_by == "detector:bob"
        office.plan(RENEW, DESTROY, incident=incident_id)
        by_passkey(office, "bob", incident_id)
        authority = office.wiring.authority()
        assert not gate_open(office.wiring.incident(incident_id), DESTROY, authority)
        by_passkey(office, "carol", incident_id)
        assert gate_open(office.wiring.incident(incident_id), DESTROY, authority)


# --- digests ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 8, SHORTEST_DIGEST - 1])
def test_a_digest_so_short_that_another_plan_could_have_it_names_no_plan(office: Office, length: int) -> None:
    """Neither to approve, nor to deny, nor to break the glass."""
    desk, _ = at_desk(office)
    office.enrol("bob")
    short = digest_of(office)[:length]
    moves = (
        lambda: desk.approve(BOB, CASE, digest=short),
        lambda: desk.deny(BOB, CASE, digest=short, reason="no"),
        lambda: step_up.ask(office.wiring, CASE, person="bob", digest=short, via="cli"),
        lambda: break_glass(office.wiring, BOB_AT_TERMINAL, CASE, digest=short, reason="now"),
    )
    for move in moves:
        with pytest.raises(InvalidInput, match="digest"):
            move()
    assert office.wiring.incident(CASE).approvals == office.wiring.incident(CASE).denials == ()


@pytest.mark.parametrize("forged", ["\x00", "%", "*", "g" * 64, "A" * 64, " ", "../" * 8])
def test_what_is_no_digest_names_no_plan(office: Office, forged: str) -> None:
    """Only the plan's own digits do."""
    with pytest.raises(InvalidInput):
        at_desk(office)[0].approve(BOB, CASE, digest=forged)


def test_a_passkey_signs_the_whole_digest() -> None:
    """Two plans whose digests begin alike ask for different signatures."""
    one, other = "a" * 63 + "0", "a" * 63 + "1"
    assert challenge_of(b"n", digest=one, approver="bob") != challenge_of(b"n", digest=other, approver="bob")


# --- rights that ended -----------------------------------------------------------------------------


def test_a_glass_broken_by_somebody_whose_role_ended_opens_nothing(office: Office) -> None:
    """Neither when it has ended before, nor when it ends between the word and the step."""
    ended = [{"role": "approve", "until": "2027-03-01"}, {"role": "retire", "until": "2027-03-02"}]
    office.roster([{**each, "roles": ended} if each["name"] == "bob" else each for each in PEOPLE])
    break_glass(office.wiring, BOB_AT_TERMINAL, CASE, digest=digest_of(office), reason="one role is left")
    by_passkey(office, "carol")
    assert is_open(office, RENEW)
    assert is_open(office, DESTROY)
    office.later(days=1)
    assert not is_open(office, DESTROY)
    with pytest.raises(NotApproved, match="not valid on"):
        break_glass(office.wiring, BOB_AT_TERMINAL, CASE, digest=digest_of(office), reason="again")


def test_a_chat_account_that_nobody_claims_any_more_is_nobodys(office: Office) -> None:
    """A deactivated member, a guest, a bot or one of another workspace: the roster alone says who is meant."""
    desk, started = at_desk(office)
    office.roster([{**each, "slack": []} if each["name"] == "bob" else each for each in PEOPLE])
    for account in ("UBOB", "ubob", "UBOB ", "B0BOT", "USLACKBOT", "<@UBOB>", "T0OTHER:UBOB", "bob", "bob-l", ""):
        stranger = Actor(account=account, via="slack")
        for move in (
            lambda actor=stranger: desk.approve(actor, CASE, digest=digest_of(office)),
            lambda actor=stranger: desk.contain(actor, CASE),
            lambda actor=stranger: desk.card(actor, CASE),
        ):
            with pytest.raises(NotApproved):
                move()
    assert started.started == []


# --- one-time codes --------------------------------------------------------------------------------


def test_one_time_codes_cannot_be_guessed_by_starting_again(tmp_path: Path) -> None:
    """The count of wrong ones, and which was used last, outlive the process; a right one waits too."""
    secret = pyotp.random_base32()
    (tmp_path / "totp").write_text(secret, encoding="utf-8")
    now = START
    right = pyotp.TOTP(secret).at(now)
    wrong = next(code for code in ("000000", "000001", "000002", "000003") if code != right)

    def attempt(code: str) -> None:
        again = OneTimeCodes(tmp_path / "codes.json", clock=lambda: now)
        again.accept("bob", code, secret=f"file:{tmp_path / 'totp'}")

    for _ in range(WRONG_IN_A_ROW):
        with pytest.raises(NotApproved, match="not right"):
            attempt(wrong)
    for code in (wrong, right, f" {right} "):
        with pytest.raises(NotApproved, match="in a row"):
            attempt(code)
    now += PAUSE
    right = pyotp.TOTP(secret).at(now)
    attempt(right)
    for again in (right, f"{right[:3]} {right[3:]}", right.translate({48 + each: 0xFF10 + each for each in range(10)})):
        with pytest.raises(NotApproved, match=r"used already|not right"):
            attempt(again)


# --- links and passkeys ----------------------------------------------------------------------------


def test_a_link_is_known_by_its_hash_alone_wherever_it_is_kept(office: Office) -> None:
    """The state folder, with the record, holds no token of a link that could still be used."""
    office.enrol("bob")
    links = [
        step_up.ask(office.wiring, CASE, person="bob", digest=digest_of(office), via="slack").link,
        step_up.invite(office.wiring, person="carol", by="admin").link,
    ]
    kept = b"".join(each.read_bytes() for each in office.wiring.settings.state.rglob("*") if each.is_file())
    for link in links:
        assert token_of(link).encode() not in kept
        assert hashlib.sha256(token_of(link).encode()).hexdigest().encode() in kept


def test_a_stolen_invitation_is_told_also_when_no_case_is_open(tmp_path: Path) -> None:
    """At once, by every channel; when none takes it, a note says that nobody heard."""
    messengers = [{"type": "file", "root": str(tmp_path / "told")}]
    with open_office(tmp_path / "office", messengers=messengers) as office:
        office.enrol("bob")
        told = [json.loads(each.read_text()) for each in (tmp_path / "told").glob("*.json")]
        assert [each["subject"] for each in told] == ["bob has a new passkey"]
        assert office.wiring.records.of_kind(EventKind.NOTE, incident=INSTALLATION) == []
    with open_office(tmp_path / "quiet") as office:
        office.enrol("bob")
        notes = office.wiring.records.of_kind(EventKind.NOTE, incident=INSTALLATION)
        assert ["Nobody was told" in str(each.body["text"]) for each in notes] == [True]


def test_a_passkey_that_appeared_too_lately_does_not_count_where_the_team_says_so(office: Office) -> None:
    """A thief who enrols in the middle of a case waits, and is seen meanwhile."""
    office.roster(rules={"passkey_age_hours": 24})
    with pytest.raises(NotApproved, match="less than 24 hours ago"):
        by_passkey(office, "bob")
    office.later(hours=25)
    by_passkey(office, "bob")
    assert [each.approver for each in office.wiring.incident(CASE).approvals] == ["bob"]
