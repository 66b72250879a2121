"""The record in a SQL database: SQLite (a file) or PostgreSQL; rows are only ever added.

Compare-and-append needs no lock: a writer reads the head, and inserts the next number; the primary key
(incident, seq) lets one of two racing writers through.  The insert is one short transaction of its own, durable when it
returns: SQLite in WAL mode with ``synchronous=FULL``, PostgreSQL with ``synchronous_commit=on``.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar

import orjson
from pydantic import JsonValue, ValidationError
from sqlalchemy import Connection, Engine, Row, bindparam, func, insert, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from integrations.records.engines import create, record_error
from integrations.records.schema import EVENTS, bring_up_to_date
from playbooks.errors import Conflict, RecordDamaged, RecordError
from playbooks.event_bodies import check_body
from playbooks.ports import Clock
from playbooks.record import GENESIS, INSTALLATION, Event, EventKind

_OF_ONE = select(EVENTS).where(EVENTS.c.incident == bindparam("one"))
_AFTER = _OF_ONE.where(EVENTS.c.seq > bindparam("after")).order_by(EVENTS.c.seq)
_LAST = (
    select(EVENTS.c.seq, EVENTS.c.at, EVENTS.c.hash)
    .where(EVENTS.c.incident == bindparam("one"))
    .order_by(EVENTS.c.seq.desc())
    .limit(1)
)
_FOUND = select(func.min(EVENTS.c.incident).label("incident")).cte("found", recursive=True)
_NEXT = select(func.min(EVENTS.c.incident)).where(EVENTS.c.incident > _FOUND.c.incident).scalar_subquery()
_ALL = _FOUND.union_all(select(_NEXT).where(_FOUND.c.incident.is_not(None)))
# One step in the primary key for each incident: neither database skips through an index for DISTINCT or GROUP BY.

_INCIDENTS = (
    select(EVENTS.c.incident)
    .join(_ALL, EVENTS.c.incident == _ALL.c.incident)
    .where(EVENTS.c.seq == 0, EVENTS.c.incident != INSTALLATION)
    .order_by(EVENTS.c.at, EVENTS.c.incident)
)
_LATEST = select(func.max(EVENTS.c.seq)).where(EVENTS.c.incident == _ALL.c.incident).scalar_subquery()
_HEADS = select(_ALL.c.incident, _LATEST.label("seq")).where(
    _ALL.c.incident.is_not(None), _ALL.c.incident != INSTALLATION
)
_HAVING = (
    select(EVENTS.c.incident, func.max(EVENTS.c.at).label("at"))
    .where(EVENTS.c.kind == bindparam("kind"))
    .group_by(EVENTS.c.incident)
)
_INSERT = insert(EVENTS)
_NEWEST_ROW = text("SELECT max(rowid) FROM events")
# Made once: SQLAlchemy finds the compiled text of a statement that it knows much faster than that of a new one.

_INCIDENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_T = TypeVar("_T")


class SqlRecords:
    """Keeps records at a database URL; safe for several threads and processes at once.

    ``clock`` stamps the events.  A stamp is always later than the one before it, also when the clock was set back.
    ``engine`` is for what is kept in the same database beside the record.
    """

    def __init__(self, engine: Engine, *, clock: Clock) -> None:
        self.engine = engine
        self._clock = clock
        self._heads: tuple[int | None, dict[str, int]] = (None, {})
        self._one_writer: AbstractContextManager[Any] = nullcontext()
        if engine.dialect.name == "sqlite":
            self._take_turns()

    @classmethod
    def open(cls, url: str, *, clock: Clock) -> Self:
        """Connect to ``sqlite:///PATH`` or ``postgresql://…`` and bring its tables up to date.

        ``url`` may be a secret reference (``env:NAME``, ``file:PATH``) to the URL.  Raises InvalidInput for another
        kind of URL and RecordError when the database cannot be used.
        """
        engine = create(url)
        records = cls(engine, clock=clock)
        try:
            _guarded(engine, lambda: bring_up_to_date(engine))
        except RecordError:
            engine.dispose()
            raise
        return records

    def append(
        self, incident: str, *, kind: EventKind, body: Mapping[str, JsonValue], expected_head: str | None
    ) -> Event:
        """Add the next event; durable when this returns.  ``None`` expects no head: it goes upon the one of now.

        Raises Conflict when ``expected_head`` is not the head any more, RecordError when the body is not what ``kind``
        needs or the database refuses.
        """
        checked = _json(kind, body)
        if not _INCIDENT_ID.fullmatch(incident):
            raise RecordError(f"{incident[:64]!r} is not an incident id.")
        return _guarded(self.engine, lambda: self._append(incident, kind, checked, expected_head))

    def append_next(
        self, incident: str, *, kind: EventKind, body: Mapping[str, JsonValue], attempts: int = 50
    ) -> Event:
        """Add an event that is true whatever else was written meanwhile (a message, a note, a shard's result).

        Raises Conflict when other writers came first ``attempts`` times.
        """
        for _ in range(attempts - 1):
            try:
                return self.append(incident, kind=kind, body=body, expected_head=None)
            except Conflict:
                continue
        return self.append(incident, kind=kind, body=body, expected_head=None)

    def head(self, incident: str) -> str:
        """The hash that the next append must expect: GENESIS for an incident without events."""
        row = _guarded(self.engine, lambda: self._last(incident))
        return str(row.hash) if row else GENESIS

    def events(self, incident: str) -> list[Event]:
        """All events in order; empty for an unknown incident."""
        return self.events_after(incident, -1)

    def events_after(self, incident: str, seq: int) -> list[Event]:
        """The events with a greater number than ``seq``, in order."""
        return [_event(row) for row in self._rows(_AFTER, one=incident, after=seq)]

    def of_kind(self, kind: EventKind, *, incident: str = "", since: datetime | None = None) -> list[Event]:
        """The events of one kind in every chain, or in one, the oldest first; ``since`` leaves out older ones."""
        query = select(EVENTS).where(EVENTS.c.kind == str(kind))
        if incident:
            query = query.where(EVENTS.c.incident == incident)
        if since is not None:
            query = query.where(EVENTS.c.at >= since.astimezone(UTC).isoformat(timespec="microseconds"))
        return [_event(row) for row in self._rows(query.order_by(EVENTS.c.at, EVENTS.c.incident, EVENTS.c.seq))]

    def having(self, kind: EventKind) -> dict[str, datetime]:
        """When each incident that has an event of this kind had its latest one; bodies are not read."""
        return {str(row.incident): _time(row.at) for row in self._rows(_HAVING, kind=str(kind))}

    def follow(
        self, incident: str, *, after_seq: int = -1, every_seconds: float = 0.1, for_seconds: float | None = None
    ) -> Iterator[Event]:
        """Yield events as they are written until the incident is closed, or until ``for_seconds`` have passed."""
        deadline = None if for_seconds is None else time.monotonic() + for_seconds
        while True:
            for each in self.events_after(incident, after_seq):
                yield each
                after_seq = each.seq
                if each.kind is EventKind.CLOSED:
                    return
            if deadline is not None and time.monotonic() >= deadline:
                return
            time.sleep(every_seconds)

    def incidents(self) -> list[str]:
        """The ids of all incidents, the oldest first."""
        return [str(row.incident) for row in self._rows(_INCIDENTS)]

    def heads(self) -> dict[str, int]:
        """The number of the last event of every incident: what has changed is seen with one query."""
        newest = self._rows(_NEWEST_ROW)[0][0] if self.engine.dialect.name == "sqlite" else None
        kept, heads = self._heads
        if newest is None or newest != kept:
            heads = {str(row.incident): int(row.seq) for row in self._rows(_HEADS)}
            self._heads = (newest, heads)
        return dict(heads)

    def check_writable(self) -> None:
        """Write a row and take it back, unseen by anybody.  Raises RecordError when an event could not be written."""
        row = dict.fromkeys(("at", "kind", "body", "prev", "hash"), "")
        row |= {"incident": f"write-check-{uuid.uuid4().hex}"}

        def attempt() -> None:
            with self._one_writer, self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if self.engine.dialect.name == "sqlite" else "BEGIN")
                try:
                    connection.execute(_INSERT, {**row, "seq": 0})
                finally:
                    connection.exec_driver_sql("ROLLBACK")

        _guarded(self.engine, attempt)

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _take_turns(self) -> None:
        """SQLite lets one write at a time and makes the others sleep: waiting here is fairer and shorter."""
        self._one_writer = threading.Lock()
        held = weakref.ref(self)

        def forget() -> None:
            found = held()
            if found is not None:
                found._one_writer = threading.Lock()

        os.register_at_fork(after_in_child=forget)

    def _append(self, incident: str, kind: EventKind, body: dict[str, JsonValue], expected_head: str | None) -> Event:
        with self._one_writer, self.engine.connect() as connection:
            return self._append_on(connection, incident, kind, body, expected_head)

    def _append_on(
        self,
        connection: Connection,
        incident: str,
        kind: EventKind,
        body: dict[str, JsonValue],
        expected_head: str | None,
    ) -> Event:
        last = connection.execute(_LAST, {"one": incident}).first()
        head = str(last.hash) if last else GENESIS
        if head != (head if expected_head is None else expected_head):
            raise _conflict(incident)
        made = Event.link(
            incident=incident,
            seq=last.seq + 1 if last else 0,
            at=self._next_time(last),
            kind=kind,
            body=body,
            prev=head,
        )
        row = {
            "incident": incident,
            "seq": made.seq,
            "at": made.at.isoformat(timespec="microseconds"),
            "kind": str(kind),
            "body": orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode(),
            "prev": made.prev,
            "hash": made.hash,
        }
        try:
            connection.execute(_INSERT, row)
        except IntegrityError as error:
            raise _conflict(incident) from error
        return made

    def _next_time(self, last: Row[Any] | None) -> datetime:
        now = self._clock().astimezone(UTC)
        return max(now, _time(last.at) + timedelta(microseconds=1)) if last else now

    def _last(self, incident: str) -> Row[Any] | None:
        with self.engine.connect() as connection:
            return connection.execute(_LAST, {"one": incident}).first()

    def _rows(self, query: Any, **values: Any) -> list[Row[Any]]:
        def read() -> list[Row[Any]]:
            with self.engine.connect() as connection:
                return list(connection.execute(query, values))

        return _guarded(self.engine, read)


def _json(kind: EventKind, body: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The body as plain JSON values, equal to what reading it back will give."""
    try:
        made = orjson.loads(orjson.dumps(dict(body), option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME))
    except (TypeError, ValueError) as error:
        raise RecordError(f"the body of a {kind} event is not JSON: {error}.") from error
    if not _same(made, body):
        raise RecordError(f"the body of a {kind} event is not JSON: it holds a number that JSON cannot write.")
    check_body(kind, made)
    return dict(made)


def _same(made: Any, given: Any) -> bool:
    """Did nothing get lost on the way through JSON?  (NaN and infinity become null.)"""
    if isinstance(made, dict):
        return all(_same(made[str(name)], value) for name, value in given.items())
    if isinstance(made, list):
        return all(map(_same, made, given))
    return (made is None) == (given is None)


def _conflict(incident: str) -> Conflict:
    return Conflict(f"the record of {incident} was extended by another writer.", hint="Read it again and decide again.")


def _time(stored: str) -> datetime:
    try:
        return datetime.fromisoformat(stored)
    except ValueError as error:
        raise RecordError(f"the record holds {stored!r} where a time belongs.") from error


def _event(row: Row[Any]) -> Event:
    try:
        return Event(
            incident=row.incident,
            seq=row.seq,
            at=_time(row.at),
            kind=EventKind(row.kind),
            body=orjson.loads(row.body),
            prev=row.prev,
            hash=row.hash,
        )
    except (ValueError, ValidationError) as error:
        raise RecordDamaged(
            f"event {row.seq} of {row.incident} cannot be read: the database was altered.",
            hint="Compare it with an export; `keyquell record verify` names the first event that is wrong.",
        ) from error


def _guarded(engine: Engine, work: Callable[[], _T]) -> _T:
    """Run database work with its errors translated."""
    try:
        return work()
    except SQLAlchemyError as error:
        raise record_error(engine, error) from error
