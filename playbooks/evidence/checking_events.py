"""Checks of what stands inside the record: approvals, checkpoints, anchors, and the passkeys they lean on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from playbooks.errors import RecordError
from playbooks.event_bodies import (
    ApprovalGiven,
    CheckpointAnchored,
    CheckpointSigned,
    Confirmed,
    GlassBroken,
    PasskeyEnrolled,
    PasskeyRemoved,
    PlanMade,
    read_body,
)
from playbooks.evidence.contents import PASSKEY_KINDS, PASSKEYS, TIME_STAMP, time_stamp_of
from playbooks.evidence.proofs import Proofs
from playbooks.evidence.statement import Statement, sealed, signature_of
from playbooks.gates import same_person
from playbooks.plans import Plan
from playbooks.record import INSTALLATION, Event, digest_of


@dataclass(slots=True)
class Checks:
    """One run over a record whose chain holds; sentences are added to ``proven``, ``failed`` and ``open``."""

    events: Sequence[Event]
    passkeys: Sequence[Event]
    proofs: Proofs
    trusted: frozenset[str]
    signer: str
    proven: list[str]
    failed: list[str]
    open: list[str]
    _plan: Plan | None = None
    _checkpoints: dict[int, CheckpointSigned] = field(default_factory=dict)
    _by_passkey: int = 0

    def run(self) -> None:
        """Check every event; what does not hold is said, and the next is checked all the same."""
        self._registered()
        for event in self.events:
            try:
                self._take(event)
            except RecordError as error:
                self.failed.append(f"Event {event.seq}: {error.message}")
        if self._by_passkey:
            self.proven.append(
                f"{self._by_passkey} decisions were signed by a passkey that was enrolled for that person, over "
                "exactly the plan and the deed that the record holds."
            )
            self.open.append(
                "Who held an authenticator, and that no removal of a passkey was left out: enrolments are facts of the "
                "installation, whose whole chain is not in the pack."
            )
        if not self._checkpoints:
            self.open.append("When the record was written: it holds no checkpoint, so only the pack's signer vouches.")

    def _take(self, event: Event) -> None:
        match read_body(event):
            case PlanMade(plan=plan):
                self._plan = plan
            case ApprovalGiven() | Confirmed() as body:
                self._decision(event, body)
            case GlassBroken(by=by):
                self.open.append(f"Event {event.seq}: {by} broke the glass, which no passkey signed.")
            case CheckpointSigned() as body:
                self._signed(event, body)
            case CheckpointAnchored() as body:
                self._anchored(event, body)

    def _registered(self) -> None:
        """Each event of a passkey is whole in itself and in order; what lies between them is not here."""
        last = -1
        for event in self.passkeys:
            made = digest_of(
                incident=event.incident, seq=event.seq, at=event.at, kind=event.kind, body=event.body, prev=event.prev
            )
            right = event.incident == INSTALLATION and event.kind in PASSKEY_KINDS and event.seq > last
            if not right or made != event.hash:
                raise RecordError(f"{PASSKEYS} holds an event that is no enrolment, out of order or altered.")
            last = event.seq

    def _decision(self, event: Event, body: ApprovalGiven | Confirmed) -> None:
        who, what = (
            (body.approver, "approval") if isinstance(body, ApprovalGiven) else (body.by, f"confirmation ({body.deed})")
        )
        if body.digest != (self._plan.digest if self._plan else ""):
            raise RecordError(f"the {what} of {who} is of another plan than the one that stood.")
        if body.assertion is None:
            self.open.append(
                f"Event {event.seq}: the {what} of {who} came by {body.method}, which leaves no signature."
            )
            return
        self.proofs.assertion(body, self._plan, event.incident)
        credential = body.assertion.credential_id
        if not self._enrolled(who, credential, body.assertion.public_key, event.at):
            raise RecordError(f"the {what} of {who} was signed by a passkey that was not enrolled for them then.")
        self._by_passkey += 1

    def _enrolled(self, who: str, credential: str, public_key: str, at: datetime) -> bool:
        enrolled = False
        for each in self.passkeys:
            if each.at > at:
                break
            match read_body(each):
                case PasskeyEnrolled() as body if body.credential_id == credential:
                    enrolled = body.public_key == public_key and same_person(body.person, who)
                case PasskeyRemoved() as body if body.credential_id == credential:
                    return False
        return enrolled

    def _signed(self, event: Event, body: CheckpointSigned) -> None:
        if body.seq >= event.seq or self.events[body.seq].hash != body.head:
            raise RecordError("the checkpoint is over a head that this record never had.")
        mark = self.proofs.fingerprint(body.public_key)
        stated = Statement(incident=event.incident, seq=body.seq, head=body.head, key=body.key, fingerprint=mark)
        if stated.text != body.statement:
            raise RecordError("the checkpoint's text does not say what the event says.")
        self.proofs.signature(body.public_key, body.algorithm, body.statement.encode(), signature_of(body))
        self._checkpoints[body.seq] = body
        self.proven.append(f"Events 0 to {body.seq} were signed by the key {body.key} (event {event.seq}).")
        if mark != self.signer and mark not in self.trusted:
            self.open.append(f"Whose key {mark} is, which signed the checkpoint of event {event.seq}.")

    def _anchored(self, event: Event, body: CheckpointAnchored) -> None:
        signed = self._checkpoints.get(body.seq)
        if signed is None or signed.head != body.head:
            raise RecordError("something was anchored that no good checkpoint signed.")
        if body.place != TIME_STAMP:
            self.open.append(
                f"That {body.reference} ({body.place}) holds the checkpoint over event {body.seq}: look there."
            )
            return
        at, authority = self.proofs.time_stamp(time_stamp_of(body), sealed(signed))
        said = f"Events 0 to {body.seq} existed at {at.isoformat()}, as {authority} stamped (event {event.seq})"
        if self.proofs.trusts_authorities():
            self.proven.append(f"{said}; its certificate leads to a root that you trust.")
        else:
            self.open.append(f"{said}: whose authority that is. Name its roots with --tsa-roots.")
