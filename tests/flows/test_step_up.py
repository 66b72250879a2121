"""Approving with a passkey: what counts, and everything that does not, each attempt recorded."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from approvers import CASE, CONTAIN, DESTROY, RENEW, Office, answer, open_office, token_of
from fakes.authenticator import PRESENT, Lie, SoftAuthenticator, decoded, encoded

from flows import step_up
from flows.engine import step_once
from flows.passkey_register import remove_passkey
from playbooks.errors import InvalidInput, NotApproved, RecordError
from playbooks.event_bodies import ApprovalGiven, read_body
from playbooks.plans import Plan
from playbooks.progress import gate_open
from playbooks.record import INSTALLATION, EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's, and passkeys of bob and carol."""
    with open_office(tmp_path) as office:
        office.enrol("bob")
        office.enrol("carol")
        office.case()
        yield office


def plan_of(office: Office) -> Plan:
    plan = office.wiring.incident(CASE).plan
    assert plan is not None
    return plan


def link(office: Office, person: str) -> str:
    """The token of a fresh link."""
    digest = plan_of(office).digest
    return token_of(step_up.ask(office.wiring, CASE, person=person, digest=digest, via="slack").link)


def approve(office: Office, person: str, *, address: str = "10.0.0.7") -> str:
    token = link(office, person)
    return step_up.redeem(office.wiring, token, answer(office, token, person), address=address)


def given(office: Office) -> list[ApprovalGiven]:
    events = office.wiring.records.of_kind(EventKind.APPROVAL_GIVEN)
    return [body for each in events if isinstance(body := read_body(each), ApprovalGiven)]


def test_two_people_with_passkeys_open_the_gate_of_what_cannot_be_taken_back(office: Office) -> None:
    """One is not enough; the record keeps how and from where, and stays a chain."""
    assert approve(office, "bob") == CASE
    wiring = office.wiring
    assert not gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    assert gate_open(wiring.incident(CASE), RENEW, wiring.authority())
    approve(office, "carol")
    assert gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    assert [(each.approver, each.method, each.address) for each in given(office)] == [
        ("bob", "webauthn", "10.0.0.7"),
        ("carol", "webauthn", "10.0.0.7"),
    ]
    verify_chain(wiring.records.events(CASE))


def test_the_page_shows_the_plan_whose_digest_is_signed(office: Office) -> None:
    """The canonical plan hashes to the digest, and only the person's own passkeys are asked for."""
    token = link(office, "bob")
    shown = step_up.look(office.wiring, token)
    assert shown.plan.canonical == shown.canonical
    assert shown.approver == "bob"
    assert [each["id"] for each in shown.options["allowCredentials"]] == [office.authenticators["bob"].id]
    assert shown.options["userVerification"] == "required"
    assert shown.options["rpId"] == "localhost"
    assert plan_of(office).digest[:12] in shown.plan_text


def test_neither_the_token_nor_anything_it_can_be_found_from_is_recorded(office: Office) -> None:
    """The record holds its SHA-256 alone."""
    token = link(office, "bob")
    step_up.redeem(office.wiring, token, answer(office, token, "bob"), address="")
    everything = repr(office.wiring.records.events(CASE)) + repr(office.wiring.records.events(INSTALLATION))
    assert token not in everything
    assert step_up.request_of(token) in everything


def test_recorded_evidence_is_verified_again_with_nothing_but_the_record(office: Office) -> None:
    """Also long after the passkey was removed; for another plan or another name it does not hold."""
    approve(office, "bob")
    body = given(office)[0]
    plan = plan_of(office)
    remove_passkey(office.wiring, office.authenticators["bob"].id, person="bob", by="admin", reason="lost")
    step_up.verify_assertion(body, plan)
    step_up.verify_assertion(body.model_dump(mode="json"), plan)
    with pytest.raises(RecordError, match="another plan"):
        step_up.verify_assertion(body, plan.model_copy(update={"residual": ("x",)}))
    with pytest.raises(RecordError, match="not what its passkey signed"):
        step_up.verify_assertion(body.model_copy(update={"approver": "carol"}), plan)
    assert body.assertion is not None
    for part in ("signature", "client_data_json", "authenticator_data", "nonce", "public_key"):
        altered = bytearray(decoded(getattr(body.assertion, part)))
        altered[-1] ^= 1
        forged = body.assertion.model_copy(update={part: encoded(bytes(altered))})
        with pytest.raises(RecordError):
            step_up.verify_assertion(body.model_copy(update={"assertion": forged}), plan)


