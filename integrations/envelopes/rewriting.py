"""Copies of an ESDK message, compared: the same body under new wrapped keys, or all of it under a new data key."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import BinaryIO

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.envelopes.esdk import (
    EncryptedDataKey,
    FrameWriter,
    Header,
    Sink,
    decrypt_frames,
    new_message_id,
    read_header,
    reheader,
    verify_header,
    write_header,
)
from playbooks.errors import IntegrityFailure

_CHUNK = 1 << 20


class Comparison:
    """Remembers plaintext frames by GMAC under a random key that lives as long as one object.

    Comparing by SHA-256 costs three times the encryption; these tags are secret and never stored.
    """

    def __init__(self) -> None:
        self._cipher = AESGCM(os.urandom(32))
        self._tags: list[bytes] = []

    def add(self, frame: memoryview) -> None:
        """Remember the next frame."""
        self._tags.append(self.tag(len(self._tags), frame))

    def tag(self, index: int, frame: memoryview) -> bytes:
        """The secret tag of frame ``index`` (from 0)."""
        return self._cipher.encrypt(index.to_bytes(12, "big"), b"", frame)

    def same(self, index: int, frame: memoryview) -> bool:
        """Is this the frame that was remembered at ``index``?"""
        return index < len(self._tags) and self._tags[index] == self.tag(index, frame)

    def __len__(self) -> int:
        return len(self._tags)


def copy_rewrapped(
    source: BinaryIO, sink: Sink, *, header: Header, data_key: bytes, data_keys: Sequence[EncryptedDataKey]
) -> None:
    """Write the message with another header; ``source`` stands at the body, which is copied as it is."""
    sink.write(reheader(header, data_key=data_key, data_keys=data_keys))
    while chunk := source.read(_CHUNK):
        sink.write(chunk)


def check_rewrapped(original: BinaryIO, copy: BinaryIO, *, header: Header, data_key: bytes, subject: str) -> None:
    """Read the copy back: its header must verify under the data key and its body equal the original's, byte by byte.

    Raises IntegrityFailure when it does not.
    """
    copied = read_header(copy, subject=subject)
    verify_header(copied, data_key, subject=subject)
    original.seek(header.size)
    while True:
        chunk = original.read(_CHUNK)
        if chunk != copy.read(_CHUNK):
            raise _differs(subject)
        if not chunk:
            return


def copy_reencrypted(
    source: BinaryIO,
    sink: Sink,
    *,
    header: Header,
    data_key: bytes,
    new_data_key: bytes,
    data_keys: Sequence[EncryptedDataKey],
    subject: str,
) -> Comparison:
    """Decrypt every frame and encrypt it under a new data key and message id; frames keep their length.

    ``source`` stands at the body.  Raises IntegrityFailure when the original does not verify.
    """
    seen, message_id = Comparison(), new_message_id()
    sink.write(
        write_header(
            data_key=new_data_key,
            message_id=message_id,
            context=header.context,
            data_keys=data_keys,
            frame_bytes=header.frame_bytes,
        )
    )
    writer = FrameWriter(sink, data_key=new_data_key, message_id=message_id)
    for frame, final in decrypt_frames(source, header, data_key, subject=subject):
        seen.add(frame)
        writer.write(frame, final)
    return seen


def check_reencrypted(copy: BinaryIO, *, data_key: bytes, seen: Comparison, subject: str) -> None:
    """Read the copy back, decrypt it and compare every frame with what was seen.

    Raises IntegrityFailure when it does not match.
    """
    header, count = read_header(copy, subject=subject), 0
    for index, (frame, _final) in enumerate(decrypt_frames(copy, header, data_key, subject=subject)):
        if not seen.same(index, frame):
            raise _differs(subject)
        count += 1
    if count != len(seen):
        raise _differs(subject)


def _differs(subject: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"the new copy of {subject} differs from the original.",
        subject=subject,
        code="copy-differs",
        hint="The original was left alone; check the disk.",
    )
