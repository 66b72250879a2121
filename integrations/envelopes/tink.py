"""Tink's KmsEnvelopeAead wire format for small values: 4-byte big-endian length, wrapped data key, payload.

The data key is a serialized ``AesGcmKey`` message (field 3, 32 bytes), wrapped with empty associated data; the payload
is iv (12 bytes), ciphertext and tag, bound to the caller's associated data.  Source: Tink "wire format", and
``tink/aead/_kms_envelope_aead.py`` of tink 1.16.
"""

from __future__ import annotations

import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from playbooks.errors import IntegrityFailure

_LARGEST_WRAPPED = 4096  # Tink's own limit
_LENGTH = struct.Struct(">I")
_KEY_VALUE = b"\x1a\x20"  # protobuf field 3, length-delimited, 32 bytes; version 0 is the default and left out
_SMALLEST_PAYLOAD = 28


def new_data_key() -> bytes:
    """A fresh data key as Tink serializes it (34 bytes): this is what is wrapped."""
    return _KEY_VALUE + os.urandom(32)


def split(sealed: bytes, *, subject: str) -> tuple[bytes, bytes]:
    """The wrapped data key and the payload of a value.

    Raises IntegrityFailure when the value is cut short or its length is not believable.
    """
    if len(sealed) >= 4:
        (length,) = _LENGTH.unpack_from(sealed)
        end = 4 + length
        if 0 < length <= _LARGEST_WRAPPED and len(sealed) >= end + _SMALLEST_PAYLOAD:
            return sealed[4:end], sealed[end:]
    raise IntegrityFailure(
        f"{subject} is not a Tink envelope.",
        subject=subject,
        code="envelope",
        hint="Check that the column holds Tink envelopes; the value was left alone.",
    )


def join(wrapped: bytes, payload: bytes) -> bytes:
    """Put a value together again; the reverse of ``split``."""
    return _LENGTH.pack(len(wrapped)) + wrapped + payload


def encrypt(plaintext: bytes, data_key: bytes, *, associated_data: bytes) -> bytes:
    """The payload of ``plaintext`` under a data key of ``new_data_key``."""
    nonce = os.urandom(12)
    return nonce + AESGCM(data_key[2:]).encrypt(nonce, plaintext, associated_data)


def decrypt(payload: bytes, data_key: bytes, *, associated_data: bytes, subject: str) -> bytes:
    """The plaintext of a payload.

    Raises IntegrityFailure when the data key is not a Tink AES-256-GCM key, not the right one, or the value was altered
    or moved to another row.
    """
    if len(data_key) != 34 or data_key[:2] != _KEY_VALUE:
        raise IntegrityFailure(
            f"the data key of {subject} is not a Tink AES256_GCM key.",
            subject=subject,
            code="data-key",
            hint="The value was written with another data key template, or unwrapped under the wrong key.",
        )
    try:
        return AESGCM(data_key[2:]).decrypt(payload[:12], payload[12:], associated_data)
    except InvalidTag as error:
        raise IntegrityFailure(
            f"{subject} was altered, moved, or is under another data key.",
            subject=subject,
            code="payload-tag",
            hint="Restore this value from a backup; it was left alone.",
        ) from error


def fits(payload: bytes, data_key: bytes, *, associated_data: bytes) -> bool:
    """Does this data key open the payload?  The same as ``decrypt``, without an error for every value of a batch."""
    if len(data_key) != 34 or data_key[:2] != _KEY_VALUE:
        return False
    try:
        AESGCM(data_key[2:]).decrypt(payload[:12], payload[12:], associated_data)
    except InvalidTag:
        return False
    return True
