"""The record's tables through the versions: nothing is lost, one migrates at a time, a later version is not touched.

On PostgreSQL others append meanwhile; whoever is killed, or cut off, in the middle leaves nothing that stops the next.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

from integrations.records import schema
from integrations.records.engines import create
from integrations.records.sql import SqlRecords
from playbooks.errors import RecordError
from playbooks.record import GENESIS, EventKind, verify_chain

FIRST = (
    "CREATE TABLE IF NOT EXISTS events (incident VARCHAR(64) NOT NULL, seq INTEGER NOT NULL, at VARCHAR(32) NOT NULL, "
    "kind VARCHAR(32) NOT NULL, body TEXT NOT NULL, prev VARCHAR(64) NOT NULL, hash VARCHAR(64) NOT NULL, "
    "PRIMARY KEY (incident, seq))"
)
"""What the first versions made, before there were migrations."""
OPENS = """
import sys
from datetime import UTC, datetime
from integrations.records.sql import SqlRecords
sys.stdin.readline()
SqlRecords.open("env:RECORDS_URL", clock=lambda: datetime.now(UTC)).close()
"""
WRITER = "INSERT INTO events SELECT 'KQ-2', seq, at, kind, body, prev, hash FROM events"
READER = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM events"
HOLDER = f"SELECT pg_advisory_xact_lock({schema._SCHEMA_LOCK})"
"""What a transaction does that the index waits for at its beginning and at its end, or that every opener waits for."""
BUILDING = "SELECT count(*) FROM pg_stat_progress_create_index WHERE datname = current_database() AND phase ~ 'waiting'"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
BREAK_OFF = "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index WHERE datname = current_database()"
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('events_by_kind')"
_PATIENCE_SECONDS = 60

Opener = Callable[[], subprocess.Popen[str]]


def now() -> datetime:
    return datetime.now(UTC)


def make_first(url: str) -> list[str]:
    """A database of the first version with three events; returns their hashes."""
    opened = SqlRecords.open(url, clock=now)
    prev, hashes = GENESIS, []
    for number in range(3):
        body = {"text": f"{number}", "by": "tester"}
        prev = opened.append("KQ-1", kind=EventKind.NOTE, body=body, expected_head=prev).hash
        hashes.append(prev)
    opened.close()
    engine = create(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM events")
        for table in ("alembic_version", "summaries", "events"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
        connection.exec_driver_sql(FIRST)
        connection.exec_driver_sql("INSERT INTO events SELECT * FROM kept")
        connection.exec_driver_sql("DROP TABLE kept")
    engine.dispose()
    return hashes


def revision(url: str) -> str:
    engine = create(url)
    with engine.connect() as connection:
        found = schema.revision(connection)
    engine.dispose()
    return found


@pytest.fixture
def opener(request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Starts a process that opens the test's database; none of them outlives the test."""
    started: list[subprocess.Popen[str]] = []
    url = request.getfixturevalue("url" if "url" in request.fixturenames else "server_url")

    def start() -> subprocess.Popen[str]:
        environment = {**os.environ, "RECORDS_URL": url}
        pipe = subprocess.PIPE
        made = subprocess.Popen([sys.executable, "-c", OPENS], stdin=pipe, stderr=pipe, env=environment, text=True)
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        each.communicate()


def go(*openers: subprocess.Popen[str]) -> None:
    for each in openers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()


def ends(*openers: subprocess.Popen[str]) -> list[tuple[str, int]]:
    """What each said and how it ended."""
    return [(each.communicate(timeout=_PATIENCE_SECONDS)[1], each.returncode) for each in openers]


