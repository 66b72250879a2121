"""Opens stolen envelopes with a stolen data key, without any code of the defender.

Two formats: AWS Encryption SDK message format v2, suite 0x0478, and Tink's KmsEnvelopeAead wire format.  A data key
counts only when an authentication tag verifies under it.
"""

from __future__ import annotations

import base64
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from simulations.journals import Target

_ESDK_START = b"\x02\x04\x78"
_TAG_BYTES = 16


def copy_object(name: str, stored: bytes, *, aad: bytes = b"") -> Target:
    """What a thief keeps of one stored object: its wrapped data key, the context and the object itself.

    Raises ValueError when it has neither format.
    """
    if stored.startswith(_ESDK_START):
        wrapped, context, _ = parse_esdk(stored)
    else:
        wrapped, context = split_tink(stored)[0], {}
    encode = base64.b64encode
    return Target(
        wrapped=encode(wrapped).decode(),
        context=context,
        name=name,
        stored=encode(stored).decode(),
        aad=encode(aad).decode(),
    )


def opens(target: Target, data_key: bytes) -> bool:
    """Does this data key open the copied object?

    Without a copy only the length can be judged: a data key has 16 to 64 bytes.
    """
    stored = base64.b64decode(target.stored)
    if not stored:
        return 16 <= len(data_key) <= 64
    try:
        if stored.startswith(_ESDK_START):
            _open_esdk_header(stored, data_key)
        else:
            open_tink_payload(split_tink(stored)[1], data_key, base64.b64decode(target.aad))
    except (InvalidTag, ValueError):
        return False
    return True


def parse_esdk(message: bytes) -> tuple[bytes, dict[str, str], int]:
    """The first wrapped data key, the encryption context, and where the header's body ends.

    Source: AWS Encryption SDK Developer Guide, "message format reference" (version 2).
    """
    if not message.startswith(_ESDK_START):
        raise ValueError("not an AWS Encryption SDK message v2 of suite 0x0478")
    context, at = _context(message, 3 + 32)
    count, at = _number(message, at)
    wrapped = b""
    for _ in range(count):
        _provider, at = _counted(message, at)
        _info, at = _counted(message, at)
        blob, at = _counted(message, at)
        wrapped = wrapped or blob
    content_type, frame_length, commitment = 1, 4, 32
    return wrapped, context, at + content_type + frame_length + commitment


def split_tink(value: bytes) -> tuple[bytes, bytes]:
    """A column value's wrapped data key and its payload (nonce, ciphertext, tag); ValueError when it is too short."""
    if len(value) < 4:
        raise ValueError("the column value is no envelope")
    (length,) = struct.unpack(">I", value[:4])
    if length > len(value) - 4:
        raise ValueError("the column value is shorter than its wrapped data key")
    return value[4 : 4 + length], value[4 + length :]


def open_tink_payload(payload: bytes, data_key: bytes, aad: bytes) -> bytes:
    """Decrypt a payload under a data key, raw or as a serialised ``AesGcmKey``; raises InvalidTag."""
    return AESGCM(_raw_aes_key(data_key)).decrypt(payload[:12], payload[12:], aad)


def _raw_aes_key(data_key: bytes) -> bytes:
    """The AES key inside Tink's ``AesGcmKey`` protobuf (field 3), or the bytes themselves when it is none."""
    at = data_key.find(b"\x1a", 0, 3)
    if len(data_key) in (18, 20, 34, 36) and at >= 0 and data_key[at + 1] == len(data_key) - at - 2:
        return data_key[at + 2 :]
    return data_key


def _open_esdk_header(message: bytes, data_key: bytes) -> None:
    _, _, end = parse_esdk(message)
    salt, info = message[3:35], message[1:3] + b"DERIVEKEY"
    derived = HKDF(SHA512(), 32, salt=salt, info=info).derive(data_key)
    AESGCM(derived).decrypt(bytes(12), message[end : end + _TAG_BYTES], message[:end])


def _number(data: bytes, at: int) -> tuple[int, int]:
    return int.from_bytes(data[at : at + 2], "big"), at + 2


def _counted(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = _number(data, at)
    return data[at : at + length], at + length


def _context(data: bytes, at: int) -> tuple[dict[str, str], int]:
    length, at = _number(data, at)
    end = at + length
    context: dict[str, str] = {}
    if length:
        count, at = _number(data, at)
        for _ in range(count):
            name, at = _counted(data, at)
            value, at = _counted(data, at)
            context[name.decode()] = value.decode()
    return context, end
