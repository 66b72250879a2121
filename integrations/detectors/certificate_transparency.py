"""Certificate Transparency: certificates for our domains that nobody of us asked for, and our keys certified elsewhere.

Reads entries as JSON (one, a list, or one a line) with the names that Cert Spotter, crt.sh and other monitors use, or
PEM certificates.  An entry needs a serial or a SHA-256; its names, its issuer and the hash of its public key decide.
Where the monitor does not say the hash (crt.sh), the issuer alone does.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from pydantic import Field, field_validator

from integrations.hooks import HookAuth, check_webhook, parse_json
from integrations.reports import ReportOptions, moment, poll_reports, read_options, shown
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, FingerprintKind, Signal
from playbooks.ports import Clock

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SERIAL = re.compile(r"[0-9a-f]{1,64}")
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_CANNOT_BE_READ = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_KEY_OURS, _KEY_UNKNOWN = 0.85, 0.7


class CertificateTransparencyOptions(ReportOptions):
    """Options of a detector of type ``certificate-transparency``; without ``auth`` it hears no webhooks.

    ``known_issuers`` maps the distinguished name of an issuer that may certify us to the SPKI hash of its key ("" when
    that is not known), so that a certificate that it should not have issued names its key.
    """

    domains: tuple[str, ...] = Field(min_length=1, description="Ours, with everything below them.")
    known_spki: tuple[str, ...] = Field(default=(), description="SHA-256 of the public keys that are ours.")
    known_issuers: dict[str, str] = Field(default_factory=dict)
    auth: HookAuth | None = None

    @field_validator("domains")
    @classmethod
    def _plain_domains(cls, domains: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(domain.lower().strip(".").removeprefix("*.") for domain in domains)

    @field_validator("known_spki")
    @classmethod
    def _hashes(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        plain = tuple(_hex(each) for each in listed)
        if not all(_SHA256.fullmatch(each) for each in plain):
            raise ValueError("give each as 64 hexadecimal digits")
        return plain

    @field_validator("known_issuers")
    @classmethod
    def _issuers(cls, listed: dict[str, str]) -> dict[str, str]:
        if not all(not each or _SHA256.fullmatch(_hex(each)) for each in listed.values()):
            raise ValueError("give each SPKI hash as 64 hexadecimal digits, or empty")
        return {_name(issuer): _hex(spki) for issuer, spki in listed.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """A logged certificate; hexadecimal is plain and in lower case, "" is what the monitor did not say."""

    serial: str
    sha256: str
    issuer: str
    issuer_spki: str
    names: tuple[str, ...]
    spki: str
    not_before: datetime | None


class CertificateTransparency:
    """One signal a certificate that is not as the inventory says, known by its SHA-256.

    A public key that is not ours, certified by an issuer that is: ISSUING_KEY, of the issuer's key.  Anything that an
    unknown issuer certified: SIGNING_KEY, because whoever asks for a certificate holds the private key; when that key
    is nobody's in the estate, another authority was deceived, and a person has to look at it.
    """

    def __init__(self, name: str, options: CertificateTransparencyOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> CertificateTransparency:
        """Validate the options; polled with a file or a folder.  Raises InvalidInput naming the field."""
        read = read_options(CertificateTransparencyOptions, name, options)
        return (PolledCertificateTransparency if read.has_place else cls)(name, read, clock=clock)

    def __repr__(self) -> str:
        return f"CertificateTransparency({self._name!r})"

    def close(self) -> None:
        """Nothing is held open."""

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]:
        """The entries of one webhook.  Raises Refused for a sender that is not ours, InvalidInput for another form."""
        check_webhook(self._options.auth, headers, body, now=self._clock(), sender=self._name)
        return self.read(body)

    def read(self, document: bytes) -> Sequence[Signal]:
        """The alarms of one document.  Raises InvalidInput naming the entry that is wrong."""
        signals = (self._signal(entry) for entry in self._entries(document))
        return list({signal.external_id: signal for signal in signals if signal is not None}.values())

    def _entries(self, document: bytes) -> Iterator[Entry]:
        if b"-----BEGIN" in document and not document.lstrip().startswith((b"{", b"[")):
            yield from self._certificates(document)
            return
        for number, item in enumerate(self._items(document)):
            entry = _entry(item) if isinstance(item, dict) else None
            if entry is None:
                raise InvalidInput(f"the document of {self._name}: entry {number} has no serial and no SHA-256")
            yield entry

    def _items(self, document: bytes) -> list[Any]:
        lines = [line for line in document.splitlines() if line.strip()]
        if len(lines) > 1 and all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
            return [parse_json(line, sender=self._name) for line in lines]
        found = parse_json(document, sender=self._name)
        return found if isinstance(found, list) else [found]

    def _certificates(self, document: bytes) -> Iterator[Entry]:
        pems = _PEM.findall(document)
        if not pems:
            raise InvalidInput(f"the document of {self._name} holds no whole certificate")
        for number, pem in enumerate(pems):
            try:
                yield _of_certificate(x509.load_pem_x509_certificate(pem))
            except _CANNOT_BE_READ:
                raise InvalidInput(f"the document of {self._name}: certificate {number} cannot be read") from None

    def _signal(self, entry: Entry) -> Signal | None:
        ours = sorted(name for name in entry.names if self._is_ours(name))
        known_key = entry.spki in self._options.known_spki
        known_issuer = self._knows_issuer(entry)
        as_expected = known_issuer and (known_key or not entry.spki)
        if as_expected or not (ours or known_key):
            return None
        issuer, of = shown(entry.issuer, limit=120) or "an unnamed issuer", ours[0] if ours else "another domain"
        if known_key:
            summary = f"{issuer}, which is none of our issuers, certified our public key for {of}."
        else:
            whose = "a public key that is not ours" if entry.spki else "an unnamed public key"
            summary = f"{issuer} certified {whose} for {of}."
        return Signal(
            source=self._name,
            external_id=entry.sha256 or hashlib.sha256(f"{entry.issuer}\n{entry.serial}".encode()).hexdigest(),
            kind=ExposureKind.ISSUING_KEY if known_issuer else ExposureKind.SIGNING_KEY,
            fingerprints=self._fingerprints(entry, known_issuer=known_issuer),
            summary=summary,
            observed_at=self._clock(),
            first_seen=entry.not_before,
            confidence=_KEY_UNKNOWN if not (known_key or known_issuer) else _KEY_OURS,
            evidence_uri=f"https://crt.sh/?q={entry.sha256 or entry.serial}",
        )

    def _fingerprints(self, entry: Entry, *, known_issuer: bool) -> tuple[Fingerprint, ...]:
        """Of the key that is exposed: the issuer's own when it is ours, else the one that was certified."""
        values: dict[FingerprintKind, str] = {"spki-sha256": entry.spki, "certificate-serial": entry.serial}
        if known_issuer:
            values = {"spki-sha256": self._options.known_issuers.get(_name(entry.issuer), "")}
        values["certificate-sha256"] = entry.sha256
        return tuple(Fingerprint(kind=kind, value=value) for kind, value in values.items() if value)

    def _is_ours(self, name: str) -> bool:
        return any(name == domain or name.endswith(f".{domain}") for domain in self._options.domains)

    def _knows_issuer(self, entry: Entry) -> bool:
        """By its name, and by its key where both sides say it: any authority may take a name."""
        spki = self._options.known_issuers.get(_name(entry.issuer))
        return spki is not None and (not spki or not entry.issuer_spki or spki == entry.issuer_spki)


