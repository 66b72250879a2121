"""The drill's independent reader reports what it cannot open."""

from __future__ import annotations

import io

import pytest

from integrations.envelopes import esdk, tink
from playbooks.errors import IntegrityFailure, Refused
from playbooks.refs import KeyRef
from simulations.reader import read_esdk, read_tink

KEY = KeyRef.parse("openbao:vault/transit/orders")


def message(data_key: bytes) -> bytes:
    out = io.BytesIO()
    esdk.encrypt_stream(
        io.BytesIO(b"invoice"),
        out,
        data_key=data_key,
        context={"object": "a"},
        data_keys=[esdk.encrypted_data_key(KEY, b"first"), esdk.encrypted_data_key(KEY, b"second")],
    )
    return out.getvalue()


def test_any_of_several_data_keys_opens_a_message() -> None:
    """The provider is named as in the header, and the context is passed on."""
    asked = []

    def unwrap(provider: str, blob: bytes, context: object) -> bytes:
        asked.append((provider, context))
        if blob == b"first":
            raise Refused("not this one")
        return bytes(32)

    assert read_esdk(message(bytes(32)), unwrap=unwrap) == (b"invoice", {"object": "a"})
    assert ("openbao/openbao:vault/transit/orders", {"object": "a"}) in asked


def test_a_refusal_and_a_wrong_data_key_are_integrity_failures() -> None:
    """The harness counts the object as lost, it does not crash."""

    def refuse(*_: object) -> bytes:
        raise Refused("disabled")

    for unwrap in (refuse, lambda *_: b"\x01" * 32):
        with pytest.raises(IntegrityFailure):
            read_esdk(message(bytes(32)), unwrap=unwrap)
    data_key = tink.new_data_key()
    value = tink.join(b"wrapped", tink.encrypt(b"card", data_key, associated_data=b"7"))
    assert read_tink(value, row_id="7", unwrap=lambda *_: data_key) == b"card"
    for row, unwrap in (("8", lambda *_: data_key), ("7", lambda *_: tink.new_data_key())):
        with pytest.raises(IntegrityFailure):
            read_tink(value, row_id=row, unwrap=unwrap)
