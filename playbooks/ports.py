"""The interfaces between the response and the outside world, one per move.

A backend implements ``Describes`` and the moves it can make; the planner reads ``KeyFacts.capabilities`` and never
asks ``isinstance``.  Mutations are keyword-only beyond the subject, *convergent* (doing it twice is doing it once) and
return a Receipt.  Errors are those of ``playbooks.errors``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from pydantic import JsonValue

from playbooks.event_bodies import NeedToKnow
from playbooks.exposures import Signal
from playbooks.keys import KeyFacts
from playbooks.receipts import Census, ProbeResult, Receipt
from playbooks.record import Event, EventKind
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef

Clock = Callable[[], datetime]
"""Returns the time now, timezone-aware, in UTC.  Injected everywhere; only the composition root reads a real one."""

Undo = Mapping[str, JsonValue]

# --- keys -----------------------------------------------------------------------------------


@runtime_checkable
class Describes(Protocol):
    """Every key backend."""

    def describe(self, key: KeyRef) -> KeyFacts: ...
    def list_keys(self) -> Iterable[KeyRef]: ...
    def close(self) -> None: ...


@runtime_checkable
class Probes(Protocol):
    """Tries the key from a fresh session, as whoever ``identity`` names ("" is the recovery identity).

    ``identity`` is a secret *reference* (``env:…``, ``file:…``) to credentials of the kind the backend takes.
    ``operation`` is one of ``encrypt``, ``decrypt``, ``sign``.  Never raises for a refusal: that is the result.
    """

    def probe(self, key: KeyRef, *, operation: str, expected: str, identity: str = "") -> ProbeResult: ...


@runtime_checkable
class Disables(Protocol):
    """Stops all use of a key, reversibly."""

    def disable(self, key: KeyRef) -> Receipt: ...
    def enable(self, key: KeyRef, *, undo: Undo) -> Receipt: ...


@runtime_checkable
class Quarantines(Protocol):
    """Leaves the key to the recovery identity alone (and to ``allow``, backend-specific principals)."""

    def quarantine(self, key: KeyRef, *, allow: Sequence[str] = ()) -> Receipt: ...
    def release(self, key: KeyRef, *, undo: Undo) -> Receipt: ...


@runtime_checkable
class StopsEncryption(Protocol):
    """Forbids new encryption under the exposed material while it still decrypts."""

    def stop_encryption(self, key: KeyRef) -> Receipt: ...
    def resume_encryption(self, key: KeyRef, *, undo: Undo) -> Receipt: ...


@runtime_checkable
class Creates(Protocol):
    """Makes the successor of ``like``: same purpose and strength, never extractable.

    ``marker`` identifies the step (letters, digits, ``-``); a second call with it returns the same key.
    ``switch`` points the aliases of ``like`` at the successor where the backend has aliases, else it does nothing.
    """

    def create(self, *, like: KeyRef, marker: str) -> tuple[KeyRef, Receipt]: ...
    def switch(self, *, old: KeyRef, new: KeyRef) -> Receipt: ...


@runtime_checkable
class RotatesInPlace(Protocol):
    """New material under the same name.  Old ciphertext stays readable: never containment."""

    def rotate(self, key: KeyRef, *, marker: str) -> Receipt: ...


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as stored: the backend's opaque blob and the context it is bound to (may be empty)."""

    blob: bytes = field(repr=False)
    context: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class Wraps(Protocol):
    """Wraps and unwraps data keys (16–64 bytes) in batches; results stand in the order of the input.

    A failed item is an exception *in the list* (never raised), so one bad object does not stop a batch.
    """

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]: ...
    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]: ...


@runtime_checkable
class Rewraps(Protocol):
    """Moves wrapped data keys from one key to another of the same connection; the plaintext stays inside."""

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]: ...


@runtime_checkable
class Signs(Protocol):
    """Signs messages (hashed by the backend, SHA-256) and shows the public key as SPKI DER."""

    def sign(self, key: KeyRef, message: bytes) -> bytes: ...
    def public_key(self, key: KeyRef) -> bytes: ...