def test_an_approval_without_a_passkey_holds_no_evidence(office: Office) -> None:
    """There is nothing to verify, and that is said."""
    body = ApprovalGiven(approver="bob", digest=plan_of(office).digest, method="slack")
    with pytest.raises(RecordError, match="no assertion"):
        step_up.verify_assertion(body, plan_of(office))


# --- refusals ------------------------------------------------------------------------------------


def refused(office: Office, reason: str, attempt: Callable[[], object]) -> None:
    """The attempt is refused for this reason, approves nothing, and stands in the record."""
    before = len(given(office))
    with pytest.raises(NotApproved, match=reason) as refusal:
        attempt()
    assert refusal.value.hint
    assert len(given(office)) == before
    assert any(reason in why for _, why in office.refusals() + office.refused_here())
    verify_chain(office.wiring.records.events(CASE))


def test_a_link_counts_once(office: Office) -> None:
    """The second time it is refused, with a fresh signature and with the old one."""
    token = link(office, "bob")
    first = answer(office, token, "bob")
    step_up.redeem(office.wiring, token, first, address="")
    refused(office, "the link has been used", lambda: step_up.redeem(office.wiring, token, first, address=""))
    refused(office, "the link has been used", lambda: step_up.look(office.wiring, token))


def test_one_person_counts_once(office: Office) -> None:
    """Neither a second link, nor one that was open before, makes two of one."""
    other = link(office, "bob")
    said = answer(office, other, "bob")
    approve(office, "bob")
    refused(office, "has approved this plan already", lambda: link(office, "bob"))
    refused(office, "has approved this plan already", lambda: step_up.redeem(office.wiring, other, said, address=""))


def test_whoever_asked_for_the_response_cannot_approve_it(office: Office) -> None:
    """Carol declared this one; she gets no link."""
    office.case(requested_by="Carol", incident="KQ-TEST-2")
    digest = office.wiring.incident("KQ-TEST-2").plan
    assert digest is not None
    with pytest.raises(NotApproved, match="asked for this"):
        step_up.ask(office.wiring, "KQ-TEST-2", person="carol", digest=digest.digest, via="slack")
    assert office.refusals("KQ-TEST-2") == [("carol", "carol asked for this and cannot approve it")]


def test_another_persons_authenticator_does_not_count(office: Office) -> None:
    """Carol's passkey over bob's link is refused, and named."""
    token = link(office, "bob")
    said = answer(office, token, "carol", asked=False)
    refused(office, "that of carol", lambda: step_up.redeem(office.wiring, token, said, address=""))


def test_an_authenticator_that_nobody_enrolled_does_not_count(office: Office) -> None:
    """Nor does one that names bob's credential but signs with another key."""
    token = link(office, "bob")
    stranger = SoftAuthenticator()
    options = step_up.look(office.wiring, token).options
    said = stranger.get(options, asked=False)
    refused(office, "not enrolled here", lambda: step_up.redeem(office.wiring, token, said, address=""))
    impostor = dataclasses.replace(stranger, credential_id=office.authenticators["bob"].credential_id)
    said = impostor.get(options)
    refused(office, "signature", lambda: step_up.redeem(office.wiring, token, said, address=""))


