"""The column store on a real PostgreSQL: nothing is lost, nothing is believed, everything may be interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from integrations.data.postgres import PostgresColumns
from integrations.envelopes import tink
from playbooks.errors import IntegrityFailure, InvalidInput, NotFound, Refused, Unavailable, Unreachable
from playbooks.ports import Rewrites, Shard, ShardResult, TakesCensus
from playbooks.refs import DatasetRef
from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes
from tests.integrations.data.conftest import NEW, OLD, OTHER, KeyRing, RewrappingKeyRing

CARDS = DatasetRef.parse("postgres:shop/public.orders.card")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    directory = tmp_path_factory.mktemp("lab")
    with Processes(directory) as processes:
        yield PostgresServer.start(processes, directory / "postgres")


@pytest.fixture
def admin(server: PostgresServer) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS orders, named, pair")
        connection.execute("CREATE TABLE orders (id bigint PRIMARY KEY, card bytea, card_key text)")
        yield connection


@pytest.fixture
def columns(server: PostgresServer, admin: object) -> PostgresColumns:
    return PostgresColumns.open("shop", server.connection_options(), clock=lambda: datetime.now(UTC))


def fill(admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing, count: int) -> dict[str, bytes]:
    contents, rows = {}, []
    for index in range(count):
        data_key, plaintext = tink.new_data_key(), os.urandom(16)
        [wrapped] = ring.wrap(OLD, [data_key], contexts=[{}])
        payload = tink.encrypt(plaintext, data_key, associated_data=str(index).encode())
        rows.append((index, tink.join(wrapped.blob, payload), str(OLD)))  # type: ignore[union-attr]
        contents[str(index)] = plaintext
    with admin.cursor() as cursor:
        cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s)", rows)
    return contents


def everything(dataset: DatasetRef = CARDS) -> Shard:
    return Shard(dataset, 0, "", "")


def check(columns: PostgresColumns, ring: KeyRing, contents: dict[str, bytes]) -> None:
    for row, plaintext in list(contents.items())[:: max(1, len(contents) // 20)]:
        assert columns.read(CARDS, row, candidates=[OLD, NEW], keys=lambda _key: ring) == plaintext, row


def test_it_is_what_the_flows_expect(columns: PostgresColumns) -> None:
    """The store implements both ports."""
    assert isinstance(columns, TakesCensus)
    assert isinstance(columns, Rewrites)


@pytest.mark.parametrize("ring", [KeyRing(), RewrappingKeyRing()], ids=["unwrap and wrap", "rewrap inside"])
@pytest.mark.parametrize("move", ["rewrap", "reencrypt"])
def test_a_sweep_moves_every_value_to_the_new_key(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing, move: str
) -> None:
    """Over several batches and shards; afterwards the old key is needed by nothing, and a second sweep is idle."""
    ring.disabled.clear()
    contents = fill(admin, ring, 2345)
    admin.execute("INSERT INTO orders VALUES (-1, NULL, NULL)")
    shards = columns.shards(CARDS, count=3)
    assert len(shards) == 3
    total = [getattr(columns, move)(shard, old=OLD, new=NEW, keys=lambda _key: ring) for shard in shards]
    assert sum(result.rewritten for result in total) == 2345
    assert not any(result.failed for result in total), total[0].errors
    again = getattr(columns, move)(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (again.rewritten, again.already) == (0, 2345)
    ring.disabled.add(OLD)
    check(columns, ring, contents)
    assert columns.census(CARDS, old=OLD, new=NEW, keys=lambda _key: ring).clear
    assert admin.execute("SELECT DISTINCT card_key FROM orders WHERE id >= 0").fetchall() == [(str(NEW),)]


def test_the_census_believes_unwrapping_and_not_labels(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """A label that lies changes neither the census nor the sweep."""
    fill(admin, ring, 5)
    admin.execute("UPDATE orders SET card_key = %s", [str(NEW)])
    assert columns.census(CARDS, old=OLD, new=NEW, keys=lambda _key: ring).on_old == 5
    assert columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring).rewritten == 5


def test_the_census_tells_every_kind_of_doubt_apart(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """New, foreign, damaged, moved and unreachable values are counted as what they are."""
    fill(admin, ring, 3)
    columns.write(CARDS, "10", b"new", key=NEW, keys=lambda _key: ring)
    columns.write(CARDS, "11", b"foreign", key=OTHER, keys=lambda _key: ring)
    admin.execute("INSERT INTO orders VALUES (12, 'not an envelope', NULL)")
    admin.execute("INSERT INTO orders SELECT 13, card, card_key FROM orders WHERE id = 0")
    census = columns.census(CARDS, old=OLD, new=NEW, keys=lambda _key: ring)
    assert (census.on_old, census.on_new, census.unknown, census.failed) == (3, 1, 1, 2)
    ring.down.add(OLD)
    assert columns.census(CARDS, old=OLD, new=NEW, keys=lambda _key: ring).unreachable == 5


def test_concurrent_writers_lose_nothing(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """A service that still writes under the old key races the sweep: its last writes survive, and sweeps converge."""
    contents = fill(admin, ring, 300)
    stop = threading.Event()

    def serve() -> None:
        turn = 0
        while not stop.is_set():
            row, plaintext = str(turn * 7 % 300), f"write {turn}".encode()
            columns.write(CARDS, row, plaintext, key=OLD, keys=lambda _key: ring)
            contents[row] = plaintext
            turn += 1

    writer = threading.Thread(target=serve)
    writer.start()
    for _ in range(10):
        columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    stop.set()
    writer.join()
    result = columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.missed, result.failed) == (0, 0)
    assert columns.census(CARDS, old=OLD, new=NEW, keys=lambda _key: ring).clear
    for row, plaintext in contents.items():
        assert columns.read(CARDS, row, candidates=[NEW], keys=lambda _key: ring) == plaintext


def test_a_deadlock_with_another_writer_is_tried_again(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing, server: PostgresServer
) -> None:
    """A writer that locks rows in another order costs the sweep a second try, and keeps what it wrote."""
    contents = fill(admin, ring, 300)
    columns.write(CARDS, "1000", b"theirs", key=OLD, keys=lambda _key: ring)
    before = deadlocks(admin)
    result: list[ShardResult] = []
    sweep = threading.Thread(
        target=lambda: result.append(columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring))
    )
    with server.connect() as other, other.transaction():
        other.execute("SET LOCAL deadlock_timeout = '20s'")  # so that the sweep is the one that is ended
        other.execute("SELECT 1 FROM orders WHERE id = 1000 FOR UPDATE")
        sweep.start()
        while not admin.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall():
            time.sleep(0.005)
        other.execute("UPDATE orders SET card = NULL WHERE id = 0")
    sweep.join()
    assert deadlocks(admin) > before
    assert (result[0].rewritten, result[0].missed, result[0].failed) == (300, 1, 0)
    assert admin.execute("SELECT card FROM orders WHERE id = 0").fetchall() == [(None,)]
    contents = {**contents, "1000": b"theirs"}
    del contents["0"]
    check(columns, ring, contents)


def deadlocks(admin: psycopg.Connection[tuple[object, ...]]) -> int:
    [(count,)] = admin.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchall()
    assert isinstance(count, int)
    return count


def test_a_killed_sweep_is_finished_by_the_next_one(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """What was moved stays moved, the rest follows, and nothing is between."""
    contents = fill(admin, ring, 6000)
    child = os.fork()
    if not child:
        try:
            columns.reencrypt(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
        finally:
            os._exit(0)
    while not admin.execute("SELECT 1 FROM orders WHERE card_key = %s LIMIT 1", [str(NEW)]).fetchall():
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    result = columns.reencrypt(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    assert result.rewritten + result.already == 6000
    assert result.already >= 1000
    check(columns, ring, contents)


def test_a_damaged_value_fails_alone(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """The others are moved; the damaged one keeps its bytes and is named."""
    fill(admin, ring, 4)
    flip = (
        "UPDATE orders SET card = set_byte(card, length(card) - 1, get_byte(card, length(card) - 1) # 1) WHERE id = 2"
    )
    admin.execute(flip)
    damaged = admin.execute("SELECT card FROM orders WHERE id = 2").fetchall()
    result = columns.reencrypt(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    assert (result.rewritten, result.failed) == (3, 1)
    assert "orders.card/2" in result.errors[0]
    assert admin.execute("SELECT card FROM orders WHERE id = 2").fetchall() == damaged
    with pytest.raises(IntegrityFailure):
        columns.read(CARDS, "2", candidates=[OLD], keys=lambda _key: ring)


def test_a_backend_that_is_down_raises_and_changes_nothing(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """So that the flow's retry sees it; a refusal is only counted."""
    contents = fill(admin, ring, 3)
    ring.disabled.add(NEW)
    assert columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring).failed == 3
    ring.down.add(NEW)
    with pytest.raises(Unreachable):
        columns.rewrap(everything(), old=OLD, new=NEW, keys=lambda _key: ring)
    check(columns, ring, contents)


