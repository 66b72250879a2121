"""The file store: nothing is lost, nothing is believed, everything may be interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from integrations.data.files import FileStore
from integrations.envelopes import custody, esdk
from integrations.vendors import folders
from playbooks.errors import IntegrityFailure, InvalidInput, NotFound, Refused, Unreachable
from playbooks.ports import Rewrites, Shard, TakesCensus
from playbooks.refs import DatasetRef
from tests.integrations.data.conftest import NEW, OLD, OTHER, KeyRing

SIZES = [0, 1, 100, 4096, (1 << 20) - 1, 1 << 20, (1 << 20) + 1]


def fill(store: FileStore, dataset: DatasetRef, ring: KeyRing, count: int = 12) -> dict[str, bytes]:
    contents = {f"{index:03}.bin": os.urandom(SIZES[index % len(SIZES)]) for index in range(count)}
    for name, plaintext in contents.items():
        store.write(dataset, name, plaintext, key=OLD, keys=lambda _key: ring)
    return contents


def everything(dataset: DatasetRef) -> Shard:
    return Shard(dataset, 0, "", "")


def check(store: FileStore, dataset: DatasetRef, ring: KeyRing, contents: dict[str, bytes]) -> None:
    for name, plaintext in contents.items():
        assert store.read(dataset, name, candidates=[OLD, NEW], keys=lambda _key: ring) == plaintext, name


def test_it_is_what_the_flows_expect(store: FileStore) -> None:
    """The store implements both ports."""
    assert isinstance(store, TakesCensus)
    assert isinstance(store, Rewrites)


@pytest.mark.parametrize("move", ["rewrap", "reencrypt"])
def test_a_sweep_moves_every_object_to_the_new_key(
    store: FileStore, invoices: DatasetRef, ring: KeyRing, move: str
) -> None:
    """Afterwards the old key is needed by nothing, and a second sweep has nothing to do."""
    contents = fill(store, invoices, ring)
    result = getattr(store, move)(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.rewritten, result.already, result.failed) == (len(contents), 0, 0), result.errors
    again = getattr(store, move)(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (again.rewritten, again.already) == (0, len(contents))
    ring.disabled.add(OLD)
    check(store, invoices, ring, contents)
    assert store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring).clear


def test_a_rewrap_leaves_the_body_byte_identical(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """Only the header changes; a re-encryption changes the body too."""
    fill(store, invoices, ring, 7)
    place = store.root / "invoices" / "006.bin"

    def body() -> bytes:
        with place.open("rb") as stream:
            esdk.read_header(stream, subject="006.bin")
            return stream.read()

    before, mode = body(), place.stat().st_mode
    store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert body() == before
    assert place.stat().st_mode == mode
    store.reencrypt(everything(invoices), old=NEW, new=OLD, keys=lambda _key: ring)
    assert body() != before


def test_the_shards_cover_every_object_once(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """However many shards are asked for, also more than there are objects."""
    contents = fill(store, invoices, ring, 5)
    for count in (1, 2, 3, 9):
        shards = store.shards(invoices, count=count)
        hit = [
            name
            for shard in shards
            for name in contents
            if name >= shard.after and (not shard.until or name < shard.until)
        ]
        assert sorted(hit) == sorted(contents), count
    assert len(store.shards(DatasetRef.parse("files:docs/invoices"), count=2)) == 2


def test_the_census_believes_unwrapping_and_not_labels(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """An object labelled with the new key but wrapped by the old one counts as old."""
    fill(store, invoices, ring, 3)
    place = store.root / "invoices" / "001.bin"
    with place.open("rb") as stream:
        header = esdk.read_header(stream, subject="001.bin")
        body = stream.read()
    [entry] = header.data_keys
    wrapped = custody.WrappedKey(entry.blob, header.context)
    [data_key] = ring.unwrap(OLD, [wrapped])
    assert isinstance(data_key, bytes)
    lie = esdk.reheader(header, data_key=data_key, data_keys=[esdk.encrypted_data_key(NEW, entry.blob)])
    place.write_bytes(lie + body)
    census = store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring)
    assert (census.objects, census.on_old, census.on_new) == (3, 3, 0)


def test_the_census_tells_every_kind_of_doubt_apart(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """New, foreign, damaged and unreachable objects are told apart; none of them clears the old key."""
    fill(store, invoices, ring, 3)
    store.write(invoices, "new.bin", b"n", key=NEW, keys=lambda _key: ring)
    store.write(invoices, "foreign.bin", b"f", key=OTHER, keys=lambda _key: ring)
    (store.root / "invoices" / "damaged.bin").write_bytes(b"\x02\x04\x78 not a message")
    census = store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring)
    assert (census.on_old, census.on_new, census.unknown, census.failed) == (3, 1, 1, 1)
    assert not census.clear
    ring.down.add(OLD)
    census = store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring)
    assert (census.on_new, census.unreachable) == (1, 4)


def test_an_object_that_also_opens_under_the_old_key_is_not_on_the_new_one(
    store: FileStore, invoices: DatasetRef, ring: KeyRing
) -> None:
    """One wrapped data key under the old key is enough; the sweep removes it and keeps the other recipient."""
    store.write(invoices, "a.bin", b"shared", key=OLD, keys=lambda _key: ring)
    place = store.root / "invoices" / "a.bin"
    with place.open("rb") as stream:
        header = esdk.read_header(stream, subject="a.bin")
        body = stream.read()
    [data_key] = ring.unwrap(OLD, [custody.WrappedKey(header.data_keys[0].blob, header.context)])
    assert isinstance(data_key, bytes)
    entries = list(header.data_keys)
    for key in (NEW, OTHER):
        [wrapped] = ring.wrap(key, [data_key], contexts=[header.context])
        assert isinstance(wrapped, custody.WrappedKey)
        entries.append(esdk.encrypted_data_key(key, wrapped.blob))
    place.write_bytes(esdk.reheader(header, data_key=data_key, data_keys=entries) + body)
    assert store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring).on_old == 1
    store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    with place.open("rb") as stream:
        labels = [(entry.provider, entry.info) for entry in esdk.read_header(stream, subject="a.bin").data_keys]
    assert labels == [esdk.label(NEW), esdk.label(OTHER)]
    assert store.read(invoices, "a.bin", candidates=[OTHER], keys=lambda _key: ring) == b"shared"


def test_concurrent_writers_lose_nothing(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """While the sweep runs, a service keeps overwriting under the old key; every last write survives, and sweeps
    converge once it has stopped."""
    contents = {f"{index}.bin": b"first" for index in range(8)}
    for name, plaintext in contents.items():
        store.write(invoices, name, plaintext, key=OLD, keys=lambda _key: ring)
    stop = threading.Event()

    def serve() -> None:
        turn = 0
        while not stop.is_set():
            name = f"{turn % 8}.bin"
            plaintext = f"write {turn}".encode()
            store.write(invoices, name, plaintext, key=OLD, keys=lambda _key: ring)
            contents[name] = plaintext
            turn += 1

    writer = threading.Thread(target=serve)
    writer.start()
    for _ in range(5):
        store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    stop.set()
    writer.join()
    result = store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.missed, result.failed) == (0, 0)
    check(store, invoices, ring, contents)
    assert store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring).clear


def test_a_write_between_read_and_swap_is_a_miss_and_survives(
    store: FileStore, invoices: DatasetRef, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's version stays; the next sweep takes it."""
    store.write(invoices, "a.bin", b"before", key=OLD, keys=lambda _key: ring)
    real, raced = folders.like, []

    def race(*streams: object) -> None:
        if not raced:
            raced.append(True)
            store.write(invoices, "a.bin", b"meanwhile", key=OLD, keys=lambda _key: ring)
        real(*streams)  # type: ignore[arg-type]

    monkeypatch.setattr(folders, "like", race)
    result = store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.missed, result.rewritten) == (1, 0)
    assert store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring).rewritten == 1
    assert store.read(invoices, "a.bin", candidates=[NEW], keys=lambda _key: ring) == b"meanwhile"


