"""Evidence signed by keys that never leave their backend: a real token (SoftHSM), and a KMS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aws_fixtures import Account, aws
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from integrations.keys.aws_kms import AwsKms
from integrations.keys.pkcs11 import Pkcs11Token
from integrations.signers.backend_key import BackendKey
from integrations.signers.signatures import ECDSA, RSA, verify_signature
from playbooks.errors import NotFound, RecordError, Refused, Unavailable, Unreachable
from playbooks.refs import KeyRef
from simulations.lab.processes import Processes
from simulations.lab.softhsm import SoftHsm

__all__ = ["aws"]
_HALF_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551 // 2


def now() -> datetime:
    return datetime.now(UTC)


def key(label: str) -> KeyRef:
    return KeyRef("pkcs11", "kek-hsm", label)


@pytest.fixture(scope="module")
def hsm(lab_processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    """A token with a key of each kind."""
    made = SoftHsm.start(lab_processes, tmp_path_factory.mktemp("signing-hsm"))
    made.generate_ec("evidence")
    made.generate_aes("kek")
    made._generate("evidence-rsa", "RSA-2048", "sign")
    return made


@pytest.fixture
def token(hsm: SoftHsm) -> Iterator[Pkcs11Token]:
    opened = Pkcs11Token.open("kek-hsm", hsm.connection_options(), clock=now)
    yield opened
    opened.close()


def test_a_token_signs_by_ecdsa_in_the_one_accepted_form(token: Pkcs11Token) -> None:
    """The smaller s always, although the token gives either: twelve signatures, and one in 4096 would all be small."""
    signer = BackendKey.open(token, key("evidence"))
    assert (signer.key, signer.algorithm) == ("pkcs11:token=kek-hsm;object=evidence", ECDSA)
    for number in range(12):
        message = f"message {number}".encode()
        signature = signer.sign(message)
        verify_signature(signer.public_key, signer.algorithm, message, signature)
        assert decode_dss_signature(signature)[1] <= _HALF_ORDER


def test_a_token_signs_by_rsa(token: Pkcs11Token) -> None:
    """PKCS #1 v1.5 with SHA-256; another text does not verify."""
    signer = BackendKey.open(token, key("evidence-rsa"))
    signature = signer.sign(b"message")
    verify_signature(signer.public_key, RSA, b"message", signature)
    with pytest.raises(RecordError):
        verify_signature(signer.public_key, RSA, b"other", signature)


def test_a_key_that_is_not_there_or_signs_nothing_is_said(token: Pkcs11Token) -> None:
    """With the key's name, and that no other key takes over."""
    with pytest.raises(NotFound, match="object=nowhere") as caught:
        BackendKey.open(token, key("nowhere"))
    assert "Nothing is signed with another key" in caught.value.hint
    with pytest.raises(Unavailable, match="object=kek"):
        BackendKey.open(token, key("kek"))
    with pytest.raises(Unavailable, match="signs nothing"):
        BackendKey.open(object(), key("evidence"))


def test_a_key_that_was_disabled_meanwhile_refuses(token: Pkcs11Token, hsm: SoftHsm) -> None:
    """The token's own code is kept."""
    hsm.generate_ec("disabled")
    signer = BackendKey.open(token, key("disabled"))
    token.disable(key("disabled"))
    with pytest.raises(Refused, match="evidence did not answer as it should") as caught:
        signer.sign(b"message")
    assert caught.value.code == "CKR_KEY_FUNCTION_NOT_PERMITTED"


def test_a_token_that_is_away_signs_nothing(hsm: SoftHsm, tmp_path: Path) -> None:
    """Its module finds no such token."""
    (tmp_path / "empty.conf").write_text(f"directories.tokendir = {tmp_path}\nobjectstore.backend = file\n")
    options = {**hsm.connection_options(), "environment": {"SOFTHSM2_CONF": str(tmp_path / "empty.conf")}}
    away = Pkcs11Token.open("kek-hsm", options, clock=now)
    with pytest.raises((NotFound, Unreachable, Unavailable), match="evidence") as caught:
        BackendKey.open(away, key("evidence"))
    assert "Nothing is signed with another key" in caught.value.hint
    away.close()


@pytest.mark.parametrize(("spec", "algorithm"), [("ECC_NIST_P256", ECDSA), ("RSA_2048", RSA)])
def test_a_kms_signs(aws: Account, spec: str, algorithm: str) -> None:
    """By the digest; what it signed verifies."""
    ref = KeyRef("aws-kms", "cloud", aws.lab.create_key("evidence", spec=spec))
    kms = AwsKms.open("cloud", {each: aws.options[each] for each in aws.options if each != "type"}, clock=now)
    signer = BackendKey.open(kms, ref)
    assert signer.algorithm == algorithm
    verify_signature(signer.public_key, algorithm, b"message", signer.sign(b"message"))
    kms.close()
