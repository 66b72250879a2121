"""Estates that hypothesis makes up: every kind of node, every edge, also edges to what is not listed."""

from __future__ import annotations

from collections.abc import Sequence
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


def _some(values: Sequence[object], other: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
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
        keys=tuple(draw(_key_entry(ref, keys)) for ref in keys),
        datasets=tuple(draw(_dataset_entry(ref, keys, credentials)) for ref in (datasets if keys else ())),
        credentials=tuple(draw(_credential_entry(ref, names, keys)) for ref in (credentials if names else ())),
        certificates=tuple(
            CertificateEntry(ref=ref, key=draw(st.sampled_from(keys)), subject=draw(_words))
            for ref in (certificates if keys else ())
        ),
        consumers=tuple(draw(_consumer_entry(name, keys, datasets)) for name in names),
        contacts=draw(st.dictionaries(_words, _words, max_size=3)),
    )


def _key_entry(ref: KeyRef, keys: list[KeyRef]) -> st.SearchStrategy[KeyEntry]:
    return st.builds(
        KeyEntry,
        ref=st.just(ref),
        purpose=st.sampled_from(["encrypt", "sign"]),
        owner=_words,
        wrapped_by=st.none() | st.sampled_from(keys) | _keys,
        protecting_since=st.none() | st.dates(),
        cryptoperiod_days=st.none() | st.integers(1, 9999),
        fingerprints=_fingerprints.map(tuple),
    )


def _dataset_entry(
    ref: DatasetRef, keys: list[KeyRef], credentials: list[CredentialRef]
) -> st.SearchStrategy[DatasetEntry]:
    return st.builds(
        DatasetEntry,
        ref=st.just(ref),
        key=st.sampled_from(keys),
        envelope=st.sampled_from(["esdk", "tink"]),
        owner=_words,
        classification=_words,
        backup_retention_days=st.none() | st.integers(0, 9999),
        readers=_some(credentials, _credentials),
    )


def _credential_entry(ref: CredentialRef, names: list[str], keys: list[KeyRef]) -> st.SearchStrategy[CredentialEntry]:
    return st.builds(
        CredentialEntry,
        ref=st.just(ref),
        consumer=st.sampled_from(names),
        may_use=_some(keys, _keys),
        secret=_references,
        fingerprints=_fingerprints.map(tuple),
        approved_agents=st.lists(_words, max_size=3).map(tuple),
    )


def _consumer_entry(name: str, keys: list[KeyRef], datasets: list[DatasetRef]) -> st.SearchStrategy[ConsumerEntry]:
    return st.builds(
        ConsumerEntry,
        name=st.just(name),
        owner=_words,
        channel=_words,
        uses=_some(keys, _keys),
        datasets=_some(datasets, _datasets),
        credential_file=st.sampled_from(["", "file:/srv/new.json"]),
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
