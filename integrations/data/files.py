"""Objects in a folder, each an AWS Encryption SDK message: read, written, counted and moved to a new key.

``files:CONNECTION/FOLDER`` names every file below ``root/FOLDER``.  Encryption context: dataset and object name.
Writers on the same folder must use ``write`` or ``locked``; readers need nothing, an object is replaced in one rename.
A rewrap always needs the data key in the clear (the header's tag is made with it): a server-side rewrap saves nothing.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

from pydantic import BaseModel, ConfigDict

from integrations.envelopes import custody, esdk, rewriting
from integrations.envelopes.custody import Standing
from integrations.envelopes.messages import (
    StoredMessage,
    check_context,
    replaced,
    sealed_keys,
    under_old,
    unwrapped,
)
from integrations.options import read_options
from integrations.vendors import folders
from playbooks.errors import IntegrityFailure, InvalidInput, KeyquellError, NotFound
from playbooks.ports import Clock, KeyWrapping, Shard, ShardResult, WrappedKey
from playbooks.receipts import Census
from playbooks.refs import DatasetRef, KeyRef

_BATCH = 100


class FileStoreOptions(BaseModel):
    """Settings of a ``files`` connection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path


@dataclass(frozen=True, slots=True)
class _Move:
    """What is needed to write an object anew: its data key, and the (same or fresh) one as wrapped by the new key."""

    item: StoredMessage
    data_key: bytes = field(repr=False)
    fresh: bytes = field(repr=False)
    wrapped: WrappedKey


_Produce = Callable[[_Move, BinaryIO], None]