class PolledCertificateTransparency(CertificateTransparency):
    """The same, and documents are read from files as they appear."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """The alarms of every document that changed since the cursor ("": of all)."""
        return poll_reports(self._options, self.read, cursor=cursor)


def _entry(item: Mapping[str, Any]) -> Entry | None:
    """An entry by the names that monitors use; None without a serial or a hash."""
    whole = _certified(item)
    if whole is not None:
        return whole
    serial = _hex(_first(item, "serial", "serial_number", "serialNumber"))
    sha256 = _hex(_first(item, "sha256", "cert_sha256", "fingerprint_sha256", "fingerprint"))
    spki = _hex(_first(item, "spki_sha256", "pubkey_sha256", "spki"))
    serial, sha256 = serial if _SERIAL.fullmatch(serial) else "", sha256 if _SHA256.fullmatch(sha256) else ""
    if not serial and not sha256:
        return None
    issuer = item.get("issuer")
    named: Mapping[str, Any] = issuer if isinstance(issuer, dict) else {"name": _first(item, "issuer", "issuer_name")}
    names = [item.get(each) for each in ("sans", "san", "dns_names", "SANs", "name_value", "common_name")]
    return Entry(
        serial=serial,
        sha256=sha256,
        issuer=_first(named, "name", "friendly_name"),
        issuer_spki=_hex(_first(named, "pubkey_sha256", "spki_sha256")),
        names=tuple(_domains(names)),
        spki=spki if _SHA256.fullmatch(spki) else "",
        not_before=moment(item.get("not_before") or item.get("notBefore")),
    )


def _of_certificate(certificate: x509.Certificate) -> Entry:
    """Raises one of ``_CANNOT_BE_READ``: much of a certificate is parsed only when it is asked for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        domains = names.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        domains = []
    common = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = certificate.public_key().public_bytes(serialization.Encoding.DER, form)
    return Entry(
        serial=f"{certificate.serial_number:x}",
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        issuer=certificate.issuer.rfc4514_string(),
        issuer_spki="",
        names=tuple(_domains([domains, common])),
        spki=hashlib.sha256(spki).hexdigest(),
        not_before=certificate.not_valid_before_utc,
    )


def _certified(item: Mapping[str, Any]) -> Entry | None:
    """By the certificate itself, where the monitor sends it along and it can be read."""
    for field in ("cert_der", "certificate", "pem"):
        text = item.get(field)
        try:
            if isinstance(text, str) and "-----BEGIN CERTIFICATE" in text:
                return _of_certificate(x509.load_pem_x509_certificate(text.encode()))
            if isinstance(text, str) and text:
                return _of_certificate(x509.load_der_x509_certificate(base64.b64decode(text, validate=True)))
        except _CANNOT_BE_READ:
            continue
    return None


def _domains(found: Sequence[Any]) -> Iterator[str]:
    """Every DNS name once, in lower case and without wildcard; crt.sh puts one on each line."""
    texts = [each for value in found for each in (value if isinstance(value, list) else [value])]
    names = (name for text in texts if isinstance(text, str) for name in text.lower().split())
    plain = (name.removeprefix("dns:").removeprefix("*.").strip(".,") for name in names)
    yield from dict.fromkeys(name for name in plain if re.fullmatch(r"[a-z0-9_.-]{1,253}", name))


def _first(item: Mapping[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := item.get(name), str) and value), "")


def _hex(text: str) -> str:
    return text.lower().replace(":", "").replace("-", "").replace(" ", "").removeprefix("0x")


def _name(issuer: str) -> str:
    """A distinguished name for comparison: its parts in one order, without spaces around them and without case."""
    parts = (re.sub(r"\s*=\s*", "=", part.strip()) for part in re.split(r"(?<!\\),", issuer))
    return ",".join(sorted(part.casefold() for part in parts if part))
