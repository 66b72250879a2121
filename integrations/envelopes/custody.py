"""Which key an object's data key is really under: proven by unwrapping and fitting the object, not by its label."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from playbooks.errors import BackendError, IntegrityFailure, InvalidInput
from playbooks.ports import KeyWrapping, ShardResult, WrappedKey
from playbooks.refs import KeyRef

MAX_ERRORS = 20
"""How many errors a shard's result quotes; all are counted."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One wrapped data key of an object.

    ``fits`` tells whether a data key really opens the object (some backends unwrap to garbage under a wrong key);
    ``names_old`` and ``names_new`` are what the object's label claims: a hint, never proof.
    """

    wrapped: WrappedKey
    fits: Callable[[bytes], bool] = field(repr=False)
    names_old: bool = False
    names_new: bool = False


class Standing(StrEnum):
    """Where one object stands; the names are those of the Census."""

    ON_NEW = "on_new"
    ON_OLD = "on_old"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


def distinct(old: KeyRef, new: KeyRef) -> None:
    """Refuse to tell two keys apart when they are one.

    Raises InvalidInput: after a rotation in place both versions unwrap under one name.
    """
    if old == new:
        raise InvalidInput(
            f"{old} is named as the old and as the new key",
            hint="Create a successor: data under two versions of one key cannot be told apart by unwrapping.",
        )


def unwrap_fitting(key: KeyRef, sealed: Sequence[Sealed], *, keys: KeyWrapping) -> list[bytes | Exception]:
    """Unwrap a batch under ``key``; a data key that does not fit its object is an IntegrityFailure in the list."""
    found = unwrap(key, [item.wrapped for item in sealed], keys=keys)
    return [
        misfit(key) if isinstance(answer, bytes) and not item.fits(answer) else answer
        for item, answer in zip(sealed, found, strict=True)
    ]


def unwrap(key: KeyRef, wrapped: Sequence[WrappedKey], *, keys: KeyWrapping) -> list[bytes | Exception]:
    """Unwrap a batch under ``key``; the caller must still see that each data key fits its object.

    Raises IntegrityFailure when the backend leaves items out.
    """
    found = keys(key).unwrap(key, wrapped) if wrapped else []
    check_complete(key, found, expected=len(wrapped))
    return found


def misfit(key: KeyRef) -> IntegrityFailure:
    """The answer for a data key that does not open its object."""
    return IntegrityFailure(f"{key} unwraps this object to a key that does not fit it.", subject=str(key))


def check_complete(key: KeyRef, answers: Sequence[object], *, expected: int) -> None:
    """Raise IntegrityFailure when a backend did not answer for every item of a batch."""
    if len(answers) != expected:
        raise IntegrityFailure(
            f"{key} answered {len(answers)} of {expected} data keys", subject=str(key), hint="Nothing was changed."
        )


def wrap_proven(
    key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]], keys: KeyWrapping
) -> list[WrappedKey | Exception]:
    """Wrap a batch and unwrap it again: what is returned was shown to give the data key back."""
    if not data_keys:
        return []
    wrapped = keys(key).wrap(key, data_keys, contexts=contexts)
    check_complete(key, wrapped, expected=len(data_keys))
    good = [item for item in wrapped if isinstance(item, WrappedKey)]
    returned = iter(unwrap(key, good, keys=keys))
    proven: list[WrappedKey | Exception] = []
    for data_key, item in zip(data_keys, wrapped, strict=True):
        back = next(returned) if isinstance(item, WrappedKey) else item
        if isinstance(back, bytes) and not hmac.compare_digest(back, data_key):
            back = IntegrityFailure(
                f"{key} does not give back the data key it wrapped.",
                subject=str(key),
                hint="The object was left alone.",
            )
        proven.append(back if isinstance(back, Exception) else item)
    return proven


def standings(objects: Sequence[Sequence[Sealed]], *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> list[Standing]:
    """Where each object of a batch stands: every data key is tried under the new key, then what is left under the old.

    An object that also opens under the old key, or that may, is not on the new one.
    """
    flat = [item for entries in objects for item in entries]
    under_new = unwrap_fitting(new, flat, keys=keys)
    rest = [index for index, answer in enumerate(under_new) if isinstance(answer, Exception)]
    under_old = dict(zip(rest, unwrap_fitting(old, [flat[index] for index in rest], keys=keys), strict=True))
    found, start = [], 0
    for entries in objects:
        places = range(start, start + len(entries))
        start += len(entries)
        found.append(_standing([(flat[place], under_new[place], under_old.get(place)) for place in places]))
    return found


def note(result: ShardResult, name: str, error: Exception) -> None:
    """Count one object as failed; quote the error while there are few."""
    result.failed += 1
    if len(result.errors) < MAX_ERRORS:
        result.errors.append(f"{name}: {error}")


def raise_when_down(answers: Sequence[object]) -> None:
    """Raise the first error when *every* answer is one that goes away by itself, so that the caller's retry sees it."""
    errors = [answer for answer in answers if isinstance(answer, BackendError) and answer.retryable]
    if errors and len(errors) == len(answers):
        raise errors[0]


def _standing(tries: Sequence[tuple[Sealed, bytes | Exception, bytes | Exception | None]]) -> Standing:
    if any(isinstance(under_old, bytes) for _, _, under_old in tries):
        return Standing.ON_OLD
    closed = [(item, under_new, under_old) for item, under_new, under_old in tries if isinstance(under_new, Exception)]
    answers = [answer for _, *both in closed for answer in both]
    if any(isinstance(answer, BackendError) and answer.retryable for answer in answers):
        return Standing.UNREACHABLE
    labelled = any(item.names_old or item.names_new for item, _, _ in closed)
    if len(closed) < len(tries):
        return Standing.FAILED if any(item.names_old for item, _, _ in closed) else Standing.ON_NEW
    return Standing.FAILED if labelled else Standing.UNKNOWN
