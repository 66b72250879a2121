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


def match(signal: Signal, estate: Estate) -> tuple[Exposure, ...]:
    """What the signal exposes, in the order of the estate; empty when nothing matches.

    For CREDENTIAL the targets are credentials.  For every other kind they are keys, and a credential that matches too
    is the way by which they got out; where only a credential matches, the keys that it may use are the targets.
    """
    credentials = [entry for entry in estate.credentials if _names_credential(signal.fingerprints, entry)]
    if signal.kind in _OF_CREDENTIALS:
        return tuple(_exposure(signal, target=str(entry.ref)) for entry in credentials)
    via = str(credentials[0].ref) if credentials else ""
    targets = [entry.ref for entry in estate.keys if _names_key(signal.fingerprints, entry)]
    if not targets:
        listed = {entry.ref for entry in estate.keys}
        targets = list(dict.fromkeys(key for entry in credentials for key in entry.may_use if key in listed))
    return tuple(_exposure(signal, target=str(key), via=via) for key in targets)


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


def _exposure(signal: Signal, *, target: str, via: str = "") -> Exposure:
    return Exposure(
        kind=signal.kind,
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


def _same_key(uri: str, ref: KeyRef) -> bool:
    """Compares as URIs, not as text: percent-encoding may differ."""
    try:
        return KeyRef.parse(uri) == ref
    except InvalidInput:
        return False
