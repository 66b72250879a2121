"""OpenBao PKI: ``openbao-pki:CONNECTION/MOUNT/SERIAL`` with the serial in hex, joined by ``-`` or ``:``.

Policy of the recovery identity, per mount M: ``update`` on ``M/sign/ROLE`` and ``M/revoke``, ``read`` on ``M/cert/*``,
``M/crl/rotate`` and ``M/roles``, ``list`` on ``M/certs`` and ``M/roles``.

OpenBao (2.7) ignores the reason of a revocation: its CRL entries carry none, so that relying parties cannot see
keyCompromise (RFC 5280 §5.3.1).  The receipt says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from pydantic import JsonValue

from integrations.vendors.openbao import (
    OpenBaoSession,
    check_connection,
    meaning,
    mount_and_name,
)
from integrations.vendors.openbao_adapter import OpenBaoAdapter
from playbooks.errors import BackendError, IntegrityFailure, InvalidInput, NotFound, Unavailable
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CertificateRef


class OpenBaoPki(OpenBaoAdapter):
    """Signs, revokes and shows certificates of PKI mounts."""

    def certificate(self, ref: CertificateRef) -> str:
        """The certificate as PEM; NotFound when the mount never issued it."""
        return str(self._read(ref)["certificate"])

    def issue_certificate(self, *, like: CertificateRef, csr_pem: str, marker: str) -> tuple[CertificateRef, Receipt]:
        """Sign a CSR through the mount's role.

        It converges by the public key, which is new in every incident: an unrevoked, unexpired certificate of the mount
        over the same key is the one that was asked for.  ``marker`` is kept in the receipt.  The search reads every
        certificate of the mount.
        """
        requested = self._clock()
        mount, _ = _mount_and_serial(like)
        request = _read_csr(csr_pem)
        spki = request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        note: dict[str, JsonValue] = {"marker": marker}
        for found in self._certificates(mount, besides=like):
            if found[1] == spki:
                return found[0], self._receipt(found[0], "issue-certificate", requested, changed=False, undo=note)
        body = {"csr": csr_pem, "common_name": self._common_name(request, like)}
        answer = self._session.call("POST", f"{mount}/sign/{self._role(mount)}", subject=like, body=body)
        new = _ref(self._name, mount, str(answer.data["serial_number"]))
        return new, self._receipt(new, "issue-certificate", requested, answer, undo=note)

    def revoke_certificate(self, ref: CertificateRef) -> Receipt:
        """Revoke and publish a new CRL at once; for good."""
        requested = self._clock()
        mount, serial = _mount_and_serial(ref)
        already = bool(self._read(ref).get("revocation_time"))
        answer = self._session.call("POST", f"{mount}/revoke", subject=ref, body={"serial_number": serial})
        # With auto_rebuild the CRL would lag behind the revocation.
        self._session.call("GET", f"{mount}/crl/rotate", subject=ref)
        undo: dict[str, JsonValue] = {"reason": "not recorded: OpenBao ignores the revocation reason"}
        return self._receipt(ref, "revoke-certificate", requested, answer, changed=not already, undo=undo)

    def probe_revoked(self, ref: CertificateRef) -> ProbeResult:
        """Fetch the published CRL as nobody, check the issuer's signature, and look for the serial."""
        try:
            outcome, code, detail = self._look_up(ref)
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult(
            subject=str(ref),
            operation="CRL",
            expected="refused",
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    def _look_up(self, ref: CertificateRef) -> tuple[Outcome, str, str]:
        mount, _ = _mount_and_serial(ref)
        certificate = x509.load_pem_x509_certificate(self.certificate(ref).encode())
        with OpenBaoSession(self._name, self._connection, identity=None) as fresh:
            crl = x509.load_pem_x509_crl(self._published(fresh, f"{mount}/crl/pem", ref))
            issuer = x509.load_pem_x509_certificate(self._published(fresh, f"{mount}/ca/pem", ref))
        if crl.issuer != certificate.issuer or issuer.subject != certificate.issuer:
            return Outcome.INCONCLUSIVE, "other-issuer", "the mount's default issuer did not issue this certificate."
        if not crl.is_signature_valid(issuer.public_key()):  # type: ignore[arg-type]  # CA keys are RSA, EC or Ed25519
            return Outcome.INCONCLUSIVE, "bad-signature", "the CRL is not signed by the issuer."
        entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        published = crl.last_update_utc.isoformat()
        if entry is None:
            return Outcome.WORKED, "good", f"the CRL of {published} does not list it."
        return Outcome.REFUSED, "revoked", f"revoked {entry.revocation_date_utc.isoformat()}, CRL of {published}."

    def _published(self, fresh: OpenBaoSession, path: str, ref: CertificateRef) -> bytes:
        response = fresh.send("GET", path, subject=ref)
        if response.status_code != 200:
            raise meaning(response.text[:200], status=response.status_code, subject=str(ref))
        return response.content

    def _read(self, ref: CertificateRef) -> dict[str, Any]:
        check_connection(ref, self._name)
        mount, serial = _mount_and_serial(ref)
        return self._session.call("GET", f"{mount}/cert/{serial}", subject=ref).data

    def _certificates(self, mount: str, *, besides: CertificateRef) -> Iterator[tuple[CertificateRef, bytes]]:
        """The live certificates of a mount with their public keys (SPKI)."""
        check_connection(besides, self._name)
        listed = self._session.call("LIST", f"{mount}/certs", subject=besides).data.get("keys", [])
        for serial in listed:
            ref = _ref(self._name, mount, str(serial))
            if _mount_and_serial(ref) == _mount_and_serial(besides):
                continue
            try:
                data = self._read(ref)
            except NotFound:
                continue
            found = x509.load_pem_x509_certificate(str(data["certificate"]).encode())
            if not data.get("revocation_time") and found.not_valid_after_utc > self._clock():
                yield ref, found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def _role(self, mount: str) -> str:
        if self._connection.pki_role:
            return self._connection.pki_role
        roles = self._session.call("LIST", f"{mount}/roles", subject=mount).data.get("keys", [])
        if len(roles) != 1:
            raise Unavailable(
                f"the mount {mount} has {len(roles)} roles, and none is chosen.",
                subject=mount,
                code="no-role",
                hint=f"Set pki_role in the connection {self._name}.",
            )
        return str(roles[0])

    def _common_name(self, request: x509.CertificateSigningRequest, like: CertificateRef) -> str:
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if not names:
            old = x509.load_pem_x509_certificate(self.certificate(like).encode())
            names = old.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(names[0].value) if names else ""


def _ref(connection: str, mount: str, serial: str) -> CertificateRef:
    return CertificateRef("openbao-pki", connection, f"{mount}/{serial.replace(':', '-')}")


def _mount_and_serial(ref: CertificateRef) -> tuple[str, str]:
    mount, serial = mount_and_name(ref)
    return mount, serial.replace("-", ":").lower()


def _read_csr(pem: str) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(pem.encode())
    except ValueError as error:
        raise InvalidInput("the certificate request is not a PEM CSR") from error
    if not request.is_signature_valid:
        raise IntegrityFailure("the certificate request is not signed by its own key.", code="csr-signature")
    return request
