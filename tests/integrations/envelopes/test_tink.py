"""The Tink codec against itself, against damage, and against the official Tink."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from tink import aead

from integrations.envelopes import tink
from playbooks.errors import IntegrityFailure
from simulations.reader import read_tink

NONCE = bytes(12)


class Remote(aead.Aead):
    """A key backend for the official Tink."""

    def __init__(self) -> None:
        self.cipher = AESGCM(AESGCM.generate_key(256))

    def encrypt(self, plaintext: bytes, associated_data: bytes) -> bytes:
        assert associated_data == b""
        return self.cipher.encrypt(NONCE, plaintext, b"")

    def decrypt(self, ciphertext: bytes, associated_data: bytes) -> bytes:
        assert associated_data == b""
        return self.cipher.decrypt(NONCE, ciphertext, b"")


def sealed(plaintext: bytes, remote: Remote, row_id: bytes) -> bytes:
    data_key = tink.new_data_key()
    return tink.join(remote.encrypt(data_key, b""), tink.encrypt(plaintext, data_key, associated_data=row_id))


def opened(value: bytes, remote: Remote, row_id: bytes) -> bytes:
    wrapped, payload = tink.split(value, subject="row")
    try:
        data_key = remote.decrypt(wrapped, b"")
    except Exception as error:
        raise IntegrityFailure("the backend refuses") from error
    return tink.decrypt(payload, data_key, associated_data=row_id, subject="row")


@settings(max_examples=60, deadline=None)
@given(plaintext=st.binary(max_size=300), row_id=st.text(max_size=20))
def test_values_are_read_both_ways_by_the_official_tink(plaintext: bytes, row_id: str) -> None:
    """Ours by Tink, Tink's by us, bound to the row."""
    remote = Remote()
    ours = sealed(plaintext, remote, row_id.encode())
    assert read_tink(ours, row_id=row_id, unwrap=lambda _p, blob, _c: remote.decrypt(blob, b"")) == plaintext
    theirs = aead.KmsEnvelopeAead(aead.aead_key_templates.AES256_GCM, remote).encrypt(plaintext, row_id.encode())
    assert opened(theirs, remote, row_id.encode()) == plaintext


def test_flipping_any_byte_is_an_integrity_failure() -> None:
    """Length, wrapped key, nonce, ciphertext, tag: every single byte."""
    remote = Remote()
    value = sealed(b"4111 1111 1111 1111", remote, b"7")
    for place in range(len(value)):
        damaged = bytearray(value)
        damaged[place] ^= 0x10
        with pytest.raises(IntegrityFailure):
            opened(bytes(damaged), remote, b"7")


def test_a_value_moved_to_another_row_is_refused() -> None:
    """The row's id is authenticated."""
    remote = Remote()
    with pytest.raises(IntegrityFailure):
        opened(sealed(b"x", remote, b"7"), remote, b"8")


@given(data=st.binary(max_size=80))
def test_garbage_is_refused_and_never_crashes(data: bytes) -> None:
    """Whatever is found in the column."""
    with pytest.raises(IntegrityFailure):
        opened(data, Remote(), b"7")


def test_a_data_key_of_another_kind_is_named() -> None:
    """For example AES-128, or what a wrong key unwraps to."""
    with pytest.raises(IntegrityFailure) as caught:
        tink.decrypt(bytes(40), bytes(18), associated_data=b"", subject="row")
    assert caught.value.code == "data-key"
