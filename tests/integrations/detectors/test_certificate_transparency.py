"""Logged certificates are compared with what we know; only what is not as it should be is a signal."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from findings_abuse import FUZZ, HOOK_SECRET, headers, hexdigest, mutations, never_accepts, now, only_expected
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.certificate_transparency import CertificateTransparency
from integrations.fingerprints import spki_sha256
from playbooks.errors import InvalidInput, Refused
from playbooks.exposures import ExposureKind, Signal
from playbooks.ports import Detects

OURS, THEIRS, ISSUER_SPKI = "ab" * 32, "cd" * 32, "ef" * 32
ENTRY: dict[str, Any] = {
    "id": "6425418567",
    "tbs_sha256": "11" * 32,
    "cert_sha256": "22" * 32,
    "serial": "04:E5:7B:D7:41:A5:AF:10:3E:4F:D9:9D:2D:00:C2:9D:FB:11",
    "dns_names": ["shop.acme.example", "www.shop.acme.example"],
    "pubkey_sha256": THEIRS,
    "issuer": {"name": "C=US, O=Other Trust, CN=Other CA 1", "pubkey_sha256": "99" * 32},
    "not_before": "2026-02-06T00:00:00Z",
    "not_after": "2026-05-06T00:00:00Z",
    "revoked": False,
}
OWN_ISSUER = {"name": "CN=Acme Issuing CA, O=Acme", "pubkey_sha256": ISSUER_SPKI}
CRT_SH = {
    "issuer_ca_id": 16418,
    "issuer_name": "C=US, O=Other Trust, CN=Other CA 1",
    "common_name": "shop.acme.example",
    "name_value": "shop.acme.example\nwww.shop.acme.example",
    "id": 6425418567,
    "entry_timestamp": "2026-02-06T01:02:03.456",
    "not_before": "2026-02-06T00:00:00",
    "not_after": "2026-05-06T00:00:00",
    "serial_number": "04e57bd741a5af103e4fd99d2d00c29dfb11",
}


def options(**changes: Any) -> dict[str, Any]:
    return {
        "domains": ["acme.example"],
        "known_spki": [OURS],
        "known_issuers": {"O=Acme,CN=Acme Issuing CA": ISSUER_SPKI},
        **changes,
    }


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> CertificateTransparency:
    place = tmp_path_factory.mktemp("secrets") / "hook"
    place.write_text(HOOK_SECRET, encoding="utf-8")
    return CertificateTransparency.open("ct", options(auth={"secret": f"file:{place}"}), clock=now)


def entry(**changes: Any) -> bytes:
    return json.dumps({**ENTRY, **changes}).encode()


def values(signal: Signal) -> dict[str, str]:
    return {each.kind: each.value for each in signal.fingerprints}


def certificate(*names: str, issuer: str = "Other CA 1") -> tuple[x509.Certificate, str]:
    """A certificate for these names, and the PEM of its public key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)])
    built = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])]))
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(0x7A2F000000000001)
        .not_valid_before(datetime(2026, 2, 6, tzinfo=UTC))
        .not_valid_after(datetime(2026, 2, 6, tzinfo=UTC) + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(private, hashes.SHA256())
    )
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return built, private.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def test_a_certificate_that_nobody_of_us_asked_for_is_a_signal(reader: CertificateTransparency) -> None:
    """Known by its SHA-256; it names its own key, which is nobody's in the estate: a person looks."""
    (signal,) = reader.read(entry())
    assert signal.external_id == "22" * 32
    assert (signal.kind, signal.confidence) == (ExposureKind.SIGNING_KEY, 0.7)
    assert values(signal)["spki-sha256"] == THEIRS
    assert values(signal)["certificate-serial"] == "04e57bd741a5af103e4fd99d2d00c29dfb11"
    assert signal.first_seen == datetime(2026, 2, 6, tzinfo=UTC)
    assert "Other CA 1 certified a public key that is not ours for shop.acme.example" in signal.summary


