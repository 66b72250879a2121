"""Encrypted values in a PostgreSQL column, each a Tink KmsEnvelopeAead value bound to its row.

``postgres:CONNECTION/SCHEMA.TABLE.COLUMN`` names a ``bytea`` column of a table with a primary key of one column; the
associated data of a value is the row's key as text.  A text column ``COLUMN_key``, when there is one, names the KeyRef
as a hint for readers; it is written along and never believed.  Rights needed: SELECT and UPDATE (INSERT for ``write``).
Dead tuples and the write-ahead log keep old ciphertext until VACUUM and recycling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from integrations.envelopes import custody, tink
from integrations.envelopes.custody import Sealed, Standing
from integrations.vendors.postgres import PostgresOptions, session
from integrations.vendors.postgres_columns import Column, Row
from playbooks.errors import IntegrityFailure, NotFound
from playbooks.ports import Clock, KeyWrapping, Rewraps, Shard, ShardResult, WrappedKey
from playbooks.receipts import Census
from playbooks.refs import DatasetRef, KeyRef

_SWEEP_SECONDS = 30
_NO_CONTEXT: Mapping[str, str] = {}


@dataclass(slots=True)
class _Value:
    """One row's value, taken apart."""

    row: Row
    subject: str
    associated_data: bytes
    wrapped: WrappedKey
    payload: bytes = field(repr=False)

    def fits(self, data_key: bytes) -> bool:
        """Does this data key open the payload?"""
        return tink.fits(self.payload, data_key, associated_data=self.associated_data)

    def open(self, data_key: bytes) -> bytes:
        """The plaintext; raises IntegrityFailure."""
        return tink.decrypt(self.payload, data_key, associated_data=self.associated_data, subject=self.subject)


_Mover = Callable[[list[_Value]], list[bytes | Exception]]
"""Makes the replacement of each value, or says why not."""


