"""From a signal's fingerprints to exposures of the estate, and to the case they belong to.

A fingerprint names a thing only by equality: nothing here guesses.  What nothing in the estate matches yields no
exposure, so that a person looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable

from playbooks.errors import InvalidInput
from playbooks.estate import CredentialEntry, Estate, KeyEntry
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Interval, Signal
from playbooks.refs import KeyRef

_OF_CREDENTIALS = frozenset({ExposureKind.CREDENTIAL})
_OF_SECRETS = frozenset({"secret-hmac", "token-sha256"})

# Random serials have at least 64 bits (CA/Browser Forum BR 7.1); two issuers may both have given out number 1.
_SERIAL_DIGITS = 12


def match(signal: Signal, estate: Estate) -> tuple[Exposure, ...]:
    """What the signal exposes, in the order of the estate; empty when nothing matches.

    For CREDENTIAL the targets are credentials.  For every other kind they are keys, and a credential that matches too
    is the way by which they got out; where only a credential matches, the keys that it may use are the targets, unless
    what leaked is the credential's own secret: then that is all that is exposed, whatever the secret looked like.
    """
    credentials = [entry for entry in estate.credentials if _names_credential(signal.fingerprints, entry)]
    if signal.kind in _OF_CREDENTIALS:
        return tuple(_exposure(signal, target=str(entry.ref)) for entry in credentials)
    via = str(credentials[0].ref) if credentials else ""
    certified = _certified(signal.fingerprints, estate)
    targets = [entry.ref for entry in estate.keys if entry.ref in certified or _names_key(signal.fingerprints, entry)]
    if targets:
        return tuple(_exposure(signal, target=str(key), via=via) for key in targets)
    itself = [entry for entry in credentials if _holds_secret(signal.fingerprints, entry)]
    if itself:
        return tuple(_exposure(signal, target=str(entry.ref), kind=ExposureKind.CREDENTIAL) for entry in itself)
    listed = {entry.ref for entry in estate.keys}
    usable = dict.fromkeys(key for entry in credentials for key in entry.may_use if key in listed)
    return tuple(_exposure(signal, target=str(key), via=via) for key in usable)


def same_case(signal: Signal, exposures: Iterable[Exposure], *, found: Iterable[Exposure] = ()) -> bool:
    """Does the signal belong to the incident that has these exposures?

    It does when something it was matched to (``found``, from ``match``) is already a target or a way out there, or
    when the incident already holds this very finding.
    """
    named = {uri for exposure in found for uri in (exposure.target, exposure.via) if uri}
    mark = evidence_of(signal)
    return any({exposure.target, exposure.via} & named or mark in exposure.evidence for exposure in exposures)


def evidence_of(signal: Signal) -> str:
    """The name by which exposures and deduplication know a finding: ``source:external_id``."""
    return f"{signal.source}:{signal.external_id}"


def _exposure(signal: Signal, *, target: str, via: str = "", kind: ExposureKind | None = None) -> Exposure:
    return Exposure(
        kind=kind or signal.kind,
        target=target,
        via=via,
        occurred=_interval(signal),
        confidence=signal.confidence,
        evidence=(evidence_of(signal), *((signal.evidence_uri,) if signal.evidence_uri else ())),
        wrapped_keys_readable=None,
    )


def _interval(signal: Signal) -> Interval:
    """First evidence bounds the compromise from above; nothing bounds it from below."""
    return Interval(not_after=min(filter(None, (signal.first_seen, signal.observed_at))))


def _names_credential(fingerprints: tuple[Fingerprint, ...], entry: CredentialEntry) -> bool:
    own = set(entry.fingerprints)
    return any(fingerprint in own or _is_identifier_of(fingerprint, entry) for fingerprint in fingerprints)


def _holds_secret(fingerprints: tuple[Fingerprint, ...], entry: CredentialEntry) -> bool:
    return any(each.kind in _OF_SECRETS and each in entry.fingerprints for each in fingerprints)


def _is_identifier_of(fingerprint: Fingerprint, entry: CredentialEntry) -> bool:
    """Access key ids and accessors stand in clear at the end of the credential's own URI."""
    last = entry.ref.path.rpartition("/")[2]
    if fingerprint.kind == "access-key-id":
        return entry.ref.scheme == "aws-iam" and fingerprint.value == last
    if fingerprint.kind == "token-accessor":
        return entry.ref.scheme == "openbao-token" and fingerprint.value == last
    return False


def _names_key(fingerprints: tuple[Fingerprint, ...], entry: KeyEntry) -> bool:
    own = set(entry.fingerprints)
    return any(
        fingerprint in own or (fingerprint.kind == "key-uri" and _same_key(fingerprint.value, entry.ref))
        for fingerprint in fingerprints
    )


def _certified(fingerprints: tuple[Fingerprint, ...], estate: Estate) -> set[KeyRef]:
    """Keys whose certificate has one of the serials; the serial is the last part of the certificate's URI."""
    serials = {_serial(each.value) for each in fingerprints if each.kind == "certificate-serial"} - {""}
    return {entry.key for entry in estate.certificates if _serial(entry.ref.path.rpartition("/")[2]) in serials}


def _serial(text: str) -> str:
    """A serial as plain digits; "" for one so short that it names no certificate by itself."""
    digits = text.replace(":", "").replace("-", "").lower().lstrip("0")
    return digits if len(digits) >= _SERIAL_DIGITS else ""


def _same_key(uri: str, ref: KeyRef) -> bool:
    """Compares as URIs, not as text: percent-encoding may differ."""
    try:
        return KeyRef.parse(uri) == ref
    except InvalidInput:
        return False
