"""One key backend, ready for the contract suite, and what its tests do with it again and again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from playbooks.keys import Capability
from playbooks.ports import WrappedKey
from playbooks.receipts import Receipt
from playbooks.refs import KeyRef

CONTEXT = {"dataset": "orders", "tenant": "a"}
DATA_KEYS = [bytes([number]) * 32 for number in range(1, 6)]


@dataclass(frozen=True)
class BackendCase:
    """One backend, ready for the suite.

    ``backend`` is open as the recovery identity.  ``open_again`` opens a second, independent session of the same kind;
    ``open_unreachable``, when given, opens one whose server is a closed port (opening may raise Unreachable itself).
    ``identity`` is a secret reference to the credential of a *consumer* that may use ``key`` ("" when the backend
    knows one identity only).  ``disabled_codes`` and ``quarantined_codes`` are the specific codes that a probe must be
    refused with.  ``secrets`` are the strings that no repr, message or receipt may hold.
    """

    name: str
    backend: Any
    key: KeyRef
    missing_key: KeyRef
    supports: frozenset[Capability]
    open_again: Callable[[], Any]
    disabled_codes: tuple[str, ...] = ()
    quarantined_codes: tuple[str, ...] = ()
    identity: str = ""
    binds_context: bool = True
    open_unreachable: Callable[[], Any] | None = None
    sign_key: KeyRef | None = None
    secrets: tuple[str, ...] = ()
    extractable: bool | None = False
    dated: bool = True
    """Does the backend say since when a key protects?"""
    unreachable_seconds: float = 15.0
    """A generous bound on a closed port: it shows that nobody retries for minutes, not how fast it is."""

    def context(self) -> Mapping[str, str]:
        """The context that the suite binds, empty where the backend binds none."""
        return CONTEXT if self.binds_context else {}


def verify_signature(spki_der: bytes, signature: bytes, message: bytes) -> None:
    """Check an ECDSA (DER or raw r‖s) or RSA (PKCS #1 v1.5 or PSS) signature over SHA-256; raises when it is wrong."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    public = serialization.load_der_public_key(spki_der)
    if isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        if len(signature) == 2 * size and signature[0] != 0x30:
            r, s = signature[:size], signature[size:]
            signature = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        public.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        return
    assert isinstance(public, rsa.RSAPublicKey)
    try:
        public.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
        public.verify(signature, message, pss, hashes.SHA256())


def wrap(case: BackendCase) -> list[WrappedKey]:
    """The data keys, wrapped under the case's key."""
    wrapped = case.backend.wrap(case.key, DATA_KEYS, contexts=[case.context()] * len(DATA_KEYS))
    assert all(isinstance(item, WrappedKey) for item in wrapped), wrapped
    return list(wrapped)


def flip_last(blob: bytes) -> bytes:
    """Alter the ciphertext: the tenth byte from the end, in a way that text encodings survive."""
    place = len(blob) - 10
    changed = ord("A") if blob[place] != ord("A") else ord("B")
    return blob[:place] + bytes([changed]) + blob[place + 1 :]


def must_support(case: BackendCase, *capabilities: Capability) -> None:
    """Skip the test where the backend cannot do this, once it has given a reason."""
    facts = case.backend.describe(case.key)
    for capability in capabilities:
        if capability not in case.supports:
            assert facts.unavailable.get(capability), f"{capability} is missing without a reason"
            pytest.skip(f"{case.name}: {capability} is unavailable, with a reason")


def check_receipt(receipt: Receipt, key: KeyRef) -> None:
    """The receipt names the key and its times, and claims no proof."""
    assert receipt.subject == str(key)
    assert receipt.requested_at <= receipt.accepted_at <= datetime.now(UTC)
    assert receipt.proven_at is None, "a call that returned proves nothing"