def test_text_keys_and_tables_without_a_label_work(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing
) -> None:
    """The primary key may be text, and the companion column is optional."""
    admin.execute("CREATE TABLE named (name text PRIMARY KEY, secret bytea)")
    dataset = DatasetRef.parse("postgres:shop/public.named.secret")
    for name in ("ä", "b", "c'", "d"):
        columns.write(dataset, name, name.encode(), key=OLD, keys=lambda _key: ring)
    shards = columns.shards(dataset, count=2)
    assert len(shards) == 2
    assert sum(columns.rewrap(each, old=OLD, new=NEW, keys=lambda _key: ring).rewritten for each in shards) == 4
    assert columns.read(dataset, "c'", candidates=[OLD, NEW], keys=lambda _key: ring) == b"c'"


def test_what_cannot_be_swept_is_said_at_once(
    columns: PostgresColumns, admin: psycopg.Connection[tuple[object, ...]], ring: KeyRing, server: PostgresServer
) -> None:
    """No such column, a key of two columns, a path that is not three parts, a login that is refused."""
    admin.execute("CREATE TABLE pair (a int, b int, secret bytea, PRIMARY KEY (a, b))")
    for path, error in (("public.none.card", NotFound), ("public.pair.secret", Unavailable), ("orders", InvalidInput)):
        with pytest.raises(error):
            columns.shards(DatasetRef.parse(f"postgres:shop/{path}"), count=2)
    with pytest.raises(NotFound):
        columns.read(CARDS, "404", candidates=[OLD], keys=lambda _key: ring)


def test_a_refused_login_is_refused_and_a_dead_server_unreachable(server: PostgresServer, tmp_path: Path) -> None:
    """The specific SQLSTATE is kept; nothing of the conninfo is repeated."""
    for text, error, code in (
        (server.dsn("nobody") + " password=canary", Refused, "28P01"),
        ("host=127.0.0.1 port=1 user=nobody password=canary", Unreachable, ""),
    ):
        (tmp_path / "dsn").write_text(text)
        store = PostgresColumns.open("shop", {"dsn": f"file:{tmp_path / 'dsn'}"}, clock=lambda: datetime.now(UTC))
        with pytest.raises(error) as caught:
            store.shards(CARDS, count=1)
        assert caught.value.code == code
        assert "canary" not in str(caught.value)


def test_a_conninfo_in_clear_is_refused() -> None:
    """The error names the field and does not repeat the value."""
    with pytest.raises(InvalidInput, match="connection shop: dsn") as caught:
        PostgresColumns.open("shop", {"dsn": "host=h password=canary"}, clock=lambda: datetime.now(UTC))
    assert "canary" not in str(caught.value)
