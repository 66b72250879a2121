"""Lines derived from closed incidents, kept beside the record so that a restart does not read every event again.

They are never the truth: a line is loaded only when the record has an event of its number and hash and it has the
``form`` that the reader expects; the reader asks besides whether more came after it.  Anybody may empty the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from integrations.records.engines import record_error
from integrations.records.schema import EVENTS, SUMMARIES
from integrations.records.sql import SqlRecords

_KEPT = (
    select(SUMMARIES.c.incident, SUMMARIES.c.seq, SUMMARIES.c.body)
    .join(
        EVENTS,
        (EVENTS.c.incident == SUMMARIES.c.incident)
        & (EVENTS.c.seq == SUMMARIES.c.seq)
        & (EVENTS.c.hash == SUMMARIES.c.hash),
    )
    .where(SUMMARIES.c.form == bindparam("form"))
)
_DROP = delete(SUMMARIES).where(SUMMARIES.c.incident == bindparam("one"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The ``body`` (JSON) derived from an incident's events up to ``seq``, whose hash is ``hash``."""

    incident: str
    seq: int
    hash: str
    body: str


class SummaryTable:
    """The table ``summaries`` of a record's database."""

    def __init__(self, records: SqlRecords, *, form: str) -> None:
        """``form`` (64 characters at most) names how the lines are made: lines of any other form are not seen."""
        self._engine: Engine = records.engine
        self._form = form

    def load(self) -> Mapping[str, tuple[int, str]]:
        """The number of the last event and the line of each incident that has one.  Raises RecordError."""
        try:
            with self._engine.connect() as connection:
                rows = connection.execute(_KEPT, {"form": self._form}).all()
        except SQLAlchemyError as error:
            raise record_error(self._engine, error) from error
        return {str(row.incident): (int(row.seq), str(row.body)) for row in rows}

    def keep(self, lines: Iterable[Line]) -> None:
        """Keep these lines in place of older ones of their incidents, all or none.  Raises RecordError.

        When another process keeps the same ones at the same moment, its lines stay.
        """
        rows = [
            {
                "incident": each.incident,
                "seq": each.seq,
                "hash": each.hash,
                "form": self._form,
                "body": each.body,
            }
            for each in lines
        ]
        if not rows:
            return
        try:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE" if self._engine.dialect.name == "sqlite" else "BEGIN")
                try:
                    connection.execute(_DROP, [{"one": each["incident"]} for each in rows])
                    connection.execute(insert(SUMMARIES), rows)
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
        except IntegrityError:
            return
        except SQLAlchemyError as error:
            raise record_error(self._engine, error) from error
