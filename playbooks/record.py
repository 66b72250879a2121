"""The record: an incident's append-only, hash-chained events, the only source of truth.

An event's hash is SHA-256 over the canonical JSON of (incident, seq, at, kind, body, prev).  State, resume, metrics and
reports are computed from the events; nothing is stored beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from playbooks.errors import RecordError


class EventKind(StrEnum):
    """Every kind of event and what its body holds (required names first, optional in brackets)."""

    # codename, severity, exercise, requested_by, playbook, [scenario, origin, virtual_time]
    INCIDENT_OPENED = "incident-opened"
    SIGNAL_RECEIVED = "signal-received"  # signal
    EXPOSURE_ADDED = "exposure-added"  # exposure
    FACTS_READ = "facts-read"  # facts: {key uri: KeyFacts}
    PLAN_MADE = "plan-made"  # plan (with digest)
    APPROVAL_ASKED = "approval-asked"  # request, approver, digest, expires_at, via, [deed]
    APPROVAL_GIVEN = "approval-given"  # approver, digest, method, [request, assertion, passkey_enrolled_at, address]
    APPROVAL_DENIED = "approval-denied"  # approver, digest, reason, [via]
    CONFIRMED = "confirmed"  # by, deed, digest, method, [request, assertion, passkey_enrolled_at, address]
    GLASS_BROKEN = "glass-broken"  # by, digest, reason
    GLASS_REVIEWED = "glass-reviewed"  # by, verdict
    ACKNOWLEDGED = "acknowledged"  # by, via
    ESCALATED = "escalated"  # level, person, channel, [error]
    ATTEMPT_REFUSED = "attempt-refused"  # by, what, reason, via
    LINKED = "linked"  # surface, ids: where the incident is shown
    STEP_STARTED = "step-started"  # step, attempt, owner
    STEP_FINISHED = "step-finished"  # step, outcome, receipt|null, probes, outputs, detail
    STEP_FAILED = "step-failed"  # step, error, code, retryable
    STEP_UNDONE = "step-undone"  # step, receipt
    SHARD_FINISHED = "shard-finished"  # step, shard, result
    CENSUS_TAKEN = "census-taken"  # census
    CONTAINED = "contained"  # probes (count), not_shown
    NOT_CONTAINED = "not-contained"  # reasons
    RENEWED = "renewed"  # {}
    DATA_SAFE = "data-safe"  # datasets
    RESTORED = "restored"  # consumers
    MESSAGE_DRAFTED = "message-drafted"  # id, audience, need_to_know, subject, body
    MESSAGE_WITHDRAWN = "message-withdrawn"  # id, by, reason
    MESSAGE_QUEUED = "message-queued"  # id, audience, subject, body, [need_to_know, reviewed_by]
    MESSAGE_DELIVERED = "message-delivered"  # id, channel
    MESSAGE_FAILED = "message-failed"  # id, channel, error
    NOTE = "note"  # text, by
    CLOSED = "closed"  # by, outcome: recovered | false-alarm | not-contained
    CLOCK_STARTED = "clock-started"  # trigger, at, by, [reason]
    DEADLINE_SETTLED = "deadline-settled"  # rule, outcome: filed | not-due, at, by, [reason, reference]
    DEADLINE_REMINDED = "deadline-reminded"  # rule, percent: 50 | 80 | 100, due_at
    REVIEW_WRITTEN = "review-written"  # by, head, parts
    ACTION_ADDED = "action-added"  # action, text, owner, due, by
    ACTION_SETTLED = "action-settled"  # action, outcome: done | dropped, by, [reason]
    CHECKPOINT_SIGNED = "checkpoint-signed"  # seq, head, key, algorithm, public_key, statement, signature
    CHECKPOINT_ANCHORED = "checkpoint-anchored"  # seq, head, place, reference, [proof, anchor]
    # of the installation alone (the chain called INSTALLATION)
    PASSKEY_INVITED = "passkey-invited"  # request, person, by, expires_at
    PASSKEY_ENROLLED = "passkey-enrolled"  # request, person, credential_id, public_key, sign_count, label
    PASSKEY_REMOVED = "passkey-removed"  # person, credential_id, by, reason
    SIGNAL_UNMATCHED = "signal-unmatched"  # signal
    DETECTOR_SILENT = "detector-silent"  # detector, last_heard|null, reason
    DETECTOR_HEARD = "detector-heard"  # detector


INSTALLATION = "INSTALLATION"
"""The chain of what belongs to no incident: passkeys, refused attempts, unmatched signals, silent detectors."""

GENESIS = "0" * 64
"""The ``prev`` of an incident's first event."""


class Event(BaseModel):
    """One link of the chain."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident: str
    seq: int = Field(ge=0)
    at: AwareDatetime
    kind: EventKind
    body: dict[str, JsonValue]
    prev: str = Field(pattern="^[0-9a-f]{64}$")
    hash: str = Field(pattern="^[0-9a-f]{64}$")

    @classmethod
    def link(
        cls, *, incident: str, seq: int, at: datetime, kind: EventKind, body: dict[str, JsonValue], prev: str
    ) -> Event:
        """Make the next event of a chain, hash included."""
        digest = digest_of(incident=incident, seq=seq, at=at, kind=kind, body=body, prev=prev)
        return cls(incident=incident, seq=seq, at=at, kind=kind, body=body, prev=prev, hash=digest)


def digest_of(*, incident: str, seq: int, at: datetime, kind: str, body: dict[str, JsonValue], prev: str) -> str:
    """The hash of an event with these contents, lower-case hex."""
    content = [incident, seq, at.isoformat(timespec="microseconds"), str(kind), body, prev]
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


def verify_chain(events: Iterable[Event], *, expected_head: str = "") -> str:
    """Check every link and return the head's hash.

    ``expected_head``, when given, is a head kept elsewhere: it detects a dropped tail.
    Raises RecordError naming the first event that is wrong.
    """
    prev, incident, expected_seq = GENESIS, "", 0
    for event in events:
        incident = incident or event.incident
        if event.incident != incident:
            raise RecordError(f"event {expected_seq} belongs to {event.incident}, the record to {incident}.")
        if event.seq != expected_seq:
            raise RecordError(f"event {expected_seq} is missing or out of order (found {event.seq}).")
        if event.prev != prev:
            raise RecordError(f"event {event.seq} does not follow event {event.seq - 1}: its prev differs.")
        made = digest_of(
            incident=event.incident, seq=event.seq, at=event.at, kind=event.kind, body=event.body, prev=event.prev
        )
        if made != event.hash:
            raise RecordError(f"event {event.seq} was altered: its hash does not match its content.")
        prev, expected_seq = event.hash, expected_seq + 1
    if expected_seq == 0:
        raise RecordError("the record is empty.")
    if expected_head and prev != expected_head:
        raise RecordError(f"the record ends at event {expected_seq - 1}, before its known head: the tail is missing.")
    return prev
