"""What the name of an algorithm tells: figures from NIST's tables, nothing where there are none."""

from __future__ import annotations

from typing import Any

import pytest

from playbooks.cbom.algorithms import Purpose, traits


@pytest.mark.parametrize(
    ("name", "purpose", "size", "primitive", "classical", "category"),
    [
        ("AES-128-GCM", "encrypt", 128, "ae", 128, 1),
        ("AES-192", "encrypt", 192, "block-cipher", 192, 3),
        ("AES-256-CBC", "encrypt", 256, "block-cipher", 256, 5),
        ("RSA-2048", "sign", 2048, "signature", 112, 0),
        ("RSA-3072", "encrypt", 3072, "pke", 128, 0),
        ("RSA-4096", "encrypt", 4096, "pke", 152, 0),
        ("RSA-2560", "encrypt", 2560, "pke", None, 0),
        ("EC-P256", "sign", 256, "signature", 128, 0),
        ("EC-P521", "encrypt", 521, None, 256, 0),
        ("Ed25519", "sign", 256, "signature", 128, 0),
        ("Ed448", "sign", 456, "signature", 224, 0),
        ("ML-DSA-65", "sign", None, "signature", None, 3),
        ("ML-KEM-512", "encrypt", None, "kem", None, 1),
        ("ML-KEM-999", "encrypt", None, "kem", None, None),
        ("SLH-DSA-SHA2-128s", "sign", None, "signature", None, 1),
        ("HMAC-256", "sign", 256, "mac", None, None),
        ("ChaCha20-Poly1305", "encrypt", None, None, None, None),
        ("EC-06052b8104000a", "sign", None, None, None, None),
        ("AES-256-GCM and more", "encrypt", None, None, None, None),
        ("", "encrypt", None, None, None, None),
    ],
)
def test_a_name_tells_what_the_tables_say_of_it(
    name: str, purpose: Purpose, size: int | None, primitive: str | None, classical: int | None, category: int | None
) -> None:
    """Unknown names, sizes between the rows and names that only begin like one tell nothing more."""
    found = traits(name, purpose)
    said: dict[str, Any] = found.properties
    levels = (said.get("classicalSecurityLevel"), said.get("nistQuantumSecurityLevel"))
    assert (found.size, said.get("primitive"), *levels) == (size, primitive, classical, category)
    assert None not in said.values()


@pytest.mark.parametrize(
    ("name", "material"),
    [("AES-256", "secret-key"), ("HMAC-512", "secret-key"), ("RSA-2048", "private-key"), ("Ed25519", "private-key"),
     ("Twofish-256", "key")],
)  # fmt: skip
def test_the_kind_of_key_follows_from_the_algorithm(name: str, material: str) -> None:
    """A key of an unknown algorithm is just a key."""
    assert traits(name, "encrypt").material.value == material
