"""The AWS Encryption SDK message format v2, suite 0x0478: AES-256-GCM, HKDF-SHA512, key commitment, unsigned, framed.

The header's tag is made with the derived key and a frame's associated data uses only the message id, so the wrapped
data keys can be replaced (``reheader``) while the body stays byte-identical.  The signed suite 0x0578 cannot be
rewrapped (its private key is gone); it is refused with Unavailable.  Source: AWS Encryption SDK Developer Guide,
"message format reference" and "body AAD reference".
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from playbooks.errors import IntegrityFailure, Unavailable
from playbooks.refs import KeyRef

FRAME_BYTES = 1 << 20
"""Plaintext bytes of a frame that we write; other lengths are read, and kept when data is re-encrypted."""

DATA_KEY_BYTES = 32
_SUITE = 0x0478
_VERSION = 2
_FRAMED = 2
_IV = 12
_TAG = 16
_LARGEST_FRAME = 1 << 26  # what we are ready to hold in memory; the format allows 2**32 - 1
_FINAL = 0xFFFFFFFF
_FRAME_TEXT = b"AWSKMSEncryptionClient Frame"
_FINAL_TEXT = b"AWSKMSEncryptionClient Final Frame"
_ZERO_IV = bytes(_IV)


class Sink(Protocol):
    """Whatever takes bytes: an open file, a buffer."""

    def write(self, data: memoryview | bytes, /) -> object: ...


@dataclass(frozen=True, slots=True)
class EncryptedDataKey:
    """One wrapped copy of the data key: who wrapped it (provider id, key info) and the backend's blob.

    ``info`` is bytes: a raw keyring of the SDK puts a nonce into it.
    """

    provider: str
    info: bytes
    blob: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header: ``raw`` is what the tag authenticates; the body starts at byte ``size``."""

    message_id: bytes
    context: Mapping[str, str]
    data_keys: tuple[EncryptedDataKey, ...]
    frame_bytes: int
    commitment: bytes
    raw: bytes = field(repr=False)
    tag: bytes = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of the header with its tag."""
        return len(self.raw) + _TAG


def label(key: KeyRef) -> tuple[str, bytes]:
    """Provider id and key info that name a key: ``aws-kms`` and the key's ARN or id, else the scheme and the URI."""
    return key.scheme, (key.path if key.scheme == "aws-kms" else str(key)).encode()


def encrypted_data_key(key: KeyRef, blob: bytes) -> EncryptedDataKey:
    """The header's entry for a data key wrapped by ``key``."""
    return EncryptedDataKey(*label(key), blob)


def new_message_id() -> bytes:
    """A fresh random message id (32 bytes)."""
    return os.urandom(32)


def read_header(source: BinaryIO, *, subject: str) -> Header:
    """Parse the header at the start of ``source`` and leave it at the first frame; nothing is authenticated yet.

    Raises IntegrityFailure when it is malformed or cut short, Unavailable for another version or suite.
    """
    reader = _Reader(source, subject)
    version, suite = reader.unpack(">BH")
    if (version, suite) != (_VERSION, _SUITE):
        if version in (1, 2):
            raise Unavailable(
                f"{subject} uses version {version} suite 0x{suite:04x} of the AWS Encryption SDK format.",
                subject=subject,
                code=f"suite-0x{suite:04x}",
                hint="Only version 2 suite 0x0478 can be rewrapped; re-encrypt it with the SDK.",
            )
        raise _damaged(subject, "is not an AWS Encryption SDK message", "header")
    message_id = reader.take(32)
    context = _parse_context(reader.take(reader.short()), subject)
    data_keys = tuple(_read_data_key(reader) for _ in range(reader.short()))
    content_type, frame_bytes = reader.unpack(">BI")
    if content_type != _FRAMED or not 0 < frame_bytes <= _LARGEST_FRAME or not data_keys:
        raise _damaged(subject, "has an unsupported content type, frame length or no data key", "header")
    commitment = reader.take(32)
    raw = bytes(reader.seen)
    return Header(message_id, context, data_keys, frame_bytes, commitment, raw, reader.take(_TAG))


def write_header(
    *,
    data_key: bytes,
    message_id: bytes,
    context: Mapping[str, str],
    data_keys: Sequence[EncryptedDataKey],
    frame_bytes: int = FRAME_BYTES,
) -> bytes:
    """The header with its tag, ready to be written before the frames."""
    parts = [struct.pack(">BH", _VERSION, _SUITE), message_id, _short(_pack_context(context))]
    parts.append(struct.pack(">H", len(data_keys)))
    for entry in data_keys:
        parts += [_short(entry.provider.encode()), _short(entry.info), _short(entry.blob)]
    parts += [struct.pack(">BI", _FRAMED, frame_bytes), _derive(data_key, message_id, b"COMMITKEY")]
    raw = b"".join(parts)
    return raw + _body_cipher(data_key, message_id).encrypt(_ZERO_IV, b"", raw)


