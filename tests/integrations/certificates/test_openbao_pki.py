"""Certificates of a real OpenBao PKI: issued once, revoked, shown on the published CRL."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from integrations.certificates.openbao_pki import OpenBaoPki
from playbooks.errors import IntegrityFailure, InvalidInput, NotFound, Unavailable
from playbooks.receipts import Outcome
from playbooks.refs import CertificateRef
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import free_port

NUMBERS = itertools.count()


def csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "release signer")])
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM).decode()


@pytest.fixture
def mount(openbao: OpenBaoServer) -> str:
    path = f"pki-{next(NUMBERS)}"
    openbao.create_pki(path, "lab root")
    return path


@pytest.fixture
def pki(openbao: OpenBaoServer) -> Iterator[OpenBaoPki]:
    opened = OpenBaoPki.open("vault", openbao.connection_options(), clock=lambda: datetime.now(UTC))
    yield opened
    opened.close()


@pytest.fixture
def old(openbao: OpenBaoServer, mount: str) -> CertificateRef:
    serial = openbao.call("POST", f"{mount}/sign/signing", {"csr": csr()})["data"]["serial_number"]
    return CertificateRef.parse(f"openbao-pki:vault/{mount}/{serial.replace(':', '-')}")


def test_a_request_is_signed_once(pki: OpenBaoPki, old: CertificateRef) -> None:
    """A repeated step finds the certificate over the same public key."""
    request = csr()
    new, first = pki.issue_certificate(like=old, csr_pem=request, marker="step-1")
    same, second = pki.issue_certificate(like=old, csr_pem=request, marker="step-1")
    assert (new, first.changed, second.changed) == (same, True, False)
    issued = x509.load_pem_x509_certificate(pki.certificate(new).encode())
    assert issued.public_key() == x509.load_pem_x509_csr(request.encode()).public_key()


def test_another_key_gets_another_certificate(pki: OpenBaoPki, old: CertificateRef) -> None:
    """Convergence is by the key, not by the name."""
    one, _ = pki.issue_certificate(like=old, csr_pem=csr(), marker="step-1")
    two, _ = pki.issue_certificate(like=old, csr_pem=csr(), marker="step-1")
    assert len({one, two, old}) == 3


def test_revocation_shows_on_the_published_crl(pki: OpenBaoPki, old: CertificateRef) -> None:
    """Not listed before, listed after, changed once; the receipt admits that the reason is lost."""
    before = pki.probe_revoked(old)
    assert (before.outcome, before.code, before.as_expected) == (Outcome.WORKED, "good", False)
    first, second = pki.revoke_certificate(old), pki.revoke_certificate(old)
    assert (first.changed, second.changed) == (True, False)
    assert "ignores the revocation reason" in str(first.undo["reason"])
    after = pki.probe_revoked(old)
    assert (after.outcome, after.code, after.as_expected) == (Outcome.REFUSED, "revoked", True)


def test_a_revoked_certificate_is_not_taken_for_the_new_one(pki: OpenBaoPki, old: CertificateRef) -> None:
    """A revoked certificate over the same key does not count as issued."""
    request = csr()
    first, _ = pki.issue_certificate(like=old, csr_pem=request, marker="step-1")
    pki.revoke_certificate(first)
    second, receipt = pki.issue_certificate(like=old, csr_pem=request, marker="step-1")
    assert (second != first, receipt.changed) == (True, True)


def test_an_unknown_certificate_is_not_found_and_proves_nothing(pki: OpenBaoPki, mount: str) -> None:
    """A serial that was never issued is no revoked certificate."""
    missing = CertificateRef.parse(f"openbao-pki:vault/{mount}/aa-bb")
    with pytest.raises(NotFound):
        pki.certificate(missing)
    with pytest.raises(NotFound):
        pki.revoke_certificate(missing)
    assert pki.probe_revoked(missing).outcome is Outcome.INCONCLUSIVE


def test_a_request_that_is_not_one_is_refused_before_anything_is_sent(pki: OpenBaoPki, old: CertificateRef) -> None:
    """Garbage is the caller's mistake; a request with a broken signature is an integrity failure."""
    with pytest.raises(InvalidInput, match="not a PEM CSR"):
        pki.issue_certificate(like=old, csr_pem="nonsense", marker="step-1")
    der = bytearray(x509.load_pem_x509_csr(csr().encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    broken = x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()
    with pytest.raises(IntegrityFailure, match="own key"):
        pki.issue_certificate(like=old, csr_pem=broken, marker="step-1")


def test_two_roles_need_a_choice(openbao: OpenBaoServer, pki: OpenBaoPki, mount: str, old: CertificateRef) -> None:
    """With several roles nobody guesses; the option names one."""
    openbao.call("POST", f"{mount}/roles/other", {"allow_any_name": True, "key_type": "any"})
    with pytest.raises(Unavailable, match="2 roles") as raised:
        pki.issue_certificate(like=old, csr_pem=csr(), marker="step-1")
    assert "pki_role" in raised.value.hint
    options = {**openbao.connection_options(), "pki_role": "signing"}
    chosen = OpenBaoPki.open("vault", options, clock=lambda: datetime.now(UTC))
    assert chosen.issue_certificate(like=old, csr_pem=csr(), marker="step-1")[1].changed


def test_a_closed_port_proves_nothing(openbao: OpenBaoServer, old: CertificateRef) -> None:
    """Without a CRL the probe is inconclusive."""
    options = {**openbao.connection_options(), "url": f"http://127.0.0.1:{free_port()}"}
    pki = OpenBaoPki.open("vault", options, clock=lambda: datetime.now(UTC))
    assert pki.probe_revoked(old).outcome is Outcome.INCONCLUSIVE
