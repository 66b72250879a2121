"""The files of a pack that follow from the record: anybody can compute them again and compare."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from pydantic import ValidationError

from playbooks.errors import RecordError
from playbooks.event_bodies import CheckpointAnchored, CheckpointSigned, read_body
from playbooks.evidence.statement import sealed, signature_of
from playbooks.record import Event, EventKind

RECORD, PASSKEYS = "record.ndjson", "passkeys.ndjson"
TIME_STAMP = "rfc3161"
"""The place of an anchor whose proof is a time-stamp token."""
PASSKEY_KINDS = frozenset({EventKind.PASSKEY_ENROLLED, EventKind.PASSKEY_REMOVED})

EXTRACTS: Mapping[str, frozenset[EventKind]] = {
    "plans.json": frozenset({EventKind.PLAN_MADE}),
    "approvals.json": frozenset({
        EventKind.APPROVAL_ASKED, EventKind.APPROVAL_GIVEN, EventKind.APPROVAL_DENIED, EventKind.CONFIRMED,
        EventKind.GLASS_BROKEN, EventKind.GLASS_REVIEWED, EventKind.ATTEMPT_REFUSED,
    }),
    "probes.json": frozenset({EventKind.STEP_FINISHED, EventKind.CONTAINED, EventKind.NOT_CONTAINED}),
    "censuses.json": frozenset({EventKind.CENSUS_TAKEN, EventKind.DATA_SAFE}),
    "messages.json": frozenset({
        EventKind.MESSAGE_DRAFTED, EventKind.MESSAGE_WITHDRAWN, EventKind.MESSAGE_QUEUED,
        EventKind.MESSAGE_DELIVERED, EventKind.MESSAGE_FAILED,
    }),
    "deadlines.json": frozenset({
        EventKind.CLOCK_STARTED, EventKind.DEADLINE_SETTLED, EventKind.DEADLINE_REMINDED,
    }),
    "checkpoints.json": frozenset({EventKind.CHECKPOINT_SIGNED, EventKind.CHECKPOINT_ANCHORED}),
}  # fmt: skip
"""Extracts of the record for whoever asks one question, by the kinds of events they hold."""


def derived(events: Sequence[Event], passkeys: Sequence[Event]) -> dict[str, bytes]:
    """Every file that follows from these events; raises RecordError for a checkpoint that cannot be read."""
    files = {RECORD: event_lines(events), PASSKEYS: event_lines(passkeys)}
    for name, kinds in EXTRACTS.items():
        files[name] = as_json([_told(each) for each in events if each.kind in kinds])
    for event in events:
        files |= _checkpoint(event)
    return files


def event_lines(events: Sequence[Event]) -> bytes:
    """One event a line, in canonical JSON."""
    return b"".join(_line(each) for each in events)


def read_events(content: bytes, *, file: str) -> list[Event]:
    """The events of a file of lines.  Raises RecordError naming the line that is not as it is written."""
    events: list[Event] = []
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        try:
            event = Event.model_validate_json(line)
        except ValidationError as error:
            raise RecordError(f"{file}, line {number} is no event.") from error
        if _line(event) != line:
            raise RecordError(f"{file}, line {number} is not in its one form.")
        events.append(event)
    return events


def as_json(value: Any) -> bytes:
    """JSON for people and programs, always the same bytes for the same value."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def time_stamp_of(anchor: CheckpointAnchored) -> bytes:
    """The token of a time-stamp.  Raises RecordError when there is none."""
    try:
        return base64.b64decode(anchor.proof, validate=True)
    except (binascii.Error, ValueError) as error:
        raise RecordError("the proof of a time-stamp is not base64.") from error


def _line(event: Event) -> bytes:
    values = event.model_dump(mode="json") | {"at": event.at.isoformat(timespec="microseconds")}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS) + b"\n"


def _told(event: Event) -> dict[str, Any]:
    at = event.at.isoformat(timespec="microseconds")
    return {"event": event.seq, "at": at, "kind": str(event.kind), "hash": event.hash, "body": event.body}


def _checkpoint(event: Event) -> dict[str, bytes]:
    """What other tools need to verify a checkpoint or its time-stamp."""
    if event.kind not in EXTRACTS["checkpoints.json"]:
        return {}
    name, body = f"checkpoints/event-{event.seq:05}", read_body(event)
    try:
        if isinstance(body, CheckpointSigned):
            return {
                f"{name}.txt": body.statement.encode(),
                f"{name}.sig": signature_of(body),
                f"{name}.pem": body.public_key.encode(),
                f"{name}.sealed": sealed(body),
            }
    except ValueError as error:
        raise RecordError(f"the signature of the checkpoint of event {event.seq} is not base64.") from error
    if isinstance(body, CheckpointAnchored) and body.place == TIME_STAMP:
        return {f"{name}.tsr": time_stamp_of(body)}
    return {}
