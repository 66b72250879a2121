"""Passkeys: what a browser is asked for, and whether what an authenticator signed holds (Web Authentication Level 3).

Everything here is computation over what it is given: no clock, no storage.  User verification (a PIN, a finger) is
always required: presence alone shows that somebody sits there, not who.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url, parse_client_data_json
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.options_to_json_dict import options_to_json_dict
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from playbooks.errors import NotApproved
from playbooks.event_bodies import Assertion

_TIMEOUT_MS = 120_000
_HINT = "Open the link in the browser it was meant for, and use your own authenticator with its PIN or fingerprint."


@dataclass(frozen=True, slots=True)
class Site:
    """The relying party: ``rp_id`` is its host name, ``origin`` its URL without a path."""

    rp_id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Passkey:
    """An authenticator's public half; both texts are base64url, ``public_key`` is a COSE key.

    ``sign_count`` is the highest number of uses that the authenticator has reported, 0 when it counts none.
    """

    credential_id: str
    public_key: str
    sign_count: int = 0


def challenge_of(nonce: bytes, *, digest: str, approver: str) -> bytes:
    """SHA-256(nonce ‖ plan digest ‖ approver): who signs it agrees to this plan, as this person, this once.

    ``digest`` is the plan's SHA-256 in hex.
    """
    return hashlib.sha256(nonce + bytes.fromhex(digest) + approver.encode()).digest()


def request_options(site: Site, *, challenge: bytes, passkeys: Iterable[Passkey]) -> dict[str, Any]:
    """What ``navigator.credentials.get`` is given (JSON): only these passkeys, user verification required."""
    options = generate_authentication_options(
        rp_id=site.rp_id,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        allow_credentials=_descriptors(passkeys),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json_dict(options)


def creation_options(
    site: Site, *, person: str, display: str, challenge: bytes, existing: Iterable[Passkey]
) -> dict[str, Any]:
    """What ``navigator.credentials.create`` is given (JSON); authenticators that are known already are left out."""
    options = generate_registration_options(
        rp_id=site.rp_id,
        rp_name="keyquell",
        user_name=person,
        user_id=hashlib.sha256(b"keyquell person " + person.encode()).digest(),
        user_display_name=display,
        challenge=challenge,
        timeout=_TIMEOUT_MS,
        attestation=AttestationConveyancePreference.NONE,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.PREFERRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(existing),
    )
    return options_to_json_dict(options)


def register(response: Mapping[str, Any], *, site: Site, challenge: bytes) -> Passkey:
    """The passkey that a registration response creates.  Raises NotApproved saying what does not hold."""
    try:
        verified = verify_registration_response(
            credential=dict(response),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
        _not_embedded(response)
    except Exception as error:
        raise _refusal("the passkey was not enrolled", error) from error
    return Passkey(
        bytes_to_base64url(verified.credential_id),
        bytes_to_base64url(verified.credential_public_key),
        verified.sign_count,
    )


def credential_of(response: Mapping[str, Any]) -> str:
    """The id of the credential that a response says it comes from; "" when it says none."""
    named = response.get("id")
    return named if isinstance(named, str) else ""


def check(
    response: Mapping[str, Any], *, site: Site, challenge: bytes, passkey: Passkey, nonce: bytes
) -> tuple[Assertion, int]:
    """The evidence that this passkey signed this challenge, and its new sign count.

    Raises NotApproved saying what does not hold.
    """
    try:
        verified = verify_authentication_response(
            credential=dict(response),
            expected_challenge=challenge,
            expected_rp_id=site.rp_id,
            expected_origin=site.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
        if bytes_to_base64url(verified.credential_id) != passkey.credential_id:
            raise WebAuthnException("the assertion is of another credential")
        _not_embedded(response)
    except Exception as error:
        raise _refusal("the passkey's answer does not verify", error) from error
    signed = response["response"]
    evidence = Assertion(
        credential_id=passkey.credential_id,
        public_key=passkey.public_key,
        nonce=bytes_to_base64url(nonce),
        client_data_json=signed["clientDataJSON"],
        authenticator_data=signed["authenticatorData"],
        signature=signed["signature"],
        rp_id=site.rp_id,
        origin=site.origin,
    )
    return evidence, verified.new_sign_count


def check_again(evidence: Assertion, *, digest: str, approver: str) -> None:
    """Verify kept evidence with nothing but itself, the plan's digest and the approver's name.

    Raises NotApproved saying what does not hold.
    """
    response = {
        "id": evidence.credential_id,
        "rawId": evidence.credential_id,
        "type": "public-key",
        "response": {
            "clientDataJSON": evidence.client_data_json,
            "authenticatorData": evidence.authenticator_data,
            "signature": evidence.signature,
        },
    }
    try:
        nonce = base64url_to_bytes(evidence.nonce)
        challenge = challenge_of(nonce, digest=digest, approver=approver)
    except ValueError as error:
        raise _refusal("the evidence cannot be read", error) from error
    passkey = Passkey(evidence.credential_id, evidence.public_key)
    check(response, site=Site(evidence.rp_id, evidence.origin), challenge=challenge, passkey=passkey, nonce=nonce)


def sign_count_of(evidence: Assertion) -> int:
    """How often the authenticator said it had been used when it signed (bytes 33 to 36 of its data)."""
    return int.from_bytes(base64url_to_bytes(evidence.authenticator_data)[33:37], "big")


def _descriptors(passkeys: Iterable[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.credential_id)) for each in passkeys]


def _not_embedded(response: Mapping[str, Any]) -> None:
    """An answer given inside another site's frame may have been given unseen (7.2, step 13 and on)."""
    client_data = parse_client_data_json(base64url_to_bytes(response["response"]["clientDataJSON"]))
    if client_data.cross_origin:
        raise WebAuthnException("it was given inside a page of another site")


def _refusal(what: str, error: Exception) -> NotApproved:
    """Whatever a parser stumbles over did not verify; only webauthn's own sentences are repeated."""
    why = str(error) if isinstance(error, WebAuthnException) else f"it is malformed ({type(error).__name__})"
    return NotApproved(f"{what}: {why[:200].rstrip('.')}.", hint=_HINT)