class PostgresColumns:
    """The columns that one connection reaches; every call opens its own session, so threads may share it."""

    def __init__(self, options: PostgresOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open with ``dsn`` (a reference); nothing is connected yet.  Raises InvalidInput naming the field."""
        return cls(PostgresOptions.read(name, options), clock=clock)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    # --- for services -----------------------------------------------------------------------

    def write(self, dataset: DatasetRef, row_id: str, plaintext: bytes, *, key: KeyRef, keys: KeyWrapping) -> None:
        """Store a value under a fresh data key wrapped by ``key``: inserts the row, or replaces its value."""
        data_key = tink.new_data_key()
        [wrapped] = keys(key).wrap(key, [data_key], contexts=[{}])
        if isinstance(wrapped, Exception):
            raise wrapped
        value = tink.join(wrapped.blob, tink.encrypt(plaintext, data_key, associated_data=str(row_id).encode()))
        with session(self._options, subject=str(dataset)) as connection:
            Column.find(connection, dataset).write(connection, str(row_id), value, label=str(key))

    def read(self, dataset: DatasetRef, row_id: str, *, candidates: Sequence[KeyRef], keys: KeyWrapping) -> bytes:
        """The plaintext of a row's value; the candidate that the companion column names is tried first.

        Raises NotFound, IntegrityFailure, or the last candidate's refusal.
        """
        subject = f"{dataset}/{row_id}"
        with session(self._options, subject=str(dataset)) as connection:
            found = Column.find(connection, dataset).read(connection, str(row_id))
        if found is None:
            raise NotFound(f"{subject} does not exist", subject=subject)
        value = _parsed(str(dataset), (row_id, *found))
        last: Exception = NotFound(f"no key was given for {subject}", subject=subject)
        for key in sorted(candidates, key=lambda key: str(key) != found[1]):
            [answer] = keys(key).unwrap(key, [value.wrapped])
            if isinstance(answer, bytes):
                return value.open(answer)
            last = answer
        raise last

    # --- TakesCensus ------------------------------------------------------------------------

    def census(self, dataset: DatasetRef, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> Census:
        """Count values by the key that really opens them, payload included."""
        custody.distinct(old, new)
        counts = dict.fromkeys(Standing, 0)
        objects = size = 0
        with session(self._options, subject=str(dataset), statement_seconds=_SWEEP_SECONDS) as connection:
            column = Column.find_for_sweep(connection, dataset)
            for page in column.pages(connection, Shard(dataset, 0, "", "")):
                values, failed = _parse_all(dataset, page)
                objects += len(page)
                size += sum(len(row[1]) for row in page)
                counts[Standing.FAILED] += len(failed)
                sealed = [[_sealed(value, old=old, new=new)] for value in values]
                for standing in custody.standings(sealed, old=old, new=new, keys=keys):
                    counts[standing] += 1
        tallies = {standing.value: count for standing, count in counts.items()}
        return Census(dataset=str(dataset), objects=objects, bytes=size, taken_at=self._clock(), **tallies)

    def shards(self, dataset: DatasetRef, *, count: int) -> list[Shard]:
        """Ranges of the primary key with about the same number of rows; the first and the last are open-ended."""
        with session(self._options, subject=str(dataset), statement_seconds=_SWEEP_SECONDS) as connection:
            bounds = ["", *Column.find(connection, dataset).bounds(connection, count), ""]
        return [Shard(dataset, index, bounds[index], bounds[index + 1]) for index in range(len(bounds) - 1)]

    # --- Rewrites ---------------------------------------------------------------------------

    def rewrap(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult:
        """Put the data keys of a shard under ``new``; payloads stay as they are.

        Where both keys are of one connection and its backend rewraps, the plaintext data key stays inside; the new
        wrapping is proven by opening the payload before the old one is replaced.
        """
        backend = keys(old)
        inside = (old.scheme, old.connection) == (new.scheme, new.connection) and isinstance(backend, Rewraps)

        def move_inside(values: list[_Value]) -> list[bytes | Exception]:
            assert isinstance(backend, Rewraps)  # noqa: S101 - narrowed by ``inside``
            moved = backend.rewrap([value.wrapped for value in values], old=old, new=new)
            custody.check_complete(new, moved, expected=len(values))
            good = [(value, item) for value, item in zip(values, moved, strict=True) if isinstance(item, WrappedKey)]
            proofs = iter(_opened([value for value, _ in good], [item for _, item in good], new, keys))
            return [
                _joined(value, item, next(proofs)) if isinstance(item, WrappedKey) else item
                for value, item in zip(values, moved, strict=True)
            ]

        def move_outside(values: list[_Value]) -> list[bytes | Exception]:
            opened = _opened(values, [value.wrapped for value in values], old, keys)
            wrapped = _wrapped(opened, opened, new, keys)
            return [_joined(value, item, None) for value, item in zip(values, wrapped, strict=True)]

        return self._sweep(shard, old=old, new=new, keys=keys, move=move_inside if inside else move_outside)

    def reencrypt(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult:
        """Put a shard's values under new data keys wrapped by ``new``; each is decrypted again and compared first."""

        def move(values: list[_Value]) -> list[bytes | Exception]:
            opened = _opened(values, [value.wrapped for value in values], old, keys)
            fresh = [tink.new_data_key() for _ in values]
            wrapped = _wrapped(opened, fresh, new, keys)
            return [
                _reencrypted(value, data_key, fresh_key, item)
                for value, data_key, fresh_key, item in zip(values, opened, fresh, wrapped, strict=True)
            ]

        return self._sweep(shard, old=old, new=new, keys=keys, move=move)

    def _sweep(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping, move: _Mover) -> ShardResult:
        custody.distinct(old, new)
        result = ShardResult()
        with session(self._options, subject=str(shard.dataset), statement_seconds=_SWEEP_SECONDS) as connection:
            column = Column.find_for_sweep(connection, shard.dataset)
            for page in column.pages(connection, shard):
                values, failed = _parse_all(shard.dataset, page)
                for subject, error in failed:
                    custody.note(result, subject, error)
                changes = _changes(values, new, keys, move, result)
                if changes:
                    count = column.swap(connection, changes, first=page[0][0], last=page[-1][0], label=str(new))
                    result.rewritten += count
                    result.missed += len(changes) - count
                    result.bytes += sum(len(replacement) for _, _, replacement in changes)
        return result


def _changes(
    values: Sequence[_Value], new: KeyRef, keys: KeyWrapping, move: _Mover, result: ShardResult
) -> list[tuple[Any, bytes, bytes]]:
    """(key, old value, new value) of what a page has under the old key; the rest is counted in ``result``.

    The label only decides which key is tried first.
    """
    label = str(new)
    doubted = _not_on(new, [value for value in values if value.row[2] == label], keys, result)
    pending = [value for value in values if value.row[2] != label] + doubted
    answers = move(pending) if pending else []
    stuck = {id(value): answer for value, answer in zip(pending, answers, strict=True) if isinstance(answer, Exception)}
    left = _not_on(new, [value for value in pending if id(value) in stuck], keys, result)
    if len(left) == len(values):
        custody.raise_when_down([stuck[id(value)] for value in left])
    for value in left:
        custody.note(result, value.subject, stuck[id(value)])
    return [
        (value.row[0], value.row[1], answer)
        for value, answer in zip(pending, answers, strict=True)
        if isinstance(answer, bytes)
    ]


def _not_on(new: KeyRef, values: Sequence[_Value], keys: KeyWrapping, result: ShardResult) -> list[_Value]:
    """The values that do not open under the new key; those that do are counted as done."""
    answers = _opened(values, [value.wrapped for value in values], new, keys)
    rest = [value for value, answer in zip(values, answers, strict=True) if isinstance(answer, Exception)]
    result.already += len(values) - len(rest)
    return rest


def _opened(
    values: Sequence[_Value], wrapped: Sequence[WrappedKey], key: KeyRef, keys: KeyWrapping
) -> list[bytes | Exception]:
    """The data keys in ``wrapped``, each shown to open its value's payload."""
    answers = custody.unwrap(key, wrapped, keys=keys)
    return [
        custody.misfit(key) if isinstance(answer, bytes) and not value.fits(answer) else answer
        for value, answer in zip(values, answers, strict=True)
    ]


def _wrapped(
    opened: Sequence[bytes | Exception], data_keys: Sequence[bytes | Exception], new: KeyRef, keys: KeyWrapping
) -> list[WrappedKey | Exception]:
    """The data keys wrapped by the new key where the old one has opened; elsewhere the reason why not."""
    ready = [
        item
        for item, answer in zip(data_keys, opened, strict=True)
        if isinstance(answer, bytes) and isinstance(item, bytes)
    ]
    made = iter(custody.wrap_proven(new, ready, contexts=[{}] * len(ready), keys=keys))
    return [answer if isinstance(answer, Exception) else next(made) for answer in opened]


def _joined(value: _Value, item: WrappedKey | Exception, proof: bytes | Exception | None) -> bytes | Exception:
    if isinstance(item, Exception):
        return item
    return proof if isinstance(proof, Exception) else tink.join(item.blob, value.payload)


def _reencrypted(
    value: _Value, data_key: bytes | Exception, fresh: bytes, item: WrappedKey | Exception
) -> bytes | Exception:
    if isinstance(data_key, Exception) or isinstance(item, Exception):
        return data_key if isinstance(data_key, Exception) else item  # type: ignore[return-value]  # one of both is
    plaintext = value.open(data_key)
    payload = tink.encrypt(plaintext, fresh, associated_data=value.associated_data)
    if tink.decrypt(payload, fresh, associated_data=value.associated_data, subject=value.subject) != plaintext:
        return IntegrityFailure(f"the new copy of {value.subject} differs.", subject=value.subject)
    return tink.join(item.blob, payload)


def _parsed(place: str, row: Row) -> _Value:
    text = str(row[0])
    subject = f"{place}/{text}"
    wrapped, payload = tink.split(row[1], subject=subject)
    return _Value(row, subject, text.encode(), WrappedKey(wrapped, _NO_CONTEXT), payload)


def _parse_all(dataset: DatasetRef, page: Sequence[Row]) -> tuple[list[_Value], list[tuple[str, Exception]]]:
    place = str(dataset)
    values: list[_Value] = []
    failed: list[tuple[str, Exception]] = []
    for row in page:
        try:
            values.append(_parsed(place, row))
        except IntegrityFailure as error:
            failed.append((f"{place}/{row[0]}", error))
    return values, failed


def _sealed(value: _Value, *, old: KeyRef, new: KeyRef) -> Sealed:
    return Sealed(value.wrapped, value.fits, names_old=value.row[2] == str(old), names_new=value.row[2] == str(new))