def reheader(header: Header, *, data_key: bytes, data_keys: Sequence[EncryptedDataKey]) -> bytes:
    """The same header with other wrapped data keys and a new tag; message id and commitment do not change."""
    return write_header(
        data_key=data_key,
        message_id=header.message_id,
        context=header.context,
        data_keys=data_keys,
        frame_bytes=header.frame_bytes,
    )


def verify_header(header: Header, data_key: bytes, *, subject: str) -> AESGCM:
    """Check commitment and tag; returns the cipher of the body.

    Raises IntegrityFailure when ``data_key`` is not the key of this message or the header was altered.
    """
    if len(data_key) != DATA_KEY_BYTES or not hmac.compare_digest(
        _derive(data_key, header.message_id, b"COMMITKEY"), header.commitment
    ):
        raise _damaged(subject, "was not made with this data key (key commitment)", "commitment")
    cipher = _body_cipher(data_key, header.message_id)
    try:
        cipher.decrypt(_ZERO_IV, header.tag, header.raw)
    except InvalidTag as error:
        raise _damaged(subject, "has an altered header", "header-tag") from error
    return cipher


def decrypt_frames(
    source: BinaryIO, header: Header, data_key: bytes, *, subject: str
) -> Iterator[tuple[memoryview, bool]]:
    """Verify the header, then yield each frame's plaintext and whether it is the last.

    The view is reused by the next frame.  Raises IntegrityFailure with the frame's number, also when bytes follow
    the last frame.
    """
    cipher = verify_header(header, data_key, subject=subject)
    sealed, opened = memoryview(b""), memoryview(b"")
    number, final = 0, False
    while not final:
        number += 1
        length, final, nonce = _frame_start(source, header, number, subject)
        if len(sealed) < length + _TAG:  # small objects never pay for a whole frame
            sealed, opened = memoryview(bytearray(length + _TAG)), memoryview(bytearray(length))
        body = sealed[: length + _TAG]
        if _fill(source, body) != len(body):
            raise _damaged(subject, f"ends inside frame {number}", f"frame-{number}")
        try:
            cipher.decrypt_into(nonce, body, _aad(header.message_id, number, length, final), opened[:length])
        except InvalidTag as error:
            raise _damaged(subject, f"has an altered frame {number}", f"frame-{number}") from error
        yield opened[:length], final
    if source.read(1):
        raise _damaged(subject, f"goes on after its last frame {number}", f"frame-{number}")


class FrameWriter:
    """Encrypts frames into ``sink``; every frame but the last must be full, and ``message_id`` used only once."""

    def __init__(self, sink: Sink, *, data_key: bytes, message_id: bytes) -> None:
        self._sink = sink
        self._cipher = _body_cipher(data_key, message_id)
        self._message_id = message_id
        self._number = 0
        self._out = memoryview(b"")

    def write(self, frame: memoryview | bytes, final: bool) -> None:
        """Encrypt one frame; ``final`` marks the last one, which may be short or empty."""
        self._number += 1
        number, length = self._number, len(frame)
        nonce = number.to_bytes(_IV, "big")
        start = struct.pack(">II12sI", _FINAL, number, nonce, length) if final else struct.pack(">I12s", number, nonce)
        end = len(start) + length + _TAG
        if len(self._out) < end:
            self._out = memoryview(bytearray(24 + length + _TAG))
        self._out[: len(start)] = start
        self._cipher.encrypt_into(
            nonce, frame, _aad(self._message_id, number, length, final), self._out[len(start) : end]
        )
        self._sink.write(self._out[:end])


def encrypt_stream(
    source: BinaryIO,
    sink: Sink,
    *,
    data_key: bytes,
    context: Mapping[str, str],
    data_keys: Sequence[EncryptedDataKey],
    frame_bytes: int = FRAME_BYTES,
) -> int:
    """Encrypt all of ``source`` as one message with a fresh message id; returns the plaintext's bytes."""
    message_id = new_message_id()
    sink.write(
        write_header(
            data_key=data_key, message_id=message_id, context=context, data_keys=data_keys, frame_bytes=frame_bytes
        )
    )
    writer = FrameWriter(sink, data_key=data_key, message_id=message_id)
    now, ahead = memoryview(bytearray(frame_bytes)), memoryview(bytearray(frame_bytes))
    length, total = _fill(source, now), 0
    while True:
        following = _fill(source, ahead) if length == frame_bytes else 0
        writer.write(now[:length], following == 0)
        total += length
        if not following:
            return total
        now, ahead, length = ahead, now, following