def test_a_killed_sweep_is_finished_by_the_next_one(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """No object is half-written, leftovers are gone, and the rest is moved."""
    contents = fill(store, invoices, ring, 40)
    child = os.fork()
    if not child:
        try:
            store.reencrypt(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
        finally:
            os._exit(0)
    while store.census(invoices, old=OLD, new=NEW, keys=lambda _key: ring).on_new < 5:
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (store.root / "invoices" / f"{folders.BESIDE}left").write_bytes(b"half")
    check(store, invoices, ring, contents)
    result = store.reencrypt(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert result.rewritten + result.already == len(contents)
    assert result.already >= 5
    assert not list(store.root.rglob(f"{folders.BESIDE}*"))
    check(store, invoices, ring, contents)


def test_cleaning_leaves_a_living_writer_alone(tmp_path: Path) -> None:
    """A copy that somebody is working on is flocked and stays."""
    with folders.beside(tmp_path) as (stream, path):
        assert folders.clean(tmp_path) == 0
        stream.write(b"still here")
        assert path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_object_fails_alone_and_is_left_as_it_is(
    store: FileStore, invoices: DatasetRef, ring: KeyRing
) -> None:
    """The others are moved; the damaged one is named and keeps its bytes."""
    contents = fill(store, invoices, ring, 4)
    place = store.root / "invoices" / "003.bin"
    damaged = bytearray(place.read_bytes())
    damaged[-1] ^= 1
    place.write_bytes(damaged)
    result = store.reencrypt(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.rewritten, result.failed) == (3, 1)
    assert "003.bin" in result.errors[0]
    assert "frame 1" in result.errors[0]
    assert place.read_bytes() == damaged
    check(store, invoices, ring, {name: contents[name] for name in contents if name != "003.bin"})


def test_a_new_key_that_cannot_wrap_changes_nothing(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """Refusals are counted; when the backend is down altogether the sweep raises so that it is retried."""
    contents = fill(store, invoices, ring, 3)
    ring.disabled.add(NEW)
    result = store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.failed, result.rewritten) == (3, 0)
    ring.down.add(NEW)
    with pytest.raises(Unreachable):
        store.rewrap(everything(invoices), old=OLD, new=NEW, keys=lambda _key: ring)
    check(store, invoices, ring, contents)


def test_an_object_that_was_renamed_or_swapped_is_refused(
    store: FileStore, invoices: DatasetRef, ring: KeyRing
) -> None:
    """The encryption context binds the object to its name."""
    fill(store, invoices, ring, 2)
    (store.root / "invoices" / "000.bin").rename(store.root / "invoices" / "001.bin")
    with pytest.raises(IntegrityFailure):
        store.read(invoices, "001.bin", candidates=[OLD], keys=lambda _key: ring)


def test_reading_says_why_it_failed(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """A missing object is NotFound, a disabled key Refused, a name outside the folder InvalidInput."""
    fill(store, invoices, ring, 1)
    with pytest.raises(NotFound):
        store.read(invoices, "none.bin", candidates=[OLD], keys=lambda _key: ring)
    with pytest.raises(InvalidInput):
        store.read(invoices, "../000.bin", candidates=[OLD], keys=lambda _key: ring)
    ring.disabled.add(OLD)
    with pytest.raises(Refused):
        store.read(invoices, "000.bin", candidates=[OLD, NEW], keys=lambda _key: ring)


def test_bad_options_name_connection_and_field() -> None:
    """A person must find the line in the settings."""
    for options in ({}, {"root": "/nowhere/at/all"}, {"root": "/tmp", "extra": 1}):
        with pytest.raises(InvalidInput, match=r"connection docs: (root|extra)"):
            FileStore.open("docs", options, clock=lambda: None)  # type: ignore[arg-type,return-value]


def test_one_key_cannot_be_old_and_new(store: FileStore, invoices: DatasetRef, ring: KeyRing) -> None:
    """Unwrapping cannot tell two versions of one key apart, so the question is refused."""
    with pytest.raises(InvalidInput):
        store.census(invoices, old=OLD, new=OLD, keys=lambda _key: ring)
