"""The relying party accepts what the signer signed, refuses everything else by name, and fails closed."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from playbooks.refs import CertificateRef, KeyRef
from simulations.journals import SigningService, Submission
from simulations.lab.openbao import OpenBaoServer
from simulations.services.relying_party import RelyingParty

OLD = "pkcs11:token=release-hsm;object=release"


class Certified:
    """A signer's key with a certificate of the lab's CA."""

    def __init__(self, vault: OpenBaoServer, mount: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "release-signer")])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.key, SHA256())
        pem = csr.public_bytes(Encoding.PEM).decode()
        body = {"csr": pem, "common_name": "release-signer", "ttl": "24h"}
        answer = vault.call("POST", f"{mount}/sign/signing", body)["data"]
        self.pem = str(answer["certificate"])
        self.serial = str(answer["serial_number"])
        self.ref = f"openbao-pki:vault/{mount}/{self.serial.replace(':', '-')}"
        spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.spki_sha256 = hashlib.sha256(spki).hexdigest()

    def submission(self, content: bytes, *, key: str = OLD) -> Submission:
        return Submission(
            name="a.bin",
            artifact=base64.b64encode(content).decode(),
            key=key,
            key_spki_sha256=self.spki_sha256,
            signature=base64.b64encode(self.key.sign(content, ec.ECDSA(SHA256()))).decode(),
        )


class Site:
    """A relying party with everything that it looks at."""

    def __init__(self, vault: OpenBaoServer, folder: Path) -> None:
        self.vault, self.mount = vault, f"pki-{folder.name[-20:]}".replace("_", "-")
        vault.create_pki(self.mount, "Lab CA")
        self.old = Certified(vault, self.mount)
        self.signer, self.relying = folder / "signer", folder / "relying"
        self.signer.mkdir()
        self.relying.mkdir()
        certificate = folder / "first.pem"
        certificate.write_text(self.old.pem, encoding="utf-8")
        self.signing = SigningService(
            key=KeyRef.parse(OLD),
            certificate=CertificateRef.parse(self.old.ref),
            certificate_file=certificate,
            relying_party="relying",
            relying_party_settings=self.relying,
            relying_party_port=0,
            signature_log=self.relying / "signatures.ndjson",
            issuer_url=f"{vault.url}/v1/{self.mount}",
        )
        self.party = RelyingParty(self.signing, self.signer)

    def code(self, submission: Submission) -> str:
        verdict = self.party.decide(submission)
        return "accepted" if verdict.accepted else verdict.code

    def cut_off(self, *, hours: float) -> None:
        at = datetime.now(UTC) + timedelta(hours=hours)
        (self.relying / "settings.json").write_text(json.dumps({f"cutoff.{OLD}": at.isoformat()}), encoding="utf-8")


@pytest.fixture
def site(vault: OpenBaoServer, tmp_path: Path) -> Site:
    """A relying party that trusts one signer."""
    return Site(vault, tmp_path)


def test_a_good_signature_is_accepted_and_noted(site: Site) -> None:
    """What was accepted stands in the signature log, which is all that a detector gets to read."""
    assert site.code(site.old.submission(b"release 1")) == "accepted"
    [line] = site.signing.signature_log.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["artifact_sha256"] == hashlib.sha256(b"release 1").hexdigest()
    assert json.loads(line)["key_spki_sha256"] == site.old.spki_sha256


def test_what_is_refused_is_refused_by_name_and_not_noted(site: Site) -> None:
    """An altered artifact, a stranger's key and text that is no signature."""
    good = site.old.submission(b"release 1")
    altered = good.model_copy(update={"artifact": base64.b64encode(b"release 2").decode()})
    stranger = good.model_copy(update={"key_spki_sha256": "0" * 64})
    garbage = good.model_copy(update={"signature": "not base64!"})
    assert [site.code(each) for each in (altered, stranger, garbage)] == [
        "bad-signature",
        "unknown-key",
        "bad-signature",
    ]
    assert not site.signing.signature_log.exists()


def test_a_signature_of_an_hsm_in_raw_form_is_accepted(site: Site) -> None:
    """PKCS#11 gives r and s side by side."""
    good = site.old.submission(b"release 1")
    r, s = utils.decode_dss_signature(base64.b64decode(good.signature))
    raw = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    assert site.code(good.model_copy(update={"signature": raw})) == "accepted"


def test_after_the_cutoff_only_what_the_ledger_knows_is_accepted(site: Site) -> None:
    """Whatever name the submission gives the key, and however early it says that it was made."""
    digest = hashlib.sha256(b"release 1").hexdigest()
    line = json.dumps({"at": "x", "artifact_sha256": digest, "name": "a.bin"})
    (site.signer / "ledger.ndjson").write_text(line + "\n", encoding="utf-8")
    site.cut_off(hours=1)
    assert site.code(site.old.submission(b"forged")) == "accepted"
    site.cut_off(hours=-1)
    assert site.code(site.old.submission(b"forged")) == "after-cutoff"
    assert site.code(site.old.submission(b"forged", key="pkcs11:token=release-hsm;object=other")) == "after-cutoff"
    assert site.code(site.old.submission(b"release 1")) == "accepted"


def test_a_revoked_certificate_ends_its_signatures_and_a_new_one_is_learnt(site: Site) -> None:
    """The CRL is asked for, and the signer's new certificate is fetched from its issuer."""
    assert site.code(site.old.submission(b"release 1")) == "accepted"
    site.vault.call("POST", f"{site.mount}/revoke", {"serial_number": site.old.serial})
    site.vault.call("GET", f"{site.mount}/crl/rotate")
    site.party = RelyingParty(site.signing, site.signer)
    assert site.code(site.old.submission(b"release 1")) == "revoked"
    new = Certified(site.vault, site.mount)
    key = "pkcs11:token=release-hsm;object=release-2"
    assert site.code(new.submission(b"release 1", key=key)) == "unknown-key"
    settings = {"certificate": new.ref, "signing_key": key}
    (site.signer / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    assert site.code(new.submission(b"release 1", key=key)) == "accepted"


def test_a_certificate_of_another_issuer_is_no_certificate(site: Site, tmp_path: Path) -> None:
    """A signer that is certified by somebody else is not trusted."""
    other = f"{site.mount}-other"
    site.vault.create_pki(other, "Other CA")
    stranger = Certified(site.vault, other)
    first = tmp_path / "other.pem"
    first.write_text(stranger.pem, encoding="utf-8")
    site.party = RelyingParty(site.signing.model_copy(update={"certificate_file": first}), site.signer)
    assert site.code(stranger.submission(b"release 1")) == "untrusted-chain"


def test_without_its_issuer_the_relying_party_accepts_nothing(site: Site) -> None:
    """An unreachable CRL is no reason to trust."""
    unreachable = site.signing.model_copy(update={"issuer_url": "http://127.0.0.1:9/v1/pki"})
    site.party = RelyingParty(unreachable, site.signer)
    assert site.code(site.old.submission(b"release 1")) == "issuer-unreachable"
