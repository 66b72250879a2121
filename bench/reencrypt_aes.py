"""AES re-encryption through the ESDK codec at 1 MiB frames, against the raw cryptography loop in the same run.

The loop does the same work on the same amount of data: it moves each sealed frame in, decrypts it and encrypts it.
"""

from __future__ import annotations

import io
import os
import statistics
import time
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.envelopes import esdk
from playbooks.refs import KeyRef

FRAMES = 256
ROUNDS = 15
_SEALED_BYTES = esdk.FRAME_BYTES + 16
_KEY = KeyRef.parse("openbao:bench/transit/kek")


class _Nowhere:
    def write(self, data: memoryview | bytes, /) -> None:
        """Drop the frame: the disk is not measured here."""


class _Repeated(io.RawIOBase):
    """One message read from memory without copying it more than once."""

    def __init__(self, message: bytes) -> None:
        self._view, self._at = memoryview(message), 0

    def readinto(self, buffer: Any) -> int:
        """Copy the next bytes."""
        count = min(len(buffer), len(self._view) - self._at)
        buffer[:count] = self._view[self._at : self._at + count]
        self._at += count
        return count


def run() -> dict[str, Any]:
    """Plaintext bytes per CPU second, medians over interleaved rounds."""
    old, new = os.urandom(32), os.urandom(32)
    message = io.BytesIO()
    esdk.encrypt_stream(
        io.BytesIO(os.urandom(FRAMES * esdk.FRAME_BYTES)),
        message,
        data_key=old,
        context={},
        data_keys=[esdk.encrypted_data_key(_KEY, b"wrapped")],
    )
    sealed = message.getvalue()
    ciphers = (AESGCM(old), AESGCM(new))
    bare = _sealed_frames(ciphers[0])
    _ours(sealed, old, new), _raw(bare, *ciphers)
    pairs = [(_ours(sealed, old, new), _raw(bare, *ciphers)) for _ in range(ROUNDS)]
    size = FRAMES * esdk.FRAME_BYTES
    ours, reference = (size / statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "name": "AES re-encryption, 1 MiB frames",
        "ours": ours / 1e9,
        "reference": reference / 1e9,
        "ratio": statistics.median(raw / mine for mine, raw in pairs),
        "target": 0.95,
        "unit": "GB per CPU second",
    }


def _ours(sealed: bytes, old: bytes, new: bytes) -> float:
    source = _Repeated(sealed)
    started = time.process_time()
    header = esdk.read_header(source, subject="bench")  # type: ignore[arg-type]  # a RawIOBase reads as BinaryIO does
    writer = esdk.FrameWriter(_Nowhere(), data_key=new, message_id=esdk.new_message_id())
    for frame, final in esdk.decrypt_frames(source, header, old, subject="bench"):  # type: ignore[arg-type]  # as above
        writer.write(frame, final)
    return time.process_time() - started


def _sealed_frames(cipher: AESGCM) -> memoryview:
    frame, sealed = os.urandom(esdk.FRAME_BYTES), memoryview(bytearray(FRAMES * _SEALED_BYTES))
    for index in range(FRAMES):
        at = index * _SEALED_BYTES
        cipher.encrypt_into(index.to_bytes(12, "big"), frame, b"", sealed[at : at + _SEALED_BYTES])
    return sealed


def _raw(sealed: memoryview, first: AESGCM, second: AESGCM) -> float:
    """Every frame moved in, decrypted and encrypted, without a format."""
    started = time.process_time()
    inner, out = memoryview(bytearray(_SEALED_BYTES)), memoryview(bytearray(_SEALED_BYTES))
    plaintext = memoryview(bytearray(esdk.FRAME_BYTES))
    for index in range(FRAMES):
        at, nonce = index * _SEALED_BYTES, index.to_bytes(12, "big")
        inner[:] = sealed[at : at + _SEALED_BYTES]
        first.decrypt_into(nonce, inner, b"", plaintext)
        second.encrypt_into(nonce, plaintext, b"", out)
    return time.process_time() - started


if __name__ == "__main__":
    print(run())
