"""One incident's record as one file that proves its own integrity: NDJSON with a header and a footer.

Every line is canonical JSON (keys sorted, no spaces, UTF-8) and ends with a line feed.  The header names the incident,
head and count; the footer repeats head and count and holds the SHA-256 of all bytes before it.  A file that a forger
made anew from the start is consistent in itself: only a head kept elsewhere (``expected_head``) shows that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playbooks.errors import RecordError
from playbooks.ports import Clock, KeepsRecords
from playbooks.record import GENESIS, Event, digest_of, verify_chain

FORMAT = "keyquell-record/1"


class Header(BaseModel):
    """The first line: what the file says it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: str
    incident: str
    head: str = Field(pattern="^[0-9a-f]{64}$")
    count: int = Field(ge=1)
    exported_at: str


class Footer(BaseModel):
    """The last line: what the file must have held."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    head: str
    count: int
    sha256: str


def _now() -> datetime:
    return datetime.now(UTC)


def export(records: KeepsRecords, incident: str, path: Path, *, clock: Clock = _now) -> str:
    """Write the whole record of an incident to ``path``, atomically and synced; returns its head.

    The chain is verified first.  Raises RecordError when it is broken or empty, or the file cannot be written.
    """
    events = records.events(incident)
    head = verify_chain(events)
    header = {
        "format": FORMAT,
        "incident": incident,
        "head": head,
        "count": len(events),
        "exported_at": clock().astimezone(UTC).isoformat(timespec="microseconds"),
    }
    content = b"".join([_canonical(header), *map(_event_line, events)])
    footer = {"head": head, "count": len(events), "sha256": hashlib.sha256(content).hexdigest()}
    try:
        _write(path, content + _canonical(footer))
    except OSError as error:
        raise RecordError(f"the export cannot be written to {path} ({error.strerror}).") from error
    return head


def verify_export(path: Path, expected_head: str = "") -> str:
    """Check every byte of an export and return its head.

    ``expected_head`` is a head kept elsewhere; empty skips that one check.  Raises RecordError naming the line.
    """
    head = read_export(path)[-1].hash
    if expected_head and head != expected_head:
        raise RecordError(
            f"{path}: the export ends at another head than the one kept elsewhere: it is not that record."
        )
    return head


def read_export(path: Path) -> list[Event]:
    """The events of an export, every byte checked; RecordError names the first line that is wrong."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RecordError(f"the export {path} cannot be read ({error.strerror}).") from error
    if not content.endswith(b"\n"):
        _wrong(path, content.count(b"\n") + 1, "it does not end with a line feed: the tail is missing or was altered")
    lines = content.split(b"\n")[:-1]
    if len(lines) < 3:
        _wrong(path, len(lines), "an export has a header, events and a footer")
    footer = _footer(path, lines)
    header = _header(path, lines[0])
    events = _events(path, header, lines[1:-1])
    _check_footer(path, lines, header, footer)
    return events


def _header(path: Path, line: bytes) -> Header:
    values = _parse(path, 1, line)
    try:
        header = Header.model_validate(values)
    except ValidationError as error:
        _wrong(path, 1, f"it is not a header of {FORMAT}", error)
    if header.format != FORMAT:
        _wrong(path, 1, f"the format is not {FORMAT}")
    return header


def _events(path: Path, header: Header, lines: list[bytes]) -> list[Event]:
    events: list[Event] = []
    prev = GENESIS
    for number, line in enumerate(lines, start=2):
        values = _parse(path, number, line)
        try:
            event = Event.model_validate(values)
        except ValidationError as error:
            _wrong(path, number, "it is not an event", error)
        if _event_line(event) != line + b"\n":
            _wrong(path, number, "it is not in canonical form")
        if event.incident != header.incident:
            _wrong(path, number, "the event belongs to another incident")
        if (event.seq, event.prev) != (number - 2, prev):
            _wrong(path, number, "the event does not follow the line before it")
        if event.hash != _digest(event):
            _wrong(path, number, "the event was altered: its hash does not match its content")
        prev = event.hash
        events.append(event)
    if (header.count, header.head) != (len(events), prev):
        _wrong(path, 1, f"the header promises {header.count} events and another head: some are missing or added")
    return events


def _footer(path: Path, lines: list[bytes]) -> Footer:
    values = _parse(path, len(lines), lines[-1])
    try:
        return Footer.model_validate(values)
    except ValidationError as error:
        _wrong(path, len(lines), "it is not a footer: the tail is missing, or something follows it", error)


def _check_footer(path: Path, lines: list[bytes], header: Header, footer: Footer) -> None:
    if (footer.count, footer.head) != (header.count, header.head):
        _wrong(path, len(lines), "the footer contradicts the header")
    before = b"".join(line + b"\n" for line in lines[:-1])
    if footer.sha256 != hashlib.sha256(before).hexdigest():
        _wrong(path, len(lines), "the checksum does not match: a line before it, or the checksum, was altered")


def _parse(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        _wrong(path, number, "it is not JSON", error)
    if not isinstance(values, dict) or _canonical(values) != line + b"\n":
        _wrong(path, number, "it is not in canonical form")
    return values


def _digest(event: Event) -> str:
    return digest_of(
        incident=event.incident, seq=event.seq, at=event.at, kind=event.kind, body=event.body, prev=event.prev
    )


def _event_line(event: Event) -> bytes:
    return _canonical(
        {
            "incident": event.incident,
            "seq": event.seq,
            "at": event.at.isoformat(timespec="microseconds"),
            "kind": str(event.kind),
            "body": event.body,
            "prev": event.prev,
            "hash": event.hash,
        }
    )


def _canonical(values: dict[str, Any]) -> bytes:
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def _wrong(path: Path, line: int, why: str, cause: Exception | None = None) -> NoReturn:
    raise RecordError(
        f"{path}: line {line}: {why}.", hint="Do not trust this file; export the record again."
    ) from cause


def _write(path: Path, content: bytes) -> None:
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(beside).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