def test_our_issuer_certified_a_strange_key(reader: CertificateTransparency) -> None:
    """Then the issuer's key is in other hands: it is the exposed one, not the key that was certified."""
    (signal,) = reader.read(entry(issuer=OWN_ISSUER))
    assert (signal.kind, signal.confidence) == (ExposureKind.ISSUING_KEY, 0.85)
    assert values(signal) == {"spki-sha256": ISSUER_SPKI, "certificate-sha256": "22" * 32}


def test_our_key_certified_elsewhere(reader: CertificateTransparency) -> None:
    """Whoever asks for a certificate holds the private key; also for a domain that is not ours."""
    for names in (["shop.acme.example"], ["evil.example"]):
        (signal,) = reader.read(entry(pubkey_sha256=OURS.upper(), dns_names=names))
        assert (signal.kind, signal.confidence) == (ExposureKind.SIGNING_KEY, 0.85)
        assert values(signal)["spki-sha256"] == OURS


@pytest.mark.parametrize(
    "changes",
    [
        {"pubkey_sha256": OURS, "issuer": OWN_ISSUER},
        {"pubkey_sha256": OURS, "issuer": {"name": "cn = acme issuing ca , o=ACME"}},
        {"dns_names": ["acme.example.evil.example", "notacme.example"]},
        {"dns_names": []},
    ],
)
def test_what_is_as_it_should_be_is_no_signal(reader: CertificateTransparency, changes: dict[str, Any]) -> None:
    """Our key by our issuer, however its name is written; domains that only look like ours."""
    assert list(reader.read(entry(**changes))) == []


def test_an_issuer_is_not_known_by_its_name_alone(reader: CertificateTransparency) -> None:
    """Any authority may take our issuer's name; its key tells it apart."""
    (signal,) = reader.read(entry(issuer={**OWN_ISSUER, "pubkey_sha256": "99" * 32}, pubkey_sha256=OURS))
    assert signal.kind is ExposureKind.SIGNING_KEY


@pytest.mark.parametrize("name", ["acme.example", "*.acme.example", "A.B.ACME.EXAMPLE"])
def test_wildcards_and_case_do_not_hide_a_name(reader: CertificateTransparency, name: str) -> None:
    """The domain itself, everything below it, and wildcards."""
    assert len(reader.read(entry(dns_names=[name]))) == 1


def test_crt_sh_is_read_and_judged_by_the_issuer(reader: CertificateTransparency) -> None:
    """It says no hash of the key: an issuer that may certify us is believed."""
    (signal,) = reader.read(json.dumps([CRT_SH]).encode())
    assert "spki-sha256" not in values(signal)
    known = {**CRT_SH, "issuer_name": "CN=Acme Issuing CA, O=Acme"}
    assert list(reader.read(json.dumps([known]).encode())) == []


@pytest.mark.parametrize("form", ["pem", "der in json", "pem in json"])
def test_a_whole_certificate_is_read(reader: CertificateTransparency, form: str) -> None:
    """Its own fields decide, whatever stands beside it."""
    built, public = certificate("login.acme.example")
    pem = built.public_bytes(serialization.Encoding.PEM)
    der = base64.b64encode(built.public_bytes(serialization.Encoding.DER)).decode()
    document = {
        "pem": pem,
        "der in json": json.dumps({"cert_der": der, "pubkey_sha256": OURS}).encode(),
        "pem in json": json.dumps({"certificate": pem.decode()}).encode(),
    }[form]
    (signal,) = reader.read(document)
    assert signal.external_id == built.fingerprint(hashes.SHA256()).hex()
    assert values(signal)["spki-sha256"] == spki_sha256(public).value
    assert values(signal)["certificate-serial"] == "7a2f000000000001"