@contextmanager
def in_the_way(url: str, doing: str) -> Iterator[Connection]:
    """A transaction that stays open."""
    engine = create(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        for statement in doing.split("; "):
            connection.exec_driver_sql(statement)
        yield connection
        connection.exec_driver_sql("ROLLBACK")
    engine.dispose()


def ask(url: str, question: str) -> object:
    engine = create(url)
    with engine.connect() as connection:
        answer = connection.exec_driver_sql(question).scalar()
    engine.dispose()
    return answer


def wait_for(url: str, question: str, answer: object) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while ask(url, question) != answer:
        assert time.monotonic() < deadline, f"{question} is not {answer}"
        time.sleep(0.02)


def test_the_last_migration_is_the_one_that_the_code_expects() -> None:
    """A migration that is added without its number in the code is noticed."""
    assert ScriptDirectory(str(schema._MIGRATIONS), version_locations=[str(schema._MIGRATIONS)]).get_heads() == [
        schema.HEAD
    ]


def test_migrations_make_what_the_code_reads(url: str) -> None:
    """Tables, columns and indexes are those that the statements are built from."""
    SqlRecords.open(url, clock=now).close()
    engine = create(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema._METADATA) == []
    engine.dispose()


def test_a_database_from_before_migrations_keeps_every_event(url: str) -> None:
    """It is brought up to date by opening it; the chain holds and goes on."""
    hashes = make_first(url)
    assert revision(url) == "0001"
    opened = SqlRecords.open(url, clock=now)
    assert [each.hash for each in opened.events("KQ-1")] == hashes
    opened.append("KQ-1", kind=EventKind.NOTE, body={"text": "more", "by": "tester"}, expected_head=hashes[-1])
    verify_chain(opened.events("KQ-1"))
    assert opened.heads() == {"KQ-1": 3}
    opened.close()
    assert revision(url) == schema.HEAD


def test_a_later_version_is_not_touched(url: str) -> None:
    """The error says which version is needed; the database is as it was."""
    SqlRecords.open(url, clock=now).close()
    engine = create(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(RecordError, match="schema 9999") as raised:
        SqlRecords.open(url, clock=now)
    assert "later" in raised.value.hint
    assert revision(url) == "9999"
    engine.dispose()


def test_a_migration_that_fails_can_be_repeated(url: str) -> None:
    """A table in the way stops it, each time; no event is lost, and when the table is gone it goes through."""
    hashes = make_first(url)
    engine = create(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE summaries (other INTEGER)")
    for _ in range(2):
        with pytest.raises(RecordError):
            SqlRecords.open(url, clock=now)
        assert revision(url) == "0001"
    left = any(each["name"] == "events_by_kind" for each in inspect(engine).get_indexes("events"))
    assert left == (engine.dialect.name == "postgresql")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE summaries")
    engine.dispose()
    opened = SqlRecords.open(url, clock=now)
    assert [each.hash for each in opened.events("KQ-1")] == hashes
    opened.close()
    assert revision(url) == schema.HEAD


def test_processes_that_open_at_once_migrate_once(url: str, opener: Opener) -> None:
    """Four at the same moment, on a database of the first version: all of them succeed."""
    make_first(url)
    started = [opener() for _ in range(4)]
    go(*started)
    assert ends(*started) == [("", 0)] * 4
    assert revision(url) == schema.HEAD


@pytest.mark.lab
@pytest.mark.parametrize("doing", [WRITER, READER], ids=["a writer", "a reader"])
def test_others_append_while_the_index_is_made(server_url: str, opener: Opener, doing: str) -> None:
    """An open transaction holds the migration up, and nobody else."""
    hashes = make_first(server_url)
    other = SqlRecords(create(server_url), clock=now)
    with in_the_way(server_url, doing):
        go(started := opener())
        wait_for(server_url, BUILDING, 1)
        added = other.append_next("KQ-1", kind=EventKind.NOTE, body={"text": "meanwhile", "by": "tester"})
        assert started.poll() is None
    assert ends(started) == [("", 0)]
    assert [each.hash for each in other.of_kind(EventKind.NOTE)] == [*hashes, added.hash]
    other.close()
    assert (revision(server_url), ask(server_url, VALID)) == (schema.HEAD, True)


@pytest.mark.lab
def test_processes_that_wait_for_their_turn_do_not_hold_up_the_one_that_works(server_url: str, opener: Opener) -> None:
    """Four that meet while a transaction is open: nobody waits in a circle."""
    make_first(server_url)
    started = [opener() for _ in range(4)]
    with in_the_way(server_url, WRITER):
        go(*started)
        wait_for(server_url, SESSIONS, 4 + 2)  # with the one in the way, and the one that asks
        wait_for(server_url, BUILDING, 1)
    assert ends(*started) == [("", 0)] * 4
    assert (revision(server_url), ask(server_url, VALID)) == (schema.HEAD, True)


@pytest.mark.lab
@pytest.mark.parametrize("doing", [WRITER, READER], ids=["a writer", "a reader"])
def test_a_process_killed_while_it_makes_the_index_is_followed_by_the_next(
    server_url: str, opener: Opener, doing: str
) -> None:
    """The server goes on for the dead one; the next waits for that, and takes up what is there."""
    make_first(server_url)
    with in_the_way(server_url, doing):
        go(killed := opener())
        wait_for(server_url, BUILDING, 1)
        killed.kill()
        killed.wait()
        go(following := opener())
        wait_for(server_url, SESSIONS, 2 + 2)  # the dead one's is still there
        assert revision(server_url) == "0001"
    assert ends(following) == [("", 0)]
    assert (revision(server_url), ask(server_url, VALID)) == (schema.HEAD, True)


@pytest.mark.lab
@pytest.mark.parametrize("doing", [WRITER, READER], ids=["a writer", "a reader"])
@pytest.mark.parametrize("by", ["the server", "Ctrl-C"])
def test_an_index_that_was_broken_off_is_made_anew(server_url: str, opener: Opener, doing: str, by: str) -> None:
    """It is left invalid, and the opener says why: appends go on, and the next opening replaces it."""
    make_first(server_url)
    other = SqlRecords(create(server_url), clock=now)
    with in_the_way(server_url, doing):
        go(started := opener())
        wait_for(server_url, BUILDING, 1)
        if by == "the server":
            ask(server_url, BREAK_OFF)
        else:
            started.send_signal(signal.SIGINT)
        [(said, code)] = ends(started)
        why = {"the server": (1, "the database does not answer"), "Ctrl-C": (-signal.SIGINT, "KeyboardInterrupt")}[by]
        assert (code, why[1] in said.splitlines()[-1]) == (why[0], True)
        assert (revision(server_url), ask(server_url, VALID)) == ("0001", False)
        other.append_next("KQ-1", kind=EventKind.NOTE, body={"text": "meanwhile", "by": "tester"})
    opened = SqlRecords.open(server_url, clock=now)
    assert [each.seq for each in opened.of_kind(EventKind.NOTE)] == [0, 1, 2, 3]
    for each in (opened, other):
        each.close()
    assert (revision(server_url), ask(server_url, VALID)) == (schema.HEAD, True)


@pytest.mark.lab
@pytest.mark.parametrize(
    ("doing", "said"),
    [(READER, "another session was in the way"), (HOLDER, "another process has been bringing")],
    ids=["a reader", "an opener"],
)
def test_what_stands_in_the_way_for_too_long_is_named(
    server_url: str, monkeypatch: pytest.MonkeyPatch, doing: str, said: str
) -> None:
    """Patience ends with a sentence; the next opening goes through."""
    make_first(server_url)
    with in_the_way(server_url, doing):
        monkeypatch.setattr(schema, "_PATIENT_MS", 200)
        with pytest.raises(RecordError, match=said):
            SqlRecords.open(server_url, clock=now)
        monkeypatch.undo()
    SqlRecords.open(server_url, clock=now).close()
    assert (revision(server_url), ask(server_url, VALID)) == (schema.HEAD, True)


@pytest.mark.lab
def test_the_opener_keeps_neither_the_lock_nor_its_patience(server_url: str) -> None:
    """What was set for the migration is not in the connections that append."""
    opened = SqlRecords.open(server_url, clock=now)
    with opened.engine.connect() as connection:
        settings = ("statement_timeout", "lock_timeout")
        assert [connection.exec_driver_sql(f"SHOW {each}").scalar() for each in settings] == ["5s", "5s"]
    wait_for(server_url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted", 0)
    opened.close()
