"""Passkeys as computation: what the browser is asked, and which answers hold, for every authenticator."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes.authenticator import PRESENT, Lie, SoftAuthenticator, encoded
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.passkeys import (
    Passkey,
    Site,
    challenge_of,
    check,
    check_again,
    creation_options,
    register,
    request_options,
    sign_count_of,
)
from playbooks.errors import NotApproved
from playbooks.event_bodies import Assertion

SITE = Site("keys.example.org", "https://keys.example.org")
DIGEST, NONCE = "ab" * 32, b"n" * 32
CHALLENGE = challenge_of(NONCE, digest=DIGEST, approver="bob")


def enrolled() -> tuple[SoftAuthenticator, Passkey]:
    """An authenticator and what the installation knows of it."""
    authenticator = SoftAuthenticator(origin=SITE.origin)
    options = creation_options(SITE, person="bob", display="Bob", challenge=b"c" * 32, existing=())
    return authenticator, register(authenticator.create(options), site=SITE, challenge=b"c" * 32)


def answered(authenticator: SoftAuthenticator, passkey: Passkey, lie: Lie | None = None) -> dict[str, Any]:
    options = request_options(SITE, challenge=CHALLENGE, passkeys=[passkey])
    return authenticator.get(options, lie or Lie())


def verified(said: dict[str, Any], passkey: Passkey) -> Assertion:
    return check(said, site=SITE, challenge=CHALLENGE, passkey=passkey, nonce=NONCE)[0]


def test_an_honest_answer_verifies_now_and_from_the_evidence() -> None:
    """Both ways use the same signature."""
    authenticator, passkey = enrolled()
    authenticator.sign_count = 4
    evidence = verified(answered(authenticator, passkey), passkey)
    check_again(evidence, digest=DIGEST, approver="bob")
    assert sign_count_of(evidence) == 5


def test_the_options_are_plain_json_and_demand_a_verified_user() -> None:
    """A browser parses them as they are."""
    _, passkey = enrolled()
    asked = json.loads(json.dumps(request_options(SITE, challenge=CHALLENGE, passkeys=[passkey])))
    assert asked["userVerification"] == "required"
    assert asked["challenge"] == encoded(CHALLENGE)
    made = json.loads(
        json.dumps(creation_options(SITE, person="bob", display="Bob", challenge=b"c", existing=[passkey]))
    )
    assert made["authenticatorSelection"] == {
        "residentKey": "preferred",
        "requireResidentKey": False,
        "userVerification": "required",
    }
    assert made["attestation"] == "none"
    assert made["excludeCredentials"][0]["id"] == passkey.credential_id
    assert "bob" not in made["user"]["id"]


def test_the_challenge_binds_nonce_plan_and_person() -> None:
    """Any other of the three gives another."""
    others = [
        challenge_of(b"m" * 32, digest=DIGEST, approver="bob"),
        challenge_of(NONCE, digest="ac" * 32, approver="bob"),
        challenge_of(NONCE, digest=DIGEST, approver="carol"),
    ]
    assert len({CHALLENGE, *others}) == 4


def test_an_assertion_is_no_registration_and_the_reverse() -> None:
    """Each ceremony has its own type in what is signed."""
    authenticator, passkey = enrolled()
    said = answered(authenticator, passkey)
    with pytest.raises(NotApproved):
        register(said, site=SITE, challenge=CHALLENGE)
    options = creation_options(SITE, person="bob", display="Bob", challenge=CHALLENGE, existing=())
    with pytest.raises(NotApproved):
        verified(authenticator.create(options), passkey)


@pytest.mark.parametrize(
    "lie", [Lie(flags=PRESENT), Lie(origin="https://keys.example.org.evil.example"), Lie(rp_id="example.org")]
)
def test_evidence_that_would_not_have_been_taken_is_not_taken_later(lie: Lie) -> None:
    """Whoever writes the record cannot pass off a weaker answer."""
    authenticator, passkey = enrolled()
    honest = verified(answered(authenticator, passkey), passkey)
    said = answered(authenticator, passkey, lie)["response"]
    forged = honest.model_copy(
        update={
            "client_data_json": said["clientDataJSON"],
            "authenticator_data": said["authenticatorData"],
            "signature": said["signature"],
        }
    )
    with pytest.raises(NotApproved):
        check_again(forged, digest=DIGEST, approver="bob")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_RESPONSES = st.fixed_dictionaries(
    {},
    optional={
        name: _JSON | st.binary(max_size=120).map(encoded)
        for name in ("clientDataJSON", "authenticatorData", "signature", "userHandle", "attestationObject")
    },
)
_ANSWERS = st.fixed_dictionaries(
    {}, optional={"id": _JSON, "rawId": _JSON, "type": st.just("public-key") | _JSON, "response": _RESPONSES | _JSON}
)


@settings(max_examples=300, deadline=None)
@given(said=_ANSWERS)
def test_nothing_that_is_sent_does_anything_but_be_refused(said: dict[str, Any]) -> None:
    """No crash, no acceptance, and a sentence for a person."""
    passkey = Passkey(encoded(b"x" * 16), encoded(b"y" * 77))
    named = said | {"id": passkey.credential_id, "rawId": passkey.credential_id}
    for each in (said, named):
        with pytest.raises(NotApproved) as refusal:
            verified(each, passkey)
        assert refusal.value.hint
        with pytest.raises(NotApproved):
            register(each, site=SITE, challenge=CHALLENGE)
