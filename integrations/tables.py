"""Tables as files: CSV that no spreadsheet takes for a program, JSON, and Parquet; whole or not at all."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import orjson

from playbooks.errors import InvalidInput
from playbooks.tables import Cell, Row, Table
from playbooks.timings import rfc3339

Format = Literal["csv", "parquet", "json"]

_BATCH = 5000
_DANGEROUS = tuple("=+-@\t\r\n＝＋－＠")  # the full-width ones are read as formulas too where East Asian input is set


def write_table(table: Table, file: Path, form: Format) -> int:
    """Write the table in place of whatever the file held; returns the number of rows.

    The file is readable by its owner alone and appears only when it is whole.  Raises InvalidInput when it cannot be
    written, or when Parquet is asked for without the package ``pyarrow``.
    """
    write = _WRITERS[form]
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written ({error.strerror}).") from error
    try:
        with os.fdopen(descriptor, "wb") as stream:
            count = write(table, stream)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(file)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written ({error.strerror}).") from error
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
    return count


def safe_cell(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would run it as a formula (OWASP, CSV injection)."""
    return f"'{text}" if text.startswith(_DANGEROUS) else text


def _csv(table: Table, stream: IO[bytes]) -> int:
    count = 0
    lines = csv.writer(_Text(stream), lineterminator="\r\n")
    lines.writerow([each.name for each in table.columns])
    for row in table.rows:
        lines.writerow([_plain(each) for each in row])
        count += 1
    return count


class _Text:
    """What ``csv`` writes to: text into UTF-8."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(text.encode())


def _plain(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case str():
            return safe_cell(cell)
        case datetime():
            return rfc3339(cell)
        case _:
            return str(cell)


def _json(table: Table, stream: IO[bytes]) -> int:
    names = [each.name for each in table.columns]
    count = 0
    stream.write(b"[")
    for row in table.rows:
        stream.write(b",\n" if count else b"\n")
        stream.write(orjson.dumps(dict(zip(names, map(_value, row), strict=True))))
        count += 1
    stream.write(b"\n]\n")
    return count


def _value(cell: Cell) -> Cell:
    return rfc3339(cell) if isinstance(cell, datetime) else cell


def _parquet(table: Table, stream: IO[bytes]) -> int:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise InvalidInput(
            "Parquet needs the package 'pyarrow', which is not installed.",
            hint="Run: pip install 'keyquell[parquet]', or take --format csv.",
        ) from error
    kinds = {
        "text": pa.string(),
        "flag": pa.bool_(),
        "whole": pa.int64(),
        "number": pa.float64(),
        "moment": pa.timestamp("us", tz="UTC"),
    }
    schema = pa.schema([(each.name, kinds[each.kind]) for each in table.columns])
    count = 0
    with parquet.ParquetWriter(stream, schema) as writer:
        for batch in _batches(iter(table.rows)):
            columns: list[Any] = [list(each) for each in zip(*batch, strict=True)]
            arrays = [pa.array(each, type=field.type) for each, field in zip(columns, schema, strict=True)]
            writer.write_table(pa.table(arrays, schema=schema))
            count += len(batch)
    return count


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, _BATCH)):
        yield batch


_WRITERS: dict[Format, Callable[[Table, IO[bytes]], int]] = {"csv": _csv, "parquet": _parquet, "json": _json}
