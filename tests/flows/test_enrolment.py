"""Enrolling a passkey: by invitation, once, for one person, and seen by everybody who responds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from approvers import CASE, Office, open_office, token_of
from fakes.authenticator import PRESENT, Lie, SoftAuthenticator, encoded

from flows import step_up
from flows.passkey_register import read_register
from playbooks.errors import InvalidInput, NotApproved
from playbooks.record import EventKind


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's, and passkeys of bob and carol."""
    with open_office(tmp_path) as office:
        office.enrol("bob")
        office.enrol("carol")
        office.case()
        yield office


def invitation(office: Office, person: str = "alice") -> str:
    return token_of(step_up.invite(office.wiring, person=person, by="admin").link)


def test_an_invitation_is_good_once_and_for_a_while(office: Office) -> None:
    """Used or expired, it is refused and recorded."""
    token, late = invitation(office), invitation(office)
    options = step_up.invited(office.wiring, token).options
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["authenticatorSelection"]["residentKey"] == "preferred"
    made = SoftAuthenticator().create(options)
    assert step_up.enrol(office.wiring, token, made, label="  yellow\nkey ") == "alice"
    with pytest.raises(NotApproved, match="has been used"):
        step_up.enrol(office.wiring, token, SoftAuthenticator().create(options), label="")
    office.later(minutes=6)
    with pytest.raises(NotApproved, match="expired"):
        step_up.invited(office.wiring, late)
    with pytest.raises(NotApproved, match="not known"):
        step_up.invited(office.wiring, "guess")
    assert [why for _, why in office.refused_here()] == [
        "the link has been used",
        "the link has expired",
        "the link is not known here",
    ]
    assert [each.label for each in read_register(office.wiring).of("alice")] == ["yellowkey"]


def test_a_new_passkey_is_noted_in_every_open_case(office: Office) -> None:
    """Whoever responds sees that one appeared in the middle of it."""
    token = invitation(office)
    made = SoftAuthenticator().create(step_up.invited(office.wiring, token).options)
    step_up.enrol(office.wiring, token, made, label="")
    notes = [str(each.body["text"]) for each in office.wiring.records.of_kind(EventKind.NOTE, incident=CASE)]
    assert notes == ["alice enrolled a passkey; admin had invited them."]


def test_an_authenticator_belongs_to_one_person(office: Office) -> None:
    """Bob's, offered by alice, is refused; bob's own browser leaves it out."""
    bobs = office.authenticators["bob"]
    token = invitation(office)
    made = bobs.create(step_up.invited(office.wiring, token).options)
    with pytest.raises(NotApproved, match="enrolled already"):
        step_up.enrol(office.wiring, token, made, label="")
    excluded = step_up.invited(office.wiring, invitation(office, "bob")).options["excludeCredentials"]
    assert [each["id"] for each in excluded] == [bobs.id]


ENROLMENT_LIES = {
    "no user verification": Lie(flags=PRESENT),
    "another origin": Lie(origin="https://evil.example"),
    "another relying party": Lie(rp_id="evil.example"),
    "another challenge": Lie(challenge=encoded(b"0" * 32)),
    "inside a frame": Lie(cross_origin=True),
}


@pytest.mark.parametrize("lie", ENROLMENT_LIES.values(), ids=ENROLMENT_LIES.keys())
def test_an_enrolment_that_departs_from_what_was_asked_is_refused(office: Office, lie: Lie) -> None:
    """Nothing is enrolled, and the link stays good for an honest answer."""
    token = invitation(office)
    options = step_up.invited(office.wiring, token).options
    with pytest.raises(NotApproved):
        step_up.enrol(office.wiring, token, SoftAuthenticator().create(options, lie), label="")
    assert read_register(office.wiring).of("alice") == []
    assert step_up.enrol(office.wiring, token, SoftAuthenticator().create(options), label="") == "alice"


def test_only_people_of_the_roster_are_invited(office: Office) -> None:
    """Not strangers, and not those who left; one who leaves before enrolling is refused."""
    with pytest.raises(InvalidInput, match="nobody in the roster"):
        step_up.invite(office.wiring, person="mallory", by="admin")
    with pytest.raises(InvalidInput, match="has left"):
        step_up.invite(office.wiring, person="frank", by="admin")
    token = invitation(office)
    office.roster([{"name": "bob", "roles": ["approve"]}])
    with pytest.raises(NotApproved, match="nobody in the roster"):
        step_up.invited(office.wiring, token)


def test_without_a_roster_there_is_nothing_to_step_up_to(tmp_path: Path) -> None:
    """Nobody is invited, and nobody gets a link."""
    with open_office(tmp_path, roster=False) as office:
        plan = office.case()
        with pytest.raises(InvalidInput, match="no roster"):
            step_up.invite(office.wiring, person="bob", by="admin")
        with pytest.raises(NotApproved, match="no roster"):
            step_up.ask(office.wiring, CASE, person="bob", digest=plan.digest, via="cli")