def test_a_removed_passkey_counts_no_more(office: Office) -> None:
    """Removed between the page and the touch."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    remove_passkey(office.wiring, "key ring", person="bob", by="admin", reason="lost")
    refused(office, "not enrolled here", lambda: step_up.redeem(office.wiring, token, said, address=""))
    with pytest.raises(NotApproved, match="no passkey of bob"):
        link(office, "bob")


def test_an_expired_link_is_refused(office: Office) -> None:
    """Five minutes by default; the page is refused as well."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    office.later(minutes=5)
    refused(office, "the link has expired", lambda: step_up.redeem(office.wiring, token, said, address=""))
    refused(office, "the link has expired", lambda: step_up.look(office.wiring, token))


def test_a_plan_that_changed_voids_the_link(office: Office) -> None:
    """What was signed is not what would run."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    office.plan(CONTAIN, DESTROY)
    refused(office, "the plan has changed", lambda: step_up.redeem(office.wiring, token, said, address=""))


def test_a_link_is_made_only_for_the_plan_at_hand(office: Office) -> None:
    """An old digest is a mistake, not an attempt."""
    old = plan_of(office).digest
    office.plan(CONTAIN, DESTROY)
    with pytest.raises(InvalidInput, match="digest"):
        step_up.ask(office.wiring, CASE, person="bob", digest=old, via="slack")


def test_a_link_nobody_made_is_refused_and_recorded_once_a_minute(office: Office) -> None:
    """Guessing fills no record."""
    for number in range(20):
        with pytest.raises(NotApproved, match="not known here"):
            step_up.look(office.wiring, f"guess-{number}")
    assert office.refused_here() == [("somebody", "the link is not known here")]
    office.later(minutes=2)
    with pytest.raises(NotApproved):
        step_up.redeem(office.wiring, "guess", {}, address="")
    assert len(office.refused_here()) == 2


LIES = {
    "no user verification": (Lie(flags=PRESENT), "user was not verified"),
    "nobody present": (Lie(flags=0), "not present"),
    "another origin": (Lie(origin="https://evil.example"), "origin"),
    "another port": (Lie(origin="http://localhost:9999"), "origin"),
    "another relying party": (Lie(rp_id="evil.example"), "RP ID"),
    "another challenge": (Lie(challenge=encoded(b"0" * 32)), "challenge"),
    "inside a frame of another site": (Lie(cross_origin=True), "another site"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_an_answer_that_departs_from_what_was_asked_is_refused(office: Office, lie: tuple[Lie, str]) -> None:
    """The signature itself is good in every one of them."""
    token = link(office, "bob")
    said = answer(office, token, "bob", lie[0])
    refused(office, lie[1], lambda: step_up.redeem(office.wiring, token, said, address=""))


@pytest.mark.parametrize("part", ["clientDataJSON", "authenticatorData", "signature"])
def test_a_tampered_answer_is_refused(office: Office, part: str) -> None:
    """One bit anywhere."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    altered = bytearray(decoded(said["response"][part]))
    altered[len(altered) // 2] ^= 1
    said["response"][part] = encoded(bytes(altered))
    refused(office, " ", lambda: step_up.redeem(office.wiring, token, said, address=""))


@pytest.mark.parametrize(
    "said", [{}, {"id": 5}, {"id": "x"}, {"id": "BOB"}, {"id": "BOB", "response": []}, {"id": "BOB", "rawId": "%"}]
)
def test_nonsense_is_refused_like_anything_else(office: Office, said: dict[str, Any]) -> None:
    """Whatever a parser stumbles over did not verify."""
    token = link(office, "bob")
    said = {name: office.authenticators["bob"].id if each == "BOB" else each for name, each in said.items()}
    refused(office, " ", lambda: step_up.redeem(office.wiring, token, said, address=""))


def test_an_answer_for_one_request_is_worth_nothing_for_another(office: Office) -> None:
    """Replayed on a second link of the same person, and on another case with its own link."""
    first, second = link(office, "bob"), link(office, "bob")
    said = answer(office, first, "bob")
    refused(office, "challenge", lambda: step_up.redeem(office.wiring, second, said, address=""))
    office.case(CONTAIN, DESTROY, incident="KQ-TEST-2")
    plan = office.wiring.incident("KQ-TEST-2").plan
    assert plan is not None
    other = token_of(step_up.ask(office.wiring, "KQ-TEST-2", person="bob", digest=plan.digest, via="cli").link)
    with pytest.raises(NotApproved, match="challenge"):
        step_up.redeem(office.wiring, other, said, address="")


def test_a_sign_count_that_goes_back_shows_a_cloned_authenticator(office: Office) -> None:
    """The last count is that of the last approval, in whichever case it was given."""
    office.authenticators["bob"].sign_count = 7
    approve(office, "bob")
    office.case(CONTAIN, DESTROY, incident="KQ-TEST-2")
    plan = office.wiring.incident("KQ-TEST-2").plan
    assert plan is not None
    token = token_of(step_up.ask(office.wiring, "KQ-TEST-2", person="bob", digest=plan.digest, via="cli").link)
    said = answer(office, token, "bob", Lie(sign_count=8))
    with pytest.raises(NotApproved, match="sign count"):
        step_up.redeem(office.wiring, token, said, address="")
    assert "sign count" in office.refusals("KQ-TEST-2")[0][1]


def test_an_authenticator_that_counts_nothing_is_taken(office: Office) -> None:
    """Passkeys that are synced between devices always report 0."""
    for person in ("bob", "carol"):
        token = link(office, person)
        said = answer(office, token, person, Lie(sign_count=0))
        step_up.redeem(office.wiring, token, said, address="")
    assert len(given(office)) == 2


def test_a_role_that_was_taken_away_after_the_link_counts_no_more(office: Office) -> None:
    """The roster is read again when the link is redeemed."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    office.without("bob")
    refused(office, "does not hold the role", lambda: step_up.redeem(office.wiring, token, said, address=""))


def test_a_role_that_was_taken_away_after_the_approval_opens_no_gate(office: Office) -> None:
    """The engine reads the roster again right before the step and refuses to run it."""
    approve(office, "bob")
    approve(office, "carol")
    office.without("bob", "retire")
    with pytest.raises(NotApproved, match="does not hold the role retire"):
        step_once(office.wiring, CASE, DESTROY.id)
    assert office.wiring.incident(CASE).steps[DESTROY.id].attempts == 0


def test_a_roster_that_cannot_be_read_lets_nobody_approve(office: Office) -> None:
    """Fails closed, between the link and the touch."""
    token = link(office, "bob")
    said = answer(office, token, "bob")
    (office.root / "roster.yaml").write_text("people: [", encoding="utf-8")
    refused(office, "the roster cannot be read", lambda: step_up.redeem(office.wiring, token, said, address=""))


RULES = {
    "hours": ({"hours": {"from": 18, "to": 20}}, "outside the hours"),
    "network": ({"networks": ["192.168.0.0/16"]}, "network"),
    "a fresh passkey": ({"passkey_age_hours": 24}, "enrolled less than 24 hours ago"),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_circumstances_that_the_roster_doubts_are_refused(office: Office, rule: tuple[dict[str, Any], str]) -> None:
    """Hours, networks and fresh passkeys, when the team has set them."""
    office.roster(rules=rule[0])
    token = link(office, "bob")
    said = answer(office, token, "bob")
    refused(office, rule[1], lambda: step_up.redeem(office.wiring, token, said, address="10.0.0.7"))


def test_racing_redemptions_of_one_link_approve_once(office: Office) -> None:
    """Eight browsers at the same moment: one approval, seven refusals, one chain."""
    token = link(office, "bob")
    said = [answer(office, token, "bob", Lie(sign_count=0)) for _ in range(8)]
    outcomes: list[str] = []
    together = threading.Barrier(8)

    def redeem(each: dict[str, Any]) -> None:
        together.wait()
        try:
            outcomes.append(step_up.redeem(office.wiring, token, each, address=""))
        except NotApproved as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=redeem, args=(each,)) for each in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(CASE) == 1
    assert len(outcomes) == 8
    assert len(given(office)) == 1
    verify_chain(office.wiring.records.events(CASE))
