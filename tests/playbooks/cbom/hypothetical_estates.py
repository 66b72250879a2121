"""Estates that hypothesis makes up: every kind of node, every edge, also edges to what is not listed."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.exposures import Fingerprint
from playbooks.keys import KeyFacts, KeyState
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ALGORITHMS = ("AES-256-GCM", "AES-128", "RSA-3072", "EC-P384", "Ed25519", "ML-DSA-65", "HMAC-256", "Blowfish-9", "?")

_words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
_path = st.text(
    alphabet=st.characters(categories=["L", "N", "P", "S"], exclude_characters="@="), min_size=1, max_size=9
)
_name = st.text(alphabet="abc-;%", min_size=1, max_size=4)
_keys = st.builds(KeyRef, st.sampled_from(KeyRef.schemes), _name, _path)
_credentials = st.builds(CredentialRef, st.sampled_from(CredentialRef.schemes), _name, _path)
_datasets = st.builds(DatasetRef, st.sampled_from(DatasetRef.schemes), _name, _path)
_certificates = st.builds(CertificateRef, st.sampled_from(CertificateRef.schemes), _name, _path)
_fingerprints = st.lists(
    st.builds(Fingerprint, kind=st.sampled_from(["spki-sha256", "key-uri", "secret-hmac"]), value=_words), max_size=3
)
_references = st.sampled_from(["", "file:/run/secrets/old", "env:OLD"])


def _some(values: list[object], other: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    """A few of those that are listed, and of those that are not."""
    return st.lists(st.sampled_from(values) | other if values else other, max_size=3).map(tuple)


@st.composite
def estates(draw: st.DrawFn) -> Estate:
    """Any estate that the model accepts, everything in it listed once."""
    keys, datasets, credentials, certificates = (
        draw(st.lists(each, max_size=4, unique_by=str)) for each in (_keys, _datasets, _credentials, _certificates)
    )
    names = draw(st.lists(_words, max_size=3, unique=True))
    return Estate(
        keys=tuple(
            KeyEntry(
                ref=ref,
                purpose=draw(st.sampled_from(["encrypt", "sign"])),
                owner=draw(_words),
                wrapped_by=draw(st.none() | st.sampled_from(keys) | _keys),
                protecting_since=draw(st.none() | st.dates()),
                cryptoperiod_days=draw(st.none() | st.integers(1, 9999)),
                fingerprints=tuple(draw(_fingerprints)),
            )
            for ref in keys
        ),
        datasets=tuple(
            DatasetEntry(
                ref=ref,
                key=draw(st.sampled_from(keys)),
                envelope=draw(st.sampled_from(["esdk", "tink"])),
                owner=draw(_words),
                classification=draw(_words),
                backup_retention_days=draw(st.none() | st.integers(0, 9999)),
                readers=draw(_some(list(credentials), _credentials)),
            )
            for ref in (datasets if keys else ())
        ),
        credentials=tuple(
            CredentialEntry(
                ref=ref,
                consumer=draw(st.sampled_from(names)),
                may_use=draw(_some(list(keys), _keys)),
                secret=draw(_references),
                fingerprints=tuple(draw(_fingerprints)),
                approved_agents=tuple(draw(st.lists(_words, max_size=3))),
            )
            for ref in (credentials if names else ())
        ),
        certificates=tuple(
            CertificateEntry(ref=ref, key=draw(st.sampled_from(keys)), subject=draw(_words))
            for ref in (certificates if keys else ())
        ),
        consumers=tuple(
            ConsumerEntry(
                name=name,
                owner=draw(_words),
                channel=draw(_words),
                uses=draw(_some(list(keys), _keys)),
                datasets=draw(_some(list(datasets), _datasets)),
                credential_file=draw(st.sampled_from(["", "file:/srv/new.json"])),
            )
            for name in names
        ),
        contacts=draw(st.dictionaries(_words, _words, max_size=3)),
    )


@st.composite
def known(draw: st.DrawFn) -> tuple[Estate, dict[str, KeyFacts]]:
    """An estate, and facts of some of its keys and of one that it does not list."""
    estate = draw(estates())
    refs = [each.ref for each in estate.keys if draw(st.booleans())] + [KeyRef("aws-kms", "else", "where")]
    return estate, {
        str(ref): fact(ref, draw(st.sampled_from(ALGORITHMS)), draw(st.sampled_from(KeyState))) for ref in refs
    }


def fact(ref: KeyRef, algorithm: str = "AES-256-GCM", state: KeyState = KeyState.ACTIVE, **more: object) -> KeyFacts:
    """What a backend said of a key."""
    given = {
        "purpose": "encrypt",
        "version": "1",
        "containment_unit": "key",
        "capabilities": frozenset(),
        "read_at": NOW,
    }
    return KeyFacts.model_validate(given | {"ref": ref, "algorithm": algorithm, "state": state} | more)
