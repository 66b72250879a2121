"""An authenticator in software: ES256, attestation "none", real CBOR and real signatures, as a browser hands them on.

It refuses what a browser refuses (a relying party that is not its own, a credential that is not asked for), unless it
is told to lie: that is what the tests of refusals need.
"""

from __future__ import annotations

import hashlib
import json
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    """The bytes of base64url without padding."""
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@dataclass(frozen=True)
class Lie:
    """How an answer departs from the truth; the defaults do not."""

    flags: int = PRESENT | VERIFIED
    origin: str = ""
    rp_id: str = ""
    challenge: str = ""
    cross_origin: bool = False
    sign_count: int | None = None


HONEST = Lie()


@dataclass
class SoftAuthenticator:
    """Holds one key pair for one site."""

    origin: str = "http://localhost:8750"
    credential_id: bytes = field(default_factory=lambda: os.urandom(20))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    sign_count: int = 0
    user_handle: bytes = b""

    @property
    def id(self) -> str:
        """The credential's id as browsers write it."""
        return encoded(self.credential_id)

    def create(self, options: Mapping[str, Any], lie: Lie = HONEST) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``; raises ValueError when it is excluded already."""
        if any(each["id"] == self.id for each in options.get("excludeCredentials", ())):
            raise ValueError("InvalidStateError: the authenticator is registered already")
        self.user_handle = decoded(options["user"]["id"])
        data = self._authenticator_data(options["rp"]["id"], lie, attested=True)
        statement = {"fmt": "none", "attStmt": {}, "authData": data}
        response = {
            "clientDataJSON": encoded(self._client_data("webauthn.create", options, lie)),
            "attestationObject": encoded(cbor2.dumps(statement)),
            "transports": ["usb"],
        }
        return self._credential(response)

    def get(self, options: Mapping[str, Any], lie: Lie = HONEST, *, asked: bool = True) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``; raises ValueError when this credential is not asked for."""
        allowed = [each["id"] for each in options["allowCredentials"]]
        if asked and self.id not in allowed:
            raise ValueError("NotAllowedError: none of the credentials is here")
        self.sign_count += 1
        client_data = self._client_data("webauthn.get", options, lie)
        data = self._authenticator_data(options["rpId"], lie, attested=False)
        signature = self.key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        response = {
            "clientDataJSON": encoded(client_data),
            "authenticatorData": encoded(data),
            "signature": encoded(signature),
            "userHandle": encoded(self.user_handle),
        }
        return self._credential(response)

    def _credential(self, response: dict[str, Any]) -> dict[str, Any]:
        named = {"id": self.id, "rawId": self.id, "type": "public-key", "authenticatorAttachment": "cross-platform"}
        return named | {"response": response, "clientExtensionResults": {}}

    def _client_data(self, kind: str, options: Mapping[str, Any], lie: Lie) -> bytes:
        said = {
            "type": kind,
            "challenge": lie.challenge or options["challenge"],
            "origin": lie.origin or self.origin,
            "crossOrigin": lie.cross_origin,
        }
        return json.dumps(said).encode()

    def _authenticator_data(self, rp_id: str, lie: Lie, *, attested: bool) -> bytes:
        count = self.sign_count if lie.sign_count is None else lie.sign_count
        flags = lie.flags | (ATTESTED if attested else 0)
        head = hashlib.sha256((lie.rp_id or rp_id).encode()).digest() + bytes([flags]) + count.to_bytes(4, "big")
        return head + self._attested() if attested else head

    def _attested(self) -> bytes:
        numbers = self.key.public_key().public_numbers()
        point = {-2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        cose = cbor2.dumps({1: 2, 3: -7, -1: 1} | point)
        return bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cose