class FileStore:
    """The files below one root folder; safe to use from several threads and processes at once."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self.root = root
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open a store; ``options`` are ``root`` alone.  Raises InvalidInput naming connection and field."""
        settings = read_options(FileStoreOptions, f"connection {name}", options)
        if not settings.root.is_dir():
            raise InvalidInput(f"connection {name}: root: {settings.root} is not a folder")
        return cls(settings.root, clock=clock)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    # --- for services -----------------------------------------------------------------------

    def locked(self) -> AbstractContextManager[None]:
        """The store's advisory lock, for writers with code of their own: hold it while renaming."""
        return folders.locked(self.root)

    def write(self, dataset: DatasetRef, name: str, plaintext: bytes, *, key: KeyRef, keys: KeyWrapping) -> None:
        """Store an object under a fresh data key wrapped by ``key``; durable and whole when this returns."""
        context = {"dataset": str(dataset), "object": name}
        data_key = os.urandom(esdk.DATA_KEY_BYTES)
        wrapped = _only(keys(key).wrap(key, [data_key], contexts=[context]))
        place = self._place(dataset, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        with folders.beside(place.parent) as (copy, path):
            esdk.encrypt_stream(
                io.BytesIO(plaintext),
                copy,
                data_key=data_key,
                context=context,
                data_keys=[esdk.encrypted_data_key(key, wrapped.blob)],
            )
            os.fchmod(copy.fileno(), 0o640)
            folders.sync(copy)
            with self.locked():
                path.replace(place)
        folders.sync_folder(place.parent)

    def read(self, dataset: DatasetRef, name: str, *, candidates: Sequence[KeyRef], keys: KeyWrapping) -> bytes:
        """The plaintext of an object; the candidate that its header names is tried first.

        Raises NotFound, IntegrityFailure (also when the object was moved or renamed), or the last candidate's refusal.
        """
        subject = f"{dataset}/{name}"
        with _opening(self._place(dataset, name), subject) as stream:
            header = esdk.read_header(stream, subject=subject)
            check_context(header, dataset, name)
            data_key = unwrapped(header, candidates, keys, subject)
            plaintext = io.BytesIO()
            esdk.decrypt_stream(stream, plaintext, header=header, data_key=data_key, subject=subject)
        return plaintext.getvalue()

    def names(self, dataset: DatasetRef) -> list[str]:
        """The names of all objects, sorted; hidden files are not objects."""
        folder = self._folder(dataset)
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))

    # --- TakesCensus ------------------------------------------------------------------------

    def census(self, dataset: DatasetRef, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> Census:
        """Count objects by the key that really opens them."""
        custody.distinct(old, new)
        counts = dict.fromkeys(Standing, 0)
        objects = size = 0
        for names in _batches(self.names(dataset)):
            with ExitStack() as stack:
                ready, failed = self._opened(stack, dataset, names, old=old, new=new)
                objects += len(ready) + len(failed)
                size += sum(item.seen.size for item in ready)
                counts[Standing.FAILED] += len(failed)
                for standing in custody.standings([item.sealed for item in ready], old=old, new=new, keys=keys):
                    counts[standing] += 1
        tallies = {standing.value: count for standing, count in counts.items()}
        return Census(dataset=str(dataset), objects=objects, bytes=size, taken_at=self._clock(), **tallies)

    def shards(self, dataset: DatasetRef, *, count: int) -> list[Shard]:
        """Ranges of names with about the same number of objects; the first and the last are open-ended."""
        names = self.names(dataset)
        starts = sorted({names[len(names) * index // count] for index in range(1, count)} - {names[0]} if names else ())
        bounds = ["", *starts, ""]
        return [Shard(dataset, index, bounds[index], bounds[index + 1]) for index in range(len(bounds) - 1)]

    # --- Rewrites ---------------------------------------------------------------------------

    def rewrap(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult:
        """Put the data keys of a shard under ``new``; bodies stay byte-identical, other recipients stay."""

        def produce(move: _Move, copy: BinaryIO) -> None:
            item, subject = move.item, f"{shard.dataset}/{move.item.name}"
            entries = replaced(item, old, esdk.encrypted_data_key(new, move.wrapped.blob))
            rewriting.copy_rewrapped(item.stream, copy, header=item.header, data_key=move.data_key, data_keys=entries)
            folders.sync(copy)
            copy.seek(0)
            rewriting.check_rewrapped(item.stream, copy, header=item.header, data_key=move.data_key, subject=subject)

        return self._sweep(shard, old=old, new=new, keys=keys, produce=produce, fresh=lambda data_key: data_key)

    def reencrypt(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult:
        """Put a shard's objects under new data keys wrapped by ``new`` alone; other recipients are dropped."""

        def produce(move: _Move, copy: BinaryIO) -> None:
            item, subject = move.item, f"{shard.dataset}/{move.item.name}"
            seen = rewriting.copy_reencrypted(
                item.stream,
                copy,
                header=item.header,
                data_key=move.data_key,
                new_data_key=move.fresh,
                data_keys=[esdk.encrypted_data_key(new, move.wrapped.blob)],
                subject=subject,
            )
            folders.sync(copy)
            copy.seek(0)
            rewriting.check_reencrypted(copy, data_key=move.fresh, seen=seen, subject=subject)

        def fresh(_data_key: bytes) -> bytes:
            return os.urandom(esdk.DATA_KEY_BYTES)

        return self._sweep(shard, old=old, new=new, keys=keys, produce=produce, fresh=fresh)

    def _sweep(
        self,
        shard: Shard,
        *,
        old: KeyRef,
        new: KeyRef,
        keys: KeyWrapping,
        produce: _Produce,
        fresh: Callable[[bytes], bytes],
    ) -> ShardResult:
        custody.distinct(old, new)
        folders.clean(self._folder(shard.dataset))
        result = ShardResult()
        names = [
            name
            for name in self.names(shard.dataset)
            if name >= shard.after and (not shard.until or name < shard.until)
        ]
        for batch in _batches(names):
            with ExitStack() as stack:
                ready, failed = self._opened(stack, shard.dataset, batch, old=old, new=new)
                for name, error in failed:
                    custody.note(result, name, error)
                pending = under_old(ready, old=old, new=new, keys=keys, result=result)
                fresh_keys = [fresh(data_key) for _, data_key in pending]
                wrapped = custody.wrap_proven(
                    new, fresh_keys, contexts=[item.header.context for item, _ in pending], keys=keys
                )
                custody.raise_when_down(wrapped)
                for (item, data_key), answer, new_key in zip(pending, wrapped, fresh_keys, strict=True):
                    if isinstance(answer, Exception):
                        custody.note(result, item.name, answer)
                    else:
                        self._replace(shard.dataset, _Move(item, data_key, new_key, answer), result, produce)
        return result

    def _replace(self, dataset: DatasetRef, move: _Move, result: ShardResult, produce: _Produce) -> None:
        """Compare-and-swap one object; an unexpected version in its place is a miss, not an error."""
        item = move.item
        place = self._place(dataset, item.name)
        try:
            with folders.beside(place.parent) as (copy, path):
                folders.like(copy, item.stream)
                item.stream.seek(item.header.size)
                produce(move, copy)
                with self.locked():
                    if not _unchanged(place, item):
                        result.missed += 1
                        return
                    path.replace(place)
            folders.sync_folder(place.parent)
        except (KeyquellError, OSError) as error:
            custody.note(result, item.name, error)
            return
        result.rewritten += 1
        result.bytes += item.seen.size

    def _opened(
        self, stack: ExitStack, dataset: DatasetRef, names: Iterable[str], *, old: KeyRef, new: KeyRef
    ) -> tuple[list[StoredMessage], list[tuple[str, Exception]]]:
        ready: list[StoredMessage] = []
        failed: list[tuple[str, Exception]] = []
        for name in names:
            subject = f"{dataset}/{name}"
            try:
                stream = stack.enter_context(_opening(self._place(dataset, name), subject))
                header = esdk.read_header(stream, subject=subject)
                check_context(header, dataset, name)
            except NotFound:
                continue  # deleted by its owner since the names were listed
            except KeyquellError as error:
                failed.append((name, error))
                continue
            seen = folders.Seen.of(stream, head_bytes=header.size)
            ready.append(StoredMessage(name, stream, header, seen, sealed_keys(header, subject, old=old, new=new)))
        return ready, failed

    def _folder(self, dataset: DatasetRef) -> Path:
        folder = self.root / _inside(dataset.path)
        if not folder.is_dir():
            raise NotFound(f"{dataset}: {folder} is not a folder", subject=str(dataset))
        return folder

    def _place(self, dataset: DatasetRef, name: str) -> Path:
        return self.root / _inside(dataset.path) / _inside(name)


def _inside(path: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if pure.is_absolute() or not pure.parts or any(part.startswith(".") for part in pure.parts):
        raise InvalidInput(f"{path!r} is not the name of an object or folder below the root")
    return pure


def _opening(place: Path, subject: str) -> BinaryIO:
    try:
        return place.open("rb")
    except FileNotFoundError as error:
        raise NotFound(f"{subject} does not exist", subject=subject) from error
    except OSError as error:
        raise IntegrityFailure(f"{subject} cannot be read ({error.strerror})", subject=subject) from error


def _unchanged(place: Path, item: StoredMessage) -> bool:
    try:
        with place.open("rb") as now:
            return folders.Seen.of(now, head_bytes=item.header.size) == item.seen
    except FileNotFoundError:
        return False


def _only(answers: Sequence[WrappedKey | Exception]) -> WrappedKey:
    answer = answers[0]
    if isinstance(answer, Exception):
        raise answer
    return answer


def _batches(names: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(names)
    while batch := list(islice(rest, _BATCH)):
        yield batch