@runtime_checkable
class Destroys(Protocol):
    """Ends a key for good, at once."""

    def destroy(self, key: KeyRef) -> Receipt: ...


@runtime_checkable
class SchedulesDeletion(Protocol):
    """Ends a key after a window of days during which it can be cancelled."""

    def schedule_deletion(self, key: KeyRef, *, days: int) -> Receipt: ...
    def cancel_deletion(self, key: KeyRef, *, undo: Undo) -> Receipt: ...


@runtime_checkable
class RevokesGrants(Protocol):
    """Ends delegated rights on a key: of one principal, or all when ``principal`` is empty."""

    def revoke_grants(self, key: KeyRef, *, principal: str = "") -> Receipt: ...


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One recorded use of a key."""

    at: datetime
    operation: str
    principal: str
    source: str
    key: str
    event_id: str


@runtime_checkable
class ReadsUsage(Protocol):
    """Reads who used a key since a time, as far as the backend keeps a trail."""

    def usage(self, key: KeyRef, *, since: datetime) -> list[UsageEvent]: ...


# --- credentials ----------------------------------------------------------------------------


@runtime_checkable
class CutsCredential(Protocol):
    """Makes a credential useless, reversibly where the backend can (``restore``).

    With ``secret``, a reference to its secret part, a canary session is minted first, best effort and within a second,
    so that ``ProbesSessions`` has something to try.
    """

    def cut(self, credential: CredentialRef, *, secret: str = "") -> Receipt: ...
    def restore(self, credential: CredentialRef, *, undo: Undo) -> Receipt: ...
    def close(self) -> None: ...


@runtime_checkable
class RevokesSessions(Protocol):
    """Ends what was minted from a credential: session tokens, child tokens, open connections."""

    def revoke_sessions(self, credential: CredentialRef, *, secret: str = "") -> Receipt: ...


@runtime_checkable
class ProbesSessions(Protocol):
    """Tries what was minted from the credential before it was cut.

    Raises Unavailable, saying why, when there is nothing to try: then nothing is shown of the sessions.
    """

    def probe_sessions(self, credential: CredentialRef, *, secret: str = "", expected: str) -> ProbeResult: ...


@runtime_checkable
class IssuesCredential(Protocol):
    """Issues the successor and writes its secret to ``deliver_to`` (a ``file:`` reference, mode 0600, atomically).

    The secret never returns through here.  ``marker`` makes it convergent.
    """

    def issue(self, *, like: CredentialRef, marker: str, deliver_to: str) -> tuple[CredentialRef, Receipt]: ...


@runtime_checkable
class ProbesCredential(Protocol):
    """Tries the credential from a fresh session; ``secret`` is a reference to its secret part."""

    def probe_credential(self, credential: CredentialRef, *, secret: str, expected: str) -> ProbeResult: ...


# --- data -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shard:
    """A part of a dataset that one worker rewrites: ``[after, until)`` in the store's own order."""

    dataset: DatasetRef
    index: int
    after: str
    until: str


@dataclass(slots=True)
class ShardResult:
    """What became of a shard's objects; ``missed`` lost a race to another writer and are seen by the next sweep."""

    rewritten: int = 0
    already: int = 0
    missed: int = 0
    failed: int = 0
    bytes: int = 0
    errors: list[str] = field(default_factory=list)


KeyWrapping = Callable[[KeyRef], Wraps]
"""Finds the backend that wraps under a key."""


