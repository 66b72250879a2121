"""What a relying party believes: the signer's certificates and ledger, their issuer's CRL, cut-off times.

It asks the certification authority itself, without a login, and caches what it was told for a fraction of a second.
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from playbooks.refs import CertificateRef
from simulations.journals import SigningService

_CRL_SECONDS = 0.25


class Trust:
    """The relying party's view, for one thread at a time.

    ``signer`` is the signer's folder, whose ``settings.json`` names its present certificate.
    """

    def __init__(self, signing: SigningService, signer: Path) -> None:
        self._signing = signing
        self._signer = signer
        self._http = httpx.Client(timeout=httpx.Timeout(2.0, connect=1.0), trust_env=False)
        self._certificates: dict[str, x509.Certificate] = {}
        self._names: dict[str, str] = {}
        self._refs: set[str] = set()
        self._issuer: x509.Certificate | None = None
        self._revoked: set[int] = set()
        self._crl_read = float("-inf")
        self._add(signing.certificate_file.read_bytes(), key=str(signing.key))

    def certificate_for(self, spki_sha256: str) -> x509.Certificate | None:
        """The signer's certificate over this public key; None when the signer never had one."""
        if spki_sha256 not in self._certificates:
            self._learn()
        return self._certificates.get(spki_sha256)

    def is_revoked(self, certificate: x509.Certificate) -> bool:
        """Does the issuer's CRL list it?  Raises httpx.HTTPError when the issuer does not answer."""
        if self._signing.issuer_url and time.monotonic() - self._crl_read > _CRL_SECONDS:
            crl = x509.load_pem_x509_crl(self._get("crl/pem"))
            issuer_key = self._issuer_certificate().public_key()
            if isinstance(issuer_key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey) and not crl.is_signature_valid(
                issuer_key
            ):
                raise InvalidSignature("the CRL is not signed by the issuer")
            self._revoked = {entry.serial_number for entry in crl}
            self._crl_read = time.monotonic()
        return certificate.serial_number in self._revoked

    def is_chained(self, certificate: x509.Certificate) -> bool:
        """Was it issued by the certification authority, and is it valid now?"""
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            return False
        if not self._signing.issuer_url:
            return True
        try:
            certificate.verify_directly_issued_by(self._issuer_certificate())
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def is_cut_off(self, spki_sha256: str, artifact_sha256: str) -> bool:
        """Is the key's cut-off time past, and the artifact none that the signer's ledger knows?

        The key is found by its public half: what a submission calls it may be a lie.
        """
        key = self._names.get(spki_sha256, "")
        cutoff = _read_json(self._signing.relying_party_settings / "settings.json").get(f"cutoff.{key}")
        if not cutoff or datetime.now(UTC) < datetime.fromisoformat(cutoff):
            return False
        return artifact_sha256 not in self._ledger()

    def _ledger(self) -> set[str]:
        path = self._signer / "ledger.ndjson"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return {json.loads(line)["artifact_sha256"] for line in lines if line.endswith("}")}

    def _learn(self) -> None:
        for folder in (self._signer, self._signing.relying_party_settings):
            settings = _read_json(folder / "settings.json")
            named, key = settings.get("certificate", ""), settings.get("signing_key", "")
            if named and named not in self._refs and self._signing.issuer_url:
                serial = CertificateRef.parse(named).path.rsplit("/", 1)[-1].replace(":", "-")
                self._add(self._get(f"cert/{serial}/raw/pem"), key="" if key == str(self._signing.key) else key)
                self._refs.add(named)

    def _add(self, pem: bytes, *, key: str) -> None:
        certificate = x509.load_pem_x509_certificate(pem)
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        fingerprint = hashlib.sha256(spki).hexdigest()
        self._certificates[fingerprint] = certificate
        self._names.setdefault(fingerprint, key)

    def _issuer_certificate(self) -> x509.Certificate:
        if self._issuer is None:
            self._issuer = x509.load_pem_x509_certificate(self._get("ca/pem"))
        return self._issuer

    def _get(self, path: str) -> bytes:
        answer = self._http.get(f"{self._signing.issuer_url.rstrip('/')}/{path}")
        answer.raise_for_status()
        return answer.content


def signature_holds(certificate: x509.Certificate, signature: bytes, content: bytes) -> bool:
    """Does the certificate's key verify this signature?  ECDSA as DER or as r and s side by side; RSA PKCS #1 v1.5."""
    public = certificate.public_key()
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            half = (public.curve.key_size + 7) // 8
            if len(signature) == 2 * half and signature[:1] != b"\x30":
                r, s = signature[:half], signature[half:]
                signature = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            public.verify(signature, content, ec.ECDSA(SHA256()))
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, content, padding.PKCS1v15(), SHA256())
        else:
            return False
    except InvalidSignature:
        return False
    return True


def _read_json(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found
