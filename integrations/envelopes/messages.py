"""One object that is an ESDK message, taken apart: what it says of itself, and which keys really open it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from integrations.envelopes import custody, esdk
from integrations.envelopes.custody import Sealed
from integrations.vendors.folders import Seen
from playbooks.errors import IntegrityFailure, NotFound
from playbooks.ports import KeyWrapping, ShardResult, WrappedKey
from playbooks.refs import DatasetRef, KeyRef


@dataclass(slots=True)
class StoredMessage:
    """One opened object: the version that was read is the one that may be replaced."""

    name: str
    stream: BinaryIO
    header: esdk.Header
    seen: Seen
    sealed: list[Sealed] = field(default_factory=list)
    under_old: set[bytes] = field(default_factory=set)


def check_context(header: esdk.Header, dataset: DatasetRef, name: str) -> None:
    """Raise IntegrityFailure when the encryption context says that this is another object."""
    for field_name, expected in (("dataset", str(dataset)), ("object", name)):
        if header.context.get(field_name, expected) != expected:
            raise IntegrityFailure(
                f"{dataset}/{name} says that it is another object ({field_name} in its encryption context).",
                subject=f"{dataset}/{name}",
                code="encryption-context",
                hint="It was moved or swapped; it was left alone.",
            )


def sealed_keys(header: esdk.Header, subject: str, *, old: KeyRef, new: KeyRef) -> list[Sealed]:
    """The wrapped data keys of a header; one fits when commitment and tag verify under it."""

    def fits(data_key: bytes) -> bool:
        try:
            esdk.verify_header(header, data_key, subject=subject)
        except IntegrityFailure:
            return False
        return True

    names_old, names_new = esdk.label(old), esdk.label(new)
    return [
        Sealed(
            WrappedKey(entry.blob, header.context),
            fits,
            names_old=(entry.provider, entry.info) == names_old,
            names_new=(entry.provider, entry.info) == names_new,
        )
        for entry in header.data_keys
    ]


def under_old(
    objects: Sequence[StoredMessage], *, old: KeyRef, new: KeyRef, keys: KeyWrapping, result: ShardResult
) -> list[tuple[StoredMessage, bytes]]:
    """The objects that open under the old key, with their data keys; those on the new one are counted as done.

    The old key is tried first: most objects of a sweep are under it.
    """
    flat = [(item, sealed) for item in objects for sealed in item.sealed]
    answers = custody.unwrap_fitting(old, [sealed for _, sealed in flat], keys=keys)
    opened: dict[str, bytes] = {}
    refusals: dict[str, Exception] = {}
    for (item, sealed), answer in zip(flat, answers, strict=True):
        if isinstance(answer, Exception):
            refusals[item.name] = answer
        else:
            opened[item.name] = answer
            item.under_old.add(sealed.wrapped.blob)
    rest = [(item, sealed) for item, sealed in flat if item.name not in opened]
    under_new = custody.unwrap_fitting(new, [sealed for _, sealed in rest], keys=keys)
    done = {item.name for (item, _), answer in zip(rest, under_new, strict=True) if isinstance(answer, bytes)}
    if not opened and not done:
        custody.raise_when_down(answers)
    result.already += len(done)
    for item in objects:
        if item.name not in opened and item.name not in done:
            custody.note(result, item.name, refusals[item.name])
    return [(item, opened[item.name]) for item in objects if item.name in opened]


def replaced(item: StoredMessage, old: KeyRef, entry: esdk.EncryptedDataKey) -> list[esdk.EncryptedDataKey]:
    """The data keys with the new one instead of those that open under, or name, the old key."""
    gone = {esdk.label(old), (entry.provider, entry.info)}
    others = (known for known in item.header.data_keys if known.blob not in item.under_old)
    return [entry, *(known for known in others if (known.provider, known.info) not in gone)]


def unwrapped(header: esdk.Header, candidates: Sequence[KeyRef], keys: KeyWrapping, subject: str) -> bytes:
    """The data key; the candidate that the header names is tried first, the last one's refusal is raised."""
    named = {(entry.provider, entry.info) for entry in header.data_keys}
    last: Exception = NotFound(f"no key was given for {subject}", subject=subject)
    for key in sorted(candidates, key=lambda key: esdk.label(key) not in named):
        sealed = sealed_keys(header, subject, old=key, new=key)
        for answer in custody.unwrap_fitting(key, sealed, keys=keys):
            if isinstance(answer, bytes):
                return answer
            last = answer
    raise last
