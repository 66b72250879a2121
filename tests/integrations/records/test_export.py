"""An exported record shows every change made to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from integrations.records.export import export, read_export, verify_export
from integrations.records.sql import SqlRecords
from playbooks.errors import RecordError
from playbooks.record import EventKind

ID = "KQ-20260301-test"


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def records(tmp_path: Path) -> SqlRecords:
    opened = SqlRecords.open(f"sqlite:///{tmp_path / 'r.db'}", clock=now)
    for number in range(3):
        opened.append_next(ID, kind=EventKind.NOTE, body={"text": f"é {number}", "by": "t"})
    return opened


@pytest.fixture
def exported(records: SqlRecords, tmp_path: Path) -> Path:
    path = tmp_path / "record.ndjson"
    export(records, ID, path, clock=now)
    return path


def test_an_export_verifies_and_reads_back(records: SqlRecords, exported: Path) -> None:
    """Same events, same head; no other file is left beside it."""
    assert verify_export(exported) == verify_export(exported, records.head(ID)) == records.head(ID)
    assert read_export(exported) == records.events(ID)
    assert [each.name for each in exported.parent.glob("*.ndjson*")] == ["record.ndjson"]


def test_every_flipped_byte_is_detected(exported: Path) -> None:
    """Each position with each single bit flipped, and with some bytes that JSON would forgive."""
    content = exported.read_bytes()
    for position, byte in enumerate(content):
        for other in {byte ^ (1 << bit) for bit in range(8)} | {0x20, 0x30, 0x0A, 0x00, 0xFF} - {byte}:
            if other == byte:
                continue
            exported.write_bytes(content[:position] + bytes([other]) + content[position + 1 :])
            with pytest.raises(RecordError, match="line "):
                verify_export(exported)


def test_every_dropped_tail_is_detected(exported: Path) -> None:
    """Cut after any byte."""
    content = exported.read_bytes()
    for length in range(len(content)):
        exported.write_bytes(content[:length])
        with pytest.raises(RecordError, match="line "):
            verify_export(exported)


def _swap(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def _spaced(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b'":', b'": '), *lines[2:]]


def _escaped(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace("é".encode(), b"\\u00e9"), *lines[2:]]


def _other_zone(lines: list[bytes]) -> list[bytes]:
    return [lines[0], lines[1].replace(b"+00:00", b"Z"), *lines[2:]]


CHANGES: list[tuple[str, int, Callable[[list[bytes]], list[bytes]]]] = [
    ("two events swapped", 2, _swap),
    ("an event doubled", 3, lambda lines: [*lines[:2], *lines[1:]]),
    ("an event removed", 3, lambda lines: [*lines[:2], *lines[3:]]),
    ("the last event removed", 1, lambda lines: [*lines[:3], lines[-1]]),
    ("a foreign line inserted", 3, lambda lines: [*lines[:2], b"{}", *lines[2:]]),
    ("an empty line inserted", 3, lambda lines: [*lines[:2], b"", *lines[2:]]),
    ("the header removed", 1, lambda lines: lines[1:]),
    ("the header doubled", 2, lambda lines: [lines[0], *lines]),
    ("the footer removed", 4, lambda lines: lines[:-1]),
    ("the footer doubled", 5, lambda lines: [*lines, lines[-1]]),
    ("garbage after the footer", 6, lambda lines: [*lines, b"garbage"]),
    ("an empty line after the footer", 6, lambda lines: [*lines, b""]),
    ("spaces in a line", 2, _spaced),
    ("a letter written as an escape", 2, _escaped),
    ("the same time written otherwise", 2, _other_zone),
    ("a carriage return", 2, lambda lines: [lines[0], lines[1] + b"\r", *lines[2:]]),
]


@pytest.mark.parametrize(("line", "change"), [each[1:] for each in CHANGES], ids=[each[0] for each in CHANGES])
def test_a_changed_line_is_detected_also_with_a_new_checksum(
    exported: Path, line: int, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    """The error names the first wrong line, whether or not the forger computed the footer's checksum anew."""
    lines = change(exported.read_bytes().split(b"\n")[:-1])
    forged = b"\n".join(lines) + b"\n"
    exported.write_bytes(forged)
    with pytest.raises(RecordError, match=f"line {line}:"):
        verify_export(exported)
    footer = orjson.loads(lines[-1]) if lines[-1].startswith(b'{"count"') and b"sha256" in lines[-1] else None
    if footer is not None:
        before = b"".join(each + b"\n" for each in lines[:-1])
        footer["sha256"] = hashlib.sha256(before).hexdigest()
        exported.write_bytes(before + orjson.dumps(footer, option=orjson.OPT_SORT_KEYS) + b"\n")
        with pytest.raises(RecordError, match=r"line \d+:"):
            verify_export(exported)


def test_an_older_export_is_detected_by_a_head_kept_elsewhere(records: SqlRecords, exported: Path) -> None:
    """Whole in itself, and not the record as it stands."""
    records.append_next(ID, kind=EventKind.NOTE, body={"text": "later", "by": "t"})
    with pytest.raises(RecordError, match="another head"):
        verify_export(exported, records.head(ID))


def test_a_broken_or_unknown_record_is_not_exported(records: SqlRecords, tmp_path: Path) -> None:
    """An export never lends a forged record its checksum."""
    with pytest.raises(RecordError, match="empty"):
        export(records, "KQ-unknown", tmp_path / "x.ndjson", clock=now)
    with records.engine.connect() as connection:  # the forger has the database
        connection.exec_driver_sql("""UPDATE events SET body='{"by":"x","text":"y"}' WHERE seq=1""")
    with pytest.raises(RecordError, match="altered"):
        export(records, ID, tmp_path / "x.ndjson", clock=now)
    assert not (tmp_path / "x.ndjson").exists()


def test_a_file_that_cannot_be_written_or_read_is_named(records: SqlRecords, tmp_path: Path) -> None:
    """The error says which path."""
    with pytest.raises(RecordError, match="cannot be written"):
        export(records, ID, tmp_path / "missing" / "x.ndjson", clock=now)
    with pytest.raises(RecordError, match="cannot be read"):
        read_export(tmp_path / "missing.ndjson")
