"""The record's tables through the versions: nothing is lost, one migrates at a time, a later version is not touched."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

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
SqlRecords.open(sys.argv[1], clock=lambda: datetime.now(UTC)).close()
"""


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


def test_a_migration_that_fails_leaves_the_database_as_it_was(url: str) -> None:
    """A table in the way stops it: no half of it stays, and the next opening says the same."""
    make_first(url)
    engine = create(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TABLE summaries (other INTEGER)")
    for _ in range(2):
        with pytest.raises(RecordError):
            SqlRecords.open(url, clock=now)
    assert revision(url) == "0001"
    assert not any(each["name"] == "events_by_kind" for each in inspect(engine).get_indexes("events"))
    engine.dispose()


def test_processes_that_open_at_once_migrate_once(url: str) -> None:
    """Four at the same moment, on a database of the first version: all of them succeed."""
    make_first(url)
    started = [
        subprocess.Popen([sys.executable, "-c", OPENS, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    assert [(each.communicate(timeout=60)[1], each.returncode) for each in started] == [("", 0)] * 4
    assert revision(url) == schema.HEAD
