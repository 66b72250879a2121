"""Connections to the record's database: how each kind is opened, made durable, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from integrations.secrets import read_secret
from playbooks.errors import InvalidInput, RecordError

_CONNECT_SECONDS = 2
_BUSY_SECONDS = 5
_KEPT_OPEN = 32
"""Connections to a SQLite file that are kept: a burst of incidents must not open one for each event."""

# The driver's own words (SQLite 3.x, libpq) → what is true and what to do.  The first match counts.
_MEANINGS = (
    (("disk is full", "diskfull", "no space left"), "the disk is full", "Free some space; nothing was written."),
    (("readonly database", "read-only"), "the database is read-only", "Check the file's owner and the mount."),
    (
        ("malformed", "not a database", "file is encrypted", "invalid page"),
        "the database is damaged",
        "Keep the file as evidence and restore the record from an export.",
    ),
    (("unable to open", "does not exist"), "the database cannot be opened", "Check the path and its permissions."),
    (("database is locked", "database table is locked"), "the database is busy", "Try again in a moment."),
    (
        ("lock timeout",),
        "another session was in the way for too long",
        "End its transaction (a backup, an open psql) or wait for it, and try again.",
    ),
    (("password authentication", "permission denied"), "the login was refused", "Check the record's URL."),
    (("connection", "timeout", "terminat", "closed"), "the database does not answer", "Start it and try again."),
)


def create(url: str) -> Engine:
    """An engine for a ``sqlite:///PATH`` or ``postgresql://`` URL, or a secret reference to one.

    Every statement is a transaction of its own.  Raises InvalidInput for anything else.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    return _postgresql(parsed)


def record_error(engine: Engine, error: SQLAlchemyError) -> RecordError:
    """A database error in words for a responder; the URL's password and the SQL are not repeated."""
    place = engine.url.database or engine.url.host or "the database"
    cause = getattr(error, "orig", None) or error
    said = f"{type(cause).__name__} {cause}".lower()
    for signs, fact, hint in _MEANINGS:
        if any(sign in said for sign in signs):
            return RecordError(f"the record at {place} cannot be used: {fact}.", hint=hint)
    return RecordError(
        f"the record at {place} cannot be used ({type(cause).__name__}).", hint="See the database's log."
    )


def _parsed(url: str) -> URL:
    text = read_secret(url) if url.startswith(("env:", "file:")) else url
    try:
        parsed = make_url(text)
    except ArgumentError as error:
        raise InvalidInput("records: the database URL cannot be read", hint="Write sqlite:///PATH.") from error
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise InvalidInput("records: a database in memory is not durable", hint="Write sqlite:///PATH.")
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername.partition("+")[0] in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    raise InvalidInput(
        f"records: {parsed.drivername} is not supported", hint="Use sqlite:///PATH or postgresql://USER@HOST/DATABASE."
    )


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url, isolation_level="AUTOCOMMIT", pool_size=_KEPT_OPEN, connect_args={"timeout": _BUSY_SECONDS}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
        _use_wal(connection)
        connection.execute("PRAGMA synchronous=FULL")

    _forget_after_fork(engine)
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL once; SQLite answers "locked" at once, without waiting, when two openers switch together."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "readonly" in str(error):
                return
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _postgresql(url: URL) -> Engine:
    settings = "-c synchronous_commit=on -c statement_timeout=5000 -c lock_timeout=5000"
    engine = create_engine(
        url,
        isolation_level="AUTOCOMMIT",
        pool_pre_ping=True,
        connect_args={"connect_timeout": _CONNECT_SECONDS, "tcp_user_timeout": 5000, "options": settings},
    )
    _forget_after_fork(engine)
    return engine


def _forget_after_fork(engine: Engine) -> None:
    """A forked child opens its own connections: sharing one across processes corrupts it."""
    held = weakref.ref(engine)

    def forget() -> None:
        found = held()
        if found is not None:
            found.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
