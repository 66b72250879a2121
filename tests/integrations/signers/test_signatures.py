"""Keys that sign evidence: made once, kept private, verified in one form only."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from integrations.signers.installation_key import FILE, InstallationKey
from integrations.signers.signatures import ECDSA, ED25519, fingerprint, pem_of, settled, verify_signature
from playbooks.errors import RecordError, Unavailable

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_the_installation_key_is_made_once_private_and_signs(tmp_path: Path) -> None:
    """The second opening finds the same key; nobody else may read its file."""
    first, second = InstallationKey.open(tmp_path), InstallationKey.open(tmp_path)
    assert first.public_key == second.public_key
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [FILE]
    verify_signature(first.public_key, ED25519, b"text", second.sign(b"text"))


def test_many_that_need_the_key_at_once_get_the_same(tmp_path: Path) -> None:
    """Two processes that begin together do not sign with two keys."""
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: InstallationKey.open(tmp_path).public_key, range(16)))
    assert len(set(keys)) == 1


def test_a_key_that_others_can_read_signs_nothing(tmp_path: Path) -> None:
    """What others may have copied vouches for nothing."""
    InstallationKey.open(tmp_path)
    (tmp_path / FILE).chmod(0o640)
    with pytest.raises(RecordError, match="can be read by others"):
        InstallationKey.open(tmp_path)


def test_a_file_that_holds_no_key_is_said_and_left_alone(tmp_path: Path) -> None:
    """No new key is made over something that stands there."""
    (tmp_path / FILE).write_text("something else")
    (tmp_path / FILE).chmod(0o600)
    with pytest.raises(RecordError, match="holds no signing key"):
        InstallationKey.open(tmp_path)
    assert (tmp_path / FILE).read_text() == "something else"


def test_another_text_key_or_algorithm_does_not_verify(tmp_path: Path) -> None:
    """A signature is good for one text, key and algorithm."""
    (tmp_path / "other").mkdir()
    key, other = InstallationKey.open(tmp_path), InstallationKey.open(tmp_path / "other")
    signature = key.sign(b"text")
    for pem, algorithm, text in (
        (key.public_key, ED25519, b"texts"),
        (other.public_key, ED25519, b"text"),
        (key.public_key, ECDSA, b"text"),
        (key.public_key + "\n", ED25519, b"text"),
        ("no key", ED25519, b"text"),
    ):
        with pytest.raises(RecordError):
            verify_signature(pem, algorithm, text, signature)
    assert fingerprint(key.public_key) != fingerprint(other.public_key)


def test_an_ecdsa_signature_is_good_in_one_form_only() -> None:
    """With r, s also r, n - s would verify: only the smaller s is accepted."""
    private = ec.generate_private_key(ec.SECP256R1())
    pem = pem_of(private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), subject="k")
    signature = settled(private.sign(b"text", ec.ECDSA(SHA256())), ECDSA)
    verify_signature(pem, ECDSA, b"text", signature)
    r, s = decode_dss_signature(signature)
    with pytest.raises(RecordError, match="one accepted form"):
        verify_signature(pem, ECDSA, b"text", encode_dss_signature(r, _ORDER - s))
    with pytest.raises(RecordError):
        verify_signature(pem, ECDSA, b"text", b"no signature")


def test_keys_that_are_too_weak_sign_no_evidence() -> None:
    """Small RSA keys and other curves are refused before anything is signed."""
    for public in (
        rsa.generate_private_key(65537, 1024).public_key(),  # noqa: S505 - the weak key is the case
        ec.generate_private_key(ec.SECP256K1()).public_key(),
    ):
        with pytest.raises(Unavailable):
            pem_of(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo), subject="k")