def test_our_own_certificate_in_pem_is_no_signal() -> None:
    """Key and issuer are in the inventory."""
    built, public = certificate("acme.example", issuer="Acme CA")
    known = options(known_spki=[spki_sha256(public).value], known_issuers={"CN=Acme CA": ""})
    reader = CertificateTransparency.open("ct", known, clock=now)
    assert list(reader.read(built.public_bytes(serialization.Encoding.PEM))) == []


def test_many_entries_and_each_only_once(reader: CertificateTransparency) -> None:
    """A list, or one entry a line; a certificate that is logged twice is one finding."""
    other = entry(cert_sha256="33" * 32)
    assert len(reader.read(b"[" + entry() + b"," + other + b"," + entry() + b"]")) == 2
    assert len(reader.read(entry() + b"\n" + other + b"\n")) == 2


def test_files_are_polled_only_where_there_is_a_place(reader: CertificateTransparency, tmp_path: Path) -> None:
    """A detector for webhooks alone must not look alive by polling."""
    polled = CertificateTransparency.open("ct", options(folder=str(tmp_path)), clock=now)
    (tmp_path / "new.json").write_bytes(entry())
    assert not isinstance(reader, Detects)
    assert isinstance(polled, Detects)
    signals, cursor = polled.poll(cursor="")
    assert (len(signals), len(polled.poll(cursor=cursor)[0])) == (1, 0)


def test_a_webhook_is_heard_from_its_sender_only(reader: CertificateTransparency) -> None:
    """Signed with our secret, or refused; without auth nothing is heard."""
    body = entry()
    assert reader.hear(headers={"x-signature-256": hexdigest(body)}, body=body)
    for given_headers in ({}, {"x-signature-256": hexdigest(body + b" ")}):
        with pytest.raises(Refused):
            reader.hear(headers=given_headers, body=body)
    with pytest.raises(Refused):
        CertificateTransparency.open("ct", options(), clock=now).hear(headers={}, body=body)


TORN = b"-----BEGIN CERTIFICATE-----\nMIIB"
NONSENSE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


@pytest.mark.parametrize(
    "document",
    [b"", b"7", b"[7]", b"{}", entry()[:-4], TORN, NONSENSE, b'{"serial": "xyz", "sha256": "22"}', b"[" * 9999],
)
def test_another_document_is_refused(reader: CertificateTransparency, document: bytes) -> None:
    """Torn, deep, without identity, certificates that are none."""
    with pytest.raises(InvalidInput):
        reader.read(document)


@pytest.mark.parametrize(
    "changes",
    [{"domains": []}, {"known_spki": ["abc"]}, {"known_issuers": {"CN=x": "abc"}}, {"file": "a", "folder": "b"}],
)
def test_wrong_options_are_refused(changes: dict[str, Any]) -> None:
    """Without domains everything would be ours; a hash that is none would match nothing."""
    with pytest.raises(InvalidInput, match="detector 'ct', field"):
        CertificateTransparency.open("ct", options(**changes), clock=now)


@FUZZ
@given(given_headers=headers, body=st.binary(max_size=200) | mutations(ENTRY))
def test_no_forgery_is_accepted(reader: CertificateTransparency, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes unsigned is refused and breaks nothing."""
    never_accepts(reader.hear, given_headers, body)


@FUZZ
@given(document=mutations(ENTRY) | mutations([CRT_SH, ENTRY]) | st.binary(max_size=200))
def test_a_strange_document_breaks_nothing(reader: CertificateTransparency, document: bytes) -> None:
    """Signals or a refusal."""
    only_expected(lambda: reader.read(document))


@FUZZ
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_damaged_certificate_breaks_nothing(reader: CertificateTransparency, place: int, byte: int) -> None:
    """Much of a certificate is parsed only when it is asked for."""
    der = bytearray(DER)
    der[place % len(der)] = byte
    text = base64.b64encode(bytes(der)).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()
    only_expected(lambda: reader.read(pem))
    only_expected(lambda: reader.read(json.dumps({**ENTRY, "cert_der": text}).encode()))


DER = certificate("login.acme.example")[0].public_bytes(serialization.Encoding.DER)
