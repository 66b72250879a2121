"""The AWS Encryption SDK codec against itself, against damage, and against the official SDK."""

from __future__ import annotations

import io
import os

import aws_encryption_sdk
import pytest
from aws_encryption_sdk import Algorithm, CommitmentPolicy
from aws_encryption_sdk.identifiers import EncryptionKeyType, WrappingAlgorithm
from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
from aws_encryption_sdk.key_providers.raw import RawMasterKey
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.envelopes import esdk
from playbooks.errors import IntegrityFailure, Unavailable
from playbooks.refs import KeyRef
from simulations.reader import read_esdk

KEY = KeyRef.parse("openbao:vault/transit/orders")
KMS = KeyRef.parse("aws-kms:prod/1234abcd")
FRAME = 64
SIZES = st.sampled_from([0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 7])


def sealed(plaintext: bytes, data_key: bytes, *, context: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    esdk.encrypt_stream(
        io.BytesIO(plaintext),
        out,
        data_key=data_key,
        context=context or {},
        data_keys=[esdk.encrypted_data_key(KEY, b"blob")],
        frame_bytes=FRAME,
    )
    return out.getvalue()


def opened(message: bytes, data_key: bytes) -> bytes:
    source, out = io.BytesIO(message), io.BytesIO()
    header = esdk.read_header(source, subject="object")
    esdk.decrypt_stream(source, out, header=header, data_key=data_key, subject="object")
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(size=SIZES, context=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3))
def test_what_was_encrypted_comes_back_here_and_in_the_official_sdk(size: int, context: dict[str, str]) -> None:
    """Any size around the frame's length, any context."""
    plaintext, data_key = os.urandom(size), os.urandom(32)
    message = sealed(plaintext, data_key, context=context)
    assert opened(message, data_key) == plaintext
    assert read_esdk(message, unwrap=lambda *_: data_key) == (plaintext, context)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 20000])
def test_what_the_official_sdk_encrypts_is_read(size: int) -> None:
    """With the same suite; frames of its default length."""
    wrapping, plaintext = os.urandom(32), os.urandom(size)
    provider = RawMasterKey(
        key_id=b"kek",
        provider_id="raw",
        wrapping_key=WrappingKey(
            WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, wrapping, EncryptionKeyType.SYMMETRIC
        ),
    )
    client = aws_encryption_sdk.EncryptionSDKClient(commitment_policy=CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
    message, _ = client.encrypt(
        source=plaintext,
        key_provider=provider,
        algorithm=Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
        encryption_context={"object": "a"},
    )
    header = esdk.read_header(io.BytesIO(message), subject="object")
    assert header.context == {"object": "a"}
    [entry] = header.data_keys
    assert entry.provider == "raw"
    data_key = _official_data_key(provider, message)
    assert opened(message, data_key) == plaintext
    other = esdk.reheader(header, data_key=data_key, data_keys=[esdk.encrypted_data_key(KMS, b"moved")])
    rewrapped = other + message[header.size :]
    assert read_esdk(rewrapped, unwrap=lambda *_: data_key)[0] == plaintext


def test_the_signed_suite_is_refused_and_named() -> None:
    """The SDK's default cannot be rewrapped; nobody should find out half-way."""
    with pytest.raises(Unavailable) as caught:
        esdk.read_header(io.BytesIO(b"\x02\x05\x78" + bytes(200)), subject="object")
    assert caught.value.code == "suite-0x0578"


def test_flipping_any_byte_is_an_integrity_failure() -> None:
    """Header, wrapped keys, context, commitment, tags, frames: every single byte."""
    data_key = os.urandom(32)
    message = sealed(os.urandom(2 * FRAME + 5), data_key, context={"object": "a"})
    for place in range(len(message)):
        damaged = bytearray(message)
        damaged[place] ^= 0x10
        with pytest.raises((IntegrityFailure, Unavailable)):
            opened(bytes(damaged), data_key)


def test_cutting_swapping_and_extending_are_found_with_the_frame_number() -> None:
    """A truncated, reordered or longer message never passes for whole."""
    data_key = os.urandom(32)
    message = sealed(os.urandom(3 * FRAME), data_key)
    start = esdk.read_header(io.BytesIO(message), subject="object").size
    size = FRAME + 32
    frames = [message[start + index * size : start + (index + 1) * size] for index in range(2)]
    swapped = message[:start] + frames[1] + frames[0] + message[start + 2 * size :]
    for damaged, code in (
        (message[:-1], "frame-3"),
        (message[: start + size], "frame-2"),
        (message + b"x", "frame-3"),
        (swapped, "frame-1"),
        (message[: start - 5], "header"),
        (b"", "header"),
    ):
        with pytest.raises(IntegrityFailure) as caught:
            opened(damaged, data_key)
        assert caught.value.code == code


def test_another_data_key_is_refused_by_the_commitment() -> None:
    """Before any frame is decrypted."""
    with pytest.raises(IntegrityFailure) as caught:
        opened(sealed(b"x", os.urandom(32)), os.urandom(32))
    assert caught.value.code == "commitment"


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_garbage_is_refused_and_never_crashes(data: bytes) -> None:
    """Whatever bytes are found in the folder."""
    for start in (b"", b"\x02\x04\x78" + bytes(32)):
        with pytest.raises((IntegrityFailure, Unavailable)):
            opened(start + data, bytes(32))


def test_a_kms_key_is_named_as_the_sdk_names_it() -> None:
    """Provider aws-kms with the key's id; others by scheme and URI."""
    assert esdk.label(KMS) == ("aws-kms", b"1234abcd")
    assert esdk.label(KEY) == ("openbao", b"openbao:vault/transit/orders")


def _official_data_key(provider: RawMasterKey, message: bytes) -> bytes:
    from aws_encryption_sdk.internal.formatting.deserialize import deserialize_header

    header, _ = deserialize_header(io.BytesIO(message))
    [entry] = header.encrypted_data_keys
    found: bytes = provider.decrypt_data_key(entry, header.algorithm, header.encryption_context).data_key
    return found
