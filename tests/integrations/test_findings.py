"""Leaked text is recognised by its form, and blanked where it would be shown."""

from __future__ import annotations

import base64
import json
import os

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from integrations.findings import BLANK, classify, masked, recognise, redact, secrets_in
from integrations.fingerprints import key_check_values, keyed, spki_sha256
from playbooks.exposures import ExposureKind, Fingerprint

KEY = b"k" * 32
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
TOKEN = "hvs.CAESIJ4v3rYs3cr3tT0k3nF0rT3sts0nly"


def private_pem(form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL", "OpenSSH"])
@pytest.mark.parametrize("torn_by", ["\n", "\\n", " ", "\r\n", "\n> "])
def test_a_private_key_is_recognised_however_its_lines_are_broken(form: str, torn_by: str) -> None:
    """JSON, one-line settings and quoted mails lose line breaks; the key is the same."""
    pem = private_pem(getattr(serialization.PrivateFormat, form))
    ((kind, fingerprints),) = recognise(f"look:\n{pem.replace(chr(10), torn_by)} in git", key=KEY)
    assert (kind, fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))


def test_two_private_keys_in_one_file_are_both_recognised() -> None:
    """A bundle loses neither."""
    first, second = private_pem(), private_pem()
    found = classify(first + second, key=KEY)
    assert found == (ExposureKind.SIGNING_KEY, (spki_sha256(first), spki_sha256(second)))


def test_a_key_that_cannot_be_read_is_key_material() -> None:
    """Torn or encrypted: the text itself is still known by its keyed hash."""
    torn = private_pem()[:80]
    assert classify(torn, key=KEY) == (ExposureKind.KEY_MATERIAL, (keyed(torn.strip(), KEY),))


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("written", ["hex", "HEX", "base64", "urlsafe"])
def test_key_bytes_are_recognised_by_their_check_values(size: int, written: str) -> None:
    """AES key bytes in every usual spelling; FIPS 197's own key gives the known value."""
    material = bytes(range(7, 7 + size))
    text = {
        "hex": material.hex(),
        "HEX": material.hex().upper(),
        "base64": base64.b64encode(material).decode(),
        "urlsafe": base64.urlsafe_b64encode(material).decode(),
    }[written]
    kind, fingerprints = classify(text, key=None)
    assert (kind, fingerprints) == (ExposureKind.KEY_MATERIAL, key_check_values(material))


def test_check_values_are_those_of_the_standards() -> None:
    """The zero key of 128 bits: AES gives 66e94b (FIPS 197), and its CMAC of a zero block 763cbc (RFC 4493)."""
    assert [each.value for each in key_check_values(bytes(16))] == ["66e94b", "763cbc"]
    assert key_check_values(bytes(15)) == ()


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("the hsm pin is 472913, sorry", "472913"),
        ("postgres://shop:hunter2@db/orders", "hunter2"),
        ('{"password": "Tr0ub4dor&3"}', "Tr0ub4dor&3"),
        ("export API_KEY=s3cr3t-value", "s3cr3t-value"),
        (f"aws_secret_access_key = {SECRET_KEY}", SECRET_KEY),
        (f"it was {SECRET_KEY} in the log", SECRET_KEY),
        (f"vault login {TOKEN}", TOKEN),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345 on the wiki", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
        ("xoxb-123456789012-abcdefABCDEF", "xoxb-123456789012-abcdefABCDEF"),
        ("hunter2", "hunter2"),
    ],
)
def test_a_secret_in_a_sentence_is_found_and_blanked(text: str, secret: str) -> None:
    """What a person pastes: found with the right borders, so that its hash is the secret's, and then gone."""
    assert secrets_in(text) == [secret]
    assert keyed(secret, KEY) in [each for _, fingerprints in recognise(text, key=KEY) for each in fingerprints]
    assert redact(text) == text.replace(secret, BLANK)


@pytest.mark.parametrize(
    "text",
    [
        "Nothing to see in the invoices service since yesterday, 2026-01-05 09:12.",
        "https://github.com/acme/deploy/blob/5b4f0c6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708/settings.py",
        "aws-kms:prod/1234abcd-12ab-34cd-56ef-1234567890ab",
        "AKIAIOSFODNN7EXAMPLE was used",
        "the token is with the platform team",
        "INC-20260105",
        "",
    ],
)
def test_plain_words_stay(text: str) -> None:
    """Names, addresses, commits and ids of access keys are no secrets."""
    assert redact(text) == text


@pytest.mark.parametrize("text", ["settings2.py", "alert-17", "shop1"])
def test_a_lone_word_is_a_name_in_a_document_and_a_secret_in_a_message(text: str) -> None:
    """A person who sends one word with a digit may have sent the password."""
    assert (masked(text), redact(text)) == (text, BLANK)


def test_several_secrets_are_found_in_their_order() -> None:
    """One message often holds both halves of a key, and more."""
    found = recognise(f"AKIAIOSFODNN7EXAMPLE {SECRET_KEY} and {TOKEN}", key=KEY)
    assert [fingerprints[0].kind for _, fingerprints in found] == ["access-key-id", "secret-hmac", "token-sha256"]
    assert found[0][1] == (Fingerprint(kind="access-key-id", value="AKIAIOSFODNN7EXAMPLE"),)


def test_without_a_key_only_what_cannot_be_guessed_is_recognised() -> None:
    """A plain hash of a PIN would give the PIN away."""
    assert recognise("pin: 472913", key=None) == []
    assert redact("pin: 472913") == f"pin: {BLANK}"


def test_a_torn_private_key_hides_all_that_follows() -> None:
    """Nobody knows where it ends."""
    pem = private_pem()
    assert redact(f"see {pem[:150]}") == f"see {BLANK}"


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    """No text breaks the reading, and what was blanked holds no secret that was found for sure."""
    recognise(text, key=KEY)
    redact(text)


@given(st.binary(min_size=16, max_size=16), st.sampled_from(["{}", "key={}", "<{}>", '"{}",', "({})"]))
def test_random_keys_never_stay(material: bytes, around: str) -> None:
    """Key bytes in hexadecimal are blanked wherever they stand."""
    text = around.format(material.hex())
    if len(set(material.hex())) >= 8:
        assert material.hex() not in redact(text)


def test_long_text_is_read_in_time() -> None:
    """Nothing that is written costs more than its length: a message of 200,000 characters takes no seconds."""
    for piece in ("-----BEGIN PRIVATE KEY-----", "password ", "a1B", "x://", "eyJ", "token=abcd ", "pin is "):
        redact(piece * (200_000 // len(piece)))


def test_a_secret_in_json_is_found_by_its_value() -> None:
    """Escapes of the writer do not matter for common characters."""
    material = os.urandom(32).hex()
    assert secrets_in(json.dumps({"note": "backup", "key": material})) == [material]
