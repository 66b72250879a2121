"""SQL for one encrypted column: what it is keyed by, pages of it, and compare-and-swap of a batch in one statement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from integrations.vendors.postgres_arrays import BinaryArray, understand_arrays
from playbooks.errors import InvalidInput, NotFound, Unavailable
from playbooks.ports import Shard
from playbooks.refs import DatasetRef

BATCH = 1000
_KEY_TYPES = {"bigint": "int8", "integer": "int4", "smallint": "int2", "text": "text", "uuid": "uuid"}
_DEADLOCK_TRIES = 4
_ALONG_THE_KEY = "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off; SET jit = off"

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, bytes, str]
"""Primary key, sealed value, label (the companion column, "" when there is none)."""


@dataclass(frozen=True, slots=True)
class Column:
    """A ``bytea`` column of a table with a one-column primary key; ``label`` is the companion ``COLUMN_key`` or ""."""

    dataset: DatasetRef
    schema: str
    table: str
    name: str
    key: str
    key_type: str
    label: str

    @classmethod
    def find(cls, connection: Connection, dataset: DatasetRef) -> Column:
        """Look the column up.

        Raises InvalidInput for a path that is not SCHEMA.TABLE.COLUMN, NotFound when there is no such bytea column,
        Unavailable when the primary key is not one column of type bigint, integer, smallint, text or uuid.
        """
        parts = dataset.path.split(".")
        if len(parts) != 3:
            raise InvalidInput(f"{dataset} must end in SCHEMA.TABLE.COLUMN")
        schema, table, name = parts
        found = connection.execute(_DESCRIBE, {"schema": schema, "table": table}).fetchall()
        types = {column: kind for column, kind, _ in found}
        if types.get(name) != "bytea":
            raise NotFound(f"{dataset} is not a bytea column", subject=str(dataset), hint="Check the reference.")
        keyed = [(column, kind) for column, kind, primary in found if primary]
        if len(keyed) != 1 or keyed[0][1] not in _KEY_TYPES:
            raise Unavailable(
                f"{dataset} cannot be swept: its table has no usable primary key",
                subject=str(dataset),
                hint=f"It needs a primary key of one column, of type {', '.join(_KEY_TYPES)}.",
            )
        companion = f"{name}_key" if types.get(f"{name}_key") == "text" else ""
        return cls(dataset, schema, table, name, keyed[0][0], _KEY_TYPES[keyed[0][1]], companion)

    @classmethod
    def find_for_sweep(cls, connection: Connection, dataset: DatasetRef) -> Column:
        """Look the column up and settle the session on plans along the primary key; raises as ``find`` does.

        With stale statistics the planner sorts half of a table for every page, which makes a sweep quadratic.
        """
        understand_arrays(connection)
        connection.execute(_ALONG_THE_KEY)
        return cls.find(connection, dataset)

    def pages(self, connection: Connection, shard: Shard) -> Iterator[list[Row]]:
        """The rows of a shard in key order, at most 1,000 a page; NULL values are not objects."""
        after, until, first = shard.after or None, shard.until or None, True
        while True:
            conditions = [sql.SQL("{c} IS NOT NULL")]
            if after is not None:
                conditions.append(sql.SQL("{k} >= %(after)s::{t}" if first else "{k} > %(after)s::{t}"))
            if until is not None:
                conditions.append(sql.SQL("{k} < %(until)s::{t}"))
            query = self._sql(
                sql.SQL("SELECT {k}, {c}, {label} FROM {table} WHERE {where} ORDER BY {k} LIMIT {limit}"),
                where=sql.SQL(" AND ").join(self._sql(condition) for condition in conditions),
                label=self._sql(sql.SQL("coalesce({l}, '')")) if self.label else sql.SQL("''"),
                limit=sql.Literal(BATCH),
            )
            with connection.cursor(binary=True) as cursor:
                rows = cursor.execute(query, {"after": after, "until": until}, prepare=True).fetchall()
            if rows:
                yield rows
            if len(rows) < BATCH:
                return
            after, first = str(rows[-1][0]), False

    def bounds(self, connection: Connection, count: int) -> list[str]:
        """Key values that cut the column into ``count`` parts of about the same number of rows."""
        if count < 2:
            return []
        query = self._sql(
            sql.SQL(
                "SELECT DISTINCT v.cut, v.cut::text AS shown FROM unnest((SELECT percentile_disc(%s::float8[]) "
                "WITHIN GROUP (ORDER BY {k}) FROM {table} WHERE {c} IS NOT NULL)) AS v(cut) ORDER BY v.cut"
            )
        )
        rows = connection.execute(query, [[index / count for index in range(1, count)]]).fetchall()
        return [text for _, text in rows]

    def swap(
        self,
        connection: Connection,
        changes: Sequence[tuple[Any, bytes, bytes]],
        *,
        first: Any,
        last: Any,
        label: str,
    ) -> int:
        """Replace (key, old value, new value) where the old value still stands; returns how many rows changed.

        ``first`` and ``last`` are the keys of the page: without them the planner may scan the whole table for a batch.
        A deadlock (40P01) with other writers is tried again a few times: the statement is convergent.
        """
        query = self._sql(
            sql.SQL(
                "UPDATE {table} AS t SET {c} = v.n{label} "
                "FROM unnest(%b::{t}[], %b::bytea[], %b::bytea[]) AS v(i, o, n) WHERE t.{k} = v.i AND t.{c} = v.o "
                "AND t.{k} BETWEEN %s::{t} AND %s::{t}"
            ),
            label=self._sql(sql.SQL(", {l} = {value}"), value=sql.Literal(label)) if self.label else sql.SQL(""),
        )
        ids, old, new = zip(*changes, strict=True)
        arrays = (BinaryArray.of(self.key_type, ids), BinaryArray.of("bytea", old), BinaryArray.of("bytea", new))
        for turn in range(_DEADLOCK_TRIES):
            try:
                return connection.execute(query, [*arrays, first, last], prepare=True).rowcount
            except psycopg.errors.DeadlockDetected:
                if turn == _DEADLOCK_TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def read(self, connection: Connection, row_id: str) -> tuple[bytes, str] | None:
        """Value and label of one row, or None."""
        query = self._sql(
            sql.SQL("SELECT {c}, {label} FROM {table} WHERE {k} = %s::{t}"),
            label=self._sql(sql.SQL("coalesce({l}, '')")) if self.label else sql.SQL("''"),
        )
        row = connection.execute(query, [row_id], binary=True).fetchone()
        return None if row is None or row[0] is None else (bytes(row[0]), str(row[1]))

    def write(self, connection: Connection, row_id: str, value: bytes, *, label: str) -> None:
        """Insert the row, or replace its value."""
        names = [self.key, self.name] + ([self.label] if self.label else [])
        query = self._sql(
            sql.SQL(
                "INSERT INTO {table} ({names}) VALUES (%s::{t}, %b{more}) ON CONFLICT ({k}) DO UPDATE SET {updates}"
            ),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            more=sql.SQL(", {}").format(sql.Literal(label)) if self.label else sql.SQL(""),
            updates=sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names[1:]
            ),
        )
        connection.execute(query, [row_id, value])

    def _sql(self, template: sql.SQL, **more: sql.Composable) -> sql.Composed:
        return template.format(
            table=sql.Identifier(self.schema, self.table),
            c=sql.Identifier(self.name),
            k=sql.Identifier(self.key),
            l=sql.Identifier(self.label or self.name),
            t=sql.SQL(self.key_type),
            **more,
        )


_DESCRIBE = """
SELECT a.attname, format_type(a.atttypid, NULL), coalesce(a.attnum = ANY (i.indkey), false)
FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
WHERE a.attrelid = to_regclass(quote_ident(%(schema)s) || '.' || quote_ident(%(table)s))
  AND a.attnum > 0 AND NOT a.attisdropped
"""
