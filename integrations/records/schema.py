"""The tables of the record's database, and how a database of any earlier version is brought up to them.

Migrations are Alembic's, in ``migrations/``; they run when the record is opened, one opener at a time.  A database that
was made before there were migrations has the table ``events`` and nothing else: it counts as revision 0001.

SQLite takes all revisions in one transaction.  On PostgreSQL each is a transaction of its own, in which its number is
written too; what it does outside of that, so that others may write meanwhile, must bear being broken off and repeated.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import Column, Connection, Engine, Index, Integer, MetaData, String, Table, Text, func, inspect, select
from sqlalchemy.exc import PendingRollbackError

from playbooks.errors import RecordError

HEAD = "0002"
"""The revision that this code reads and writes: the last one in ``migrations/``."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_SCHEMA_LOCK = 0x6B657971  # "keyq": the advisory lock under which PostgreSQL's schema is made
_PATIENT_MS = 600_000
_ASK_AGAIN_SECONDS = 0.1
_METADATA = MetaData()

EVENTS = Table(
    "events",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("body", Text, nullable=False),
    Column("prev", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("events_by_kind", "kind", "at", "incident", "seq"),
)
"""The record: rows are only ever added."""

SUMMARIES = Table(
    "summaries",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("form", String(64), nullable=False),
    Column("body", Text, nullable=False),
)
"""Derived from the record and never the truth: true of an incident while number, hash and form are its own."""

_REVISION = Table("alembic_version", MetaData(), Column("version_num", String(32), nullable=False))


def bring_up_to_date(engine: Engine) -> None:
    """Make the tables, or migrate those of an earlier version; nothing is done when the revision is the right one.

    Raises RecordError for a database of a later version.
    """
    with engine.connect() as connection:
        if revision(connection) == HEAD:
            return
    with _alone(engine) as connection:
        found = revision(connection)
        if found != HEAD:
            _migrate(connection, found)


def revision(connection: Connection) -> str:
    """The revision of the database: "0001" for one from before migrations, "" for an empty one."""
    tables = inspect(connection)
    if tables.has_table(_REVISION.name):
        return str(connection.execute(select(_REVISION.c.version_num)).scalar() or "")
    return "0001" if tables.has_table(EVENTS.name) else ""


def _alone(engine: Engine) -> AbstractContextManager[Connection]:
    """A connection that no other opener has at the same time."""
    return _alone_in_file(engine) if engine.dialect.name == "sqlite" else _alone_on_server(engine)


@contextmanager
def _alone_in_file(engine: Engine) -> Iterator[Connection]:
    """In one transaction: all of it counts, or nothing."""
    with engine.connect() as connection:
        before = connection.exec_driver_sql("PRAGMA busy_timeout").scalar()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={_PATIENT_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.exec_driver_sql("ROLLBACK")
            raise
        else:
            connection.exec_driver_sql("COMMIT")
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={before}")


@contextmanager
def _alone_on_server(engine: Engine) -> Iterator[Connection]:
    """With PostgreSQL's advisory lock, which ends with the session: that of a killed opener ends with its statement."""
    with engine.execution_options(isolation_level="READ COMMITTED").connect() as connection:
        try:
            connection.exec_driver_sql(f"SET lock_timeout={_PATIENT_MS}")
            connection.exec_driver_sql("SET statement_timeout=0")
            connection.commit()
            _wait_for_turn(connection)
            yield connection
        finally:
            connection.invalidate()  # It is closed, not given back: the lock and the settings go with it.


def _wait_for_turn(connection: Connection) -> None:
    # Asked again and again: a statement that waits for the lock has a snapshot, and its holder, when it builds an index
    # CONCURRENTLY, waits for the end of every snapshot.
    deadline = time.monotonic() + _PATIENT_MS / 1000
    while True:
        ours = connection.execute(select(func.pg_try_advisory_lock(_SCHEMA_LOCK))).scalar()
        connection.commit()
        if ours:
            return
        if time.monotonic() > deadline:
            raise RecordError(
                "another process has been bringing the record's tables up to date for too long.",
                hint="See what it waits for (pg_stat_activity); try again when it has ended.",
            )
        time.sleep(_ASK_AGAIN_SECONDS)


def _migrate(connection: Connection, found: str) -> None:
    # Imported here: an up-to-date database, the usual one, needs no Alembic.
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(_MIGRATIONS), version_locations=[str(_MIGRATIONS)])
    known = {each.revision for each in script.walk_revisions()}
    if found and found not in known:
        raise RecordError(
            f"the record was written by a later version of keyquell (schema {found}; this one knows {HEAD}).",
            hint="Install that version or a later one; nothing was changed.",
        )
    if found and not inspect(connection).has_table(_REVISION.name):
        _REVISION.create(connection)
        connection.execute(_REVISION.insert().values(version_num=found))
    if connection.dialect.name != "sqlite":
        connection.commit()  # Alembic begins one for each revision, and can leave only what it began.
    with EnvironmentContext(Config(), script, fn=lambda now, _context: script._upgrade_revs(HEAD, now)) as environment:
        environment.configure(connection=connection, transaction_per_migration=True)
        try:
            environment.run_migrations()
        except PendingRollbackError as error:
            # Alembic leaves an autocommit block with a commit, also when the connection is lost: the reason is behind.
            raise (error.__context__ or error) from None
