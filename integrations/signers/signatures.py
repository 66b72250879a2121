"""Signatures over checkpoints and manifests: verified here, whoever made them.

Every key and signature is accepted in one form only (PEM as written here; ECDSA in DER with the smaller s), so that a
signature cannot be turned into another that is also good.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from playbooks.errors import RecordError, Unavailable

ED25519, ECDSA, RSA = "ed25519", "ecdsa-p256-sha256", "rsa-pkcs1-sha256"

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_SMALLEST_RSA_BITS = 2048


class SignsEvidence(Protocol):
    """A key that signs: ``key`` names it, ``public_key`` is SubjectPublicKeyInfo in PEM."""

    key: str
    algorithm: str
    public_key: str

    def sign(self, message: bytes) -> bytes: ...


def algorithm_of(public_key: str) -> str:
    """What a public key (PEM) signs with.  Raises RecordError when it is no key that may sign evidence."""
    return _algorithm(_load(public_key))


def fingerprint(public_key: str) -> str:
    """SHA-256 of the SubjectPublicKeyInfo in DER, lower-case hex; RecordError when it is no key in PEM."""
    der = _load(public_key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def pem_of(der: bytes, *, subject: str) -> str:
    """The PEM of a public key in DER.  Raises Unavailable when a key of this kind signs no evidence."""
    try:
        pem = load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        algorithm_of(pem)
    except (ValueError, UnsupportedAlgorithm, RecordError) as error:
        hint = "Use a key on P-256, or RSA of 2048 bits or more."
        raise Unavailable("a key of this kind signs no evidence.", subject=subject, hint=hint) from error
    return pem


def settled(signature: bytes, algorithm: str) -> bytes:
    """The one accepted form of a signature that a backend made.  Raises RecordError when it is none."""
    if algorithm != ECDSA:
        return signature
    try:
        r, s = decode_dss_signature(signature)
    except ValueError as error:
        raise RecordError("the signature is no ECDSA signature in DER.") from error
    return encode_dss_signature(r, min(s, _P256_ORDER - s))


def verify_signature(public_key: str, algorithm: str, message: bytes, signature: bytes) -> None:
    """Return when the key signed the message so.  Raises RecordError saying what does not hold."""
    key = _load(public_key)
    if _algorithm(key) != algorithm:
        raise RecordError("the key is not of the algorithm that is named.")
    if settled(signature, algorithm) != signature:
        raise RecordError("the signature is not in its one accepted form.")
    try:
        if isinstance(key, Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, message, ec.ECDSA(SHA256()))
        else:
            key.verify(signature, message, padding.PKCS1v15(), SHA256())
    except InvalidSignature as error:
        raise RecordError("the signature is not of this key over this text.") from error


_Public = Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


def _algorithm(key: _Public) -> str:
    if isinstance(key, Ed25519PublicKey):
        return ED25519
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return ECDSA
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _SMALLEST_RSA_BITS:
        return RSA
    raise RecordError("a key of this kind or size signs no evidence.")


def _load(public_key: str) -> _Public:
    try:
        key = load_pem_public_key(public_key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise RecordError("this is no public key in PEM.") from error
    if not isinstance(key, Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise RecordError("a key of this kind signs no evidence.")
    if key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() != public_key:
        raise RecordError("the public key is not written in its one accepted form.")
    return key
