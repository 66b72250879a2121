"""From a signal's fingerprints to exposures of the estate, and to the case they belong to.

A fingerprint names a thing only by equality: nothing here guesses.  What nothing in the estate matches yields no
exposure, so that a person looks at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from playbooks.errors import InvalidInput
from playbooks.estate import CredentialEntry, Estate
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Interval, Signal
from playbooks.latest import Latest
from playbooks.refs import KeyRef

_OF_CREDENTIALS = frozenset({ExposureKind.CREDENTIAL})
_CLEAR = {"aws-iam": "access-key-id", "openbao-token": "token-accessor"}
_OF_SECRETS = frozenset({"secret-hmac", "token-sha256"})

# Random serials have at least 64 bits (CA/Browser Forum BR 7.1); two issuers may both have given out number 1.
_SERIAL_DIGITS = 12


def match(signal: Signal, estate: Estate) -> tuple[Exposure, ...]:
    """What the signal exposes, in the order of the estate; empty when nothing matches.

    For CREDENTIAL the targets are credentials.  For every other kind they are keys, and a credential that matches too
    is the way by which they got out; where only a credential matches, the keys that it may use are the targets, unless
    what leaked is the credential's own secret: then that is all that is exposed, whatever the secret looked like.
    """
    marks = _MARKS.of(estate)
    credentials = marks.credentials_of(signal.fingerprints)
    if signal.kind in _OF_CREDENTIALS:
        return tuple(_exposure(signal, target=str(entry.ref)) for entry in credentials)
    via = str(credentials[0].ref) if credentials else ""
    targets = marks.keys_of(signal.fingerprints)
    if targets:
        return tuple(_exposure(signal, target=str(key), via=via) for key in targets)
    itself = [entry for entry in credentials if _holds_secret(signal.fingerprints, entry)]
    if itself:
        return tuple(_exposure(signal, target=str(entry.ref), kind=ExposureKind.CREDENTIAL) for entry in itself)
    usable = dict.fromkeys(key for entry in credentials for key in entry.may_use if key in marks.places)
    return tuple(_exposure(signal, target=str(key), via=via) for key in usable)


def prime(estate: Estate) -> None:
    """Make the index of the estate's fingerprints, which takes seconds for a million keys, before it is needed."""
    _MARKS.of(estate)


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


def _holds_secret(fingerprints: tuple[Fingerprint, ...], entry: CredentialEntry) -> bool:
    return any(each.kind in _OF_SECRETS and each in entry.fingerprints for each in fingerprints)


class _Marks:
    """By which fingerprints the entries of an estate are known; numbers are places in the order of the estate.

    Access key ids and accessors stand in clear at the end of a credential's own URI, and a certificate's serial at the
    end of its own.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.places: dict[KeyRef | None, int] = {entry.ref: number for number, entry in enumerate(estate.keys)}
        self._keys: dict[tuple[str, str], list[int]] = {}
        self._credentials: dict[tuple[str, str], list[int]] = {}
        for number, key in enumerate(estate.keys):
            for each in key.fingerprints:
                self._keys.setdefault((each.kind, each.value), []).append(number)
        for number, credential in enumerate(estate.credentials):
            marks = {(each.kind, each.value) for each in credential.fingerprints} | set(_identifier(credential))
            for mark in marks:
                self._credentials.setdefault(mark, []).append(number)
        for certificate in estate.certificates:
            serial = _serial(certificate.ref.path.rpartition("/")[2])
            if serial and certificate.key in self.places:
                self._keys.setdefault((_SERIAL, serial), []).append(self.places[certificate.key])

    def credentials_of(self, fingerprints: Iterable[Fingerprint]) -> list[CredentialEntry]:
        """The credentials that these name, in the order of the estate."""
        found = {number for each in fingerprints for number in self._credentials.get((each.kind, each.value), ())}
        return [self._estate.credentials[number] for number in sorted(found)]

    def keys_of(self, fingerprints: Iterable[Fingerprint]) -> list[KeyRef]:
        """The keys that these name, in the order of the estate."""
        found: set[int] = set()
        for each in fingerprints:
            found.update(self._keys.get((each.kind, each.value), ()))
            if each.kind == "certificate-serial":
                found.update(self._keys.get((_SERIAL, _serial(each.value)), ()))
            elif each.kind == "key-uri" and (place := self.places.get(_parsed(each.value))) is not None:
                found.add(place)
        return [self._estate.keys[number].ref for number in sorted(found)]


_SERIAL = "serial of its certificate"
"""No kind of fingerprint is called so."""
_MARKS = Latest(_Marks)


def _identifier(entry: CredentialEntry) -> Iterator[tuple[str, str]]:
    kind = _CLEAR.get(entry.ref.scheme)
    if kind is not None:
        yield kind, entry.ref.path.rpartition("/")[2]


def _parsed(uri: str) -> KeyRef | None:
    """Compared as URIs, not as text: percent-encoding may differ."""
    try:
        return KeyRef.parse(uri)
    except InvalidInput:
        return None


def _serial(text: str) -> str:
    """A serial as plain digits; "" for one so short that it names no certificate by itself."""
    digits = text.replace(":", "").replace("-", "").lower().lstrip("0")
    return digits if len(digits) >= _SERIAL_DIGITS else ""