def decrypt_stream(source: BinaryIO, sink: Sink, *, header: Header, data_key: bytes, subject: str) -> int:
    """Decrypt the frames after ``header``; returns the plaintext's bytes.

    What was written before an IntegrityFailure is authentic but incomplete: discard it.
    """
    total = 0
    for frame, _final in decrypt_frames(source, header, data_key, subject=subject):
        sink.write(frame)
        total += len(frame)
    return total


class _Reader:
    """Reads header fields and remembers every byte for the tag."""

    def __init__(self, source: BinaryIO, subject: str) -> None:
        self._source = source
        self._subject = subject
        self.seen = bytearray()

    def take(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) != count:
            raise _damaged(self._subject, "ends inside its header", "header")
        self.seen += data
        return data

    def unpack(self, form: str) -> tuple[int, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def short(self) -> int:
        return self.unpack(">H")[0]

    def text(self) -> str:
        try:
            return self.take(self.short()).decode()
        except UnicodeDecodeError as error:
            raise _damaged(self._subject, "has a data key with an unreadable name", "header") from error


def _read_data_key(reader: _Reader) -> EncryptedDataKey:
    return EncryptedDataKey(reader.text(), reader.take(reader.short()), reader.take(reader.short()))


def _frame_start(source: BinaryIO, header: Header, number: int, subject: str) -> tuple[int, bool, bytes]:
    start = source.read(4)
    final = start == b"\xff\xff\xff\xff"
    start += source.read(20 if final else 12)
    if len(start) != (24 if final else 16):
        raise _damaged(subject, f"ends before its last frame, at frame {number}", f"frame-{number}")
    if final:
        found, nonce, length = struct.unpack(">4xI12sI", start)
    else:
        found, nonce = struct.unpack(">I12s", start)
        length = header.frame_bytes
    if found != number or nonce != number.to_bytes(_IV, "big") or length > header.frame_bytes:
        raise _damaged(subject, f"has a misplaced or altered frame {number}", f"frame-{number}")
    return length, final, nonce


def _fill(source: BinaryIO, buffer: memoryview) -> int:
    have = 0
    while have < len(buffer):
        # BinaryIO lacks readinto in typeshed; every binary stream of io has it
        count: int = source.readinto(buffer[have:])  # type: ignore[attr-defined]
        if not count:
            break
        have += count
    return have


def _aad(message_id: bytes, number: int, length: int, final: bool) -> bytes:
    return message_id + (_FINAL_TEXT if final else _FRAME_TEXT) + struct.pack(">IQ", number, length)


def _derive(data_key: bytes, message_id: bytes, purpose: bytes) -> bytes:
    info = struct.pack(">H", _SUITE) + purpose if purpose == b"DERIVEKEY" else purpose
    return HKDF(algorithm=SHA512(), length=32, salt=message_id, info=info).derive(data_key)


def _body_cipher(data_key: bytes, message_id: bytes) -> AESGCM:
    return AESGCM(_derive(data_key, message_id, b"DERIVEKEY"))


def _pack_context(context: Mapping[str, str]) -> bytes:
    if not context:
        return b""
    pairs = sorted((name.encode(), value.encode()) for name, value in context.items())
    return struct.pack(">H", len(pairs)) + b"".join(_short(name) + _short(value) for name, value in pairs)


def _parse_context(data: bytes, subject: str) -> dict[str, str]:
    if not data:
        return {}
    try:
        (count,), at, texts = struct.unpack_from(">H", data), 2, []
        for _ in range(count * 2):
            (length,) = struct.unpack_from(">H", data, at)
            texts.append(data[at + 2 : at + 2 + length].decode())
            at += 2 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise _damaged(subject, "has an unreadable encryption context", "header") from error
    context = dict(zip(texts[::2], texts[1::2], strict=True))
    if at != len(data) or _pack_context(context) != data:
        raise _damaged(subject, "has an encryption context that is not canonical", "header")
    return context


def _short(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _damaged(subject: str, what: str, code: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"{subject} {what}.", subject=subject, code=code, hint="Restore this object from a backup; it was left alone."
    )