@runtime_checkable
class TakesCensus(Protocol):
    """Counts the objects of a dataset under the old and the new key, by unwrapping, not by trusting labels."""

    def census(self, dataset: DatasetRef, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> Census: ...
    def shards(self, dataset: DatasetRef, *, count: int) -> list[Shard]: ...
    def close(self) -> None: ...


@runtime_checkable
class Rewrites(Protocol):
    """Moves objects to a new key with compare-and-swap: never loses a concurrent write, may be run again.

    ``rewrap`` renews only the wrapped data key, ``reencrypt`` the data key and the payload.
    """

    def rewrap(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult: ...
    def reencrypt(self, shard: Shard, *, old: KeyRef, new: KeyRef, keys: KeyWrapping) -> ShardResult: ...


# --- consumers, certificates, detectors, messengers ----------------------------------------------


@runtime_checkable
class Informs(Protocol):
    """Tells a consumer, by its own configuration channel, which key or credential it uses from now on."""

    def publish(self, consumer: str, *, values: Mapping[str, str]) -> Receipt: ...
    def published(self, consumer: str) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True)
class Health:
    """What a consumer says of itself, and when it said so."""

    at: datetime
    ok: bool
    detail: str = ""


@runtime_checkable
class ReportsHealth(Protocol):
    """Hears from a consumer whether it works; None when it never said."""

    def health(self, consumer: str) -> Health | None: ...


@runtime_checkable
class IssuesCertificates(Protocol):
    """Certifies a public key held by a signing backend; ``csr_pem`` was made with the key inside the HSM."""

    def issue_certificate(
        self, *, like: CertificateRef, csr_pem: str, marker: str
    ) -> tuple[CertificateRef, Receipt]: ...
    def certificate(self, ref: CertificateRef) -> str: ...
    def close(self) -> None: ...


@runtime_checkable
class RevokesCertificates(Protocol):
    """Revokes for key compromise (RFC 5280 reason 1) and shows from the published CRL that it is so."""

    def revoke_certificate(self, ref: CertificateRef) -> Receipt: ...
    def probe_revoked(self, ref: CertificateRef) -> ProbeResult: ...


@runtime_checkable
class Detects(Protocol):
    """Reads findings since the last call; an opaque cursor, kept by the caller, makes it resumable."""

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]: ...
    def close(self) -> None: ...


@runtime_checkable
class Hears(Protocol):
    """Takes findings that are sent to us (a webhook).

    ``headers`` have lower-case names.  ``body`` is the raw request.  Raises Refused when the signature is not the
    sender's, InvalidInput when the signed body is not what the sender's format says.
    """

    def hear(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[Signal]: ...


@runtime_checkable
class ReadsFindings(Protocol):
    """Reads a tool's whole output (``keyquell ingest``).  Raises InvalidInput naming the place that is wrong."""

    def read(self, document: bytes) -> Sequence[Signal]: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the outbox, addressed to an audience, free of secrets.

    An ``exercise`` message is marked in every channel and never leaves the company, whatever ``need_to_know`` says.
    """

    id: str
    audience: str
    subject: str
    body: str
    exercise: bool
    need_to_know: NeedToKnow = "responders"


@runtime_checkable
class Delivers(Protocol):
    """A channel that takes messages; delivering the same id twice must show it once."""

    def deliver(self, message: Message) -> None: ...
    def close(self) -> None: ...


@runtime_checkable
class DeliversApart(Protocol):
    """A channel of several addresses that take a message each by itself; none when it has only one.

    The names are the same after a restart and hold no secret; the values are the same objects at each call.
    """

    def apart(self) -> Mapping[str, Delivers]: ...


@runtime_checkable
class Checks(Protocol):
    """Says whether it could do its work, by a look that changes nothing; raises what its work would raise."""

    def check(self) -> str: ...


# --- the record --------------------------------------------------------------------------------


@runtime_checkable
class KeepsRecords(Protocol):
    """Append-only storage of incidents' events, durable when ``append`` returns.

    ``append`` raises Conflict when ``expected_head`` is not the head's hash any more (GENESIS before the first event);
    the store stamps the time with its injected clock.  ``events`` is in order, empty for an unknown incident.
    """

    def append(self, incident: str, *, kind: EventKind, body: Mapping[str, JsonValue], expected_head: str) -> Event: ...
    def events(self, incident: str) -> list[Event]: ...
    def incidents(self) -> list[str]: ...
    def heads(self) -> dict[str, int]: ...
