"""Checkpoints: the record's head is signed where it matters, and laid down off this host."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from flows.wiring import Wiring
from integrations.signers.backend_key import BackendKey
from integrations.signers.installation_key import InstallationKey
from integrations.signers.signatures import SignsEvidence, fingerprint, verify_signature
from playbooks.errors import Conflict
from playbooks.event_bodies import CheckpointSigned, body_of
from playbooks.evidence.statement import Statement
from playbooks.record import Event, EventKind

MILESTONES = frozenset({
    EventKind.CONTAINED, EventKind.NOT_CONTAINED, EventKind.RENEWED, EventKind.DATA_SAFE, EventKind.RESTORED,
    EventKind.CLOSED,
})  # fmt: skip
"""After these a checkpoint is due."""

_OURS = frozenset({EventKind.CHECKPOINT_SIGNED, EventKind.CHECKPOINT_ANCHORED})


def signer_of(wiring: Wiring) -> SignsEvidence:
    """The key that signs for this installation: the one that ``evidence.signer`` names, else its own.

    A named key that does not answer is an error of its backend; the installation's own never takes over.
    """
    key = wiring.settings.evidence.signer
    return (
        InstallationKey.open(wiring.settings.state) if key is None else BackendKey.open(wiring.signing_keys(key), key)
    )


def due(events: Sequence[Event]) -> bool:
    """Was a milestone reached that no checkpoint covers?"""
    covered = max(
        (int(str(each.body["seq"])) for each in events if each.kind is EventKind.CHECKPOINT_SIGNED), default=-1
    )
    return any(each.kind in MILESTONES and each.seq > covered for each in events)


def checkpoint(wiring: Wiring, incident_id: str, *, signer: SignsEvidence) -> CheckpointSigned:
    """Sign the record as it stands; the last checkpoint again when nothing but checkpoints came after it.

    The signature is verified before it is written.  Raises RecordError when the record cannot be extended, and what
    the signer raises.
    """
    while True:
        incident = wiring.incident(incident_id)
        events = wiring.records.events(incident_id)
        last = incident.oversight.checkpoints[-1] if incident.oversight.checkpoints else None
        if last and all(each.kind in _OURS for each in events[last.seq + 1 :]):
            return last
        made = _sign(signer, events[-1])
        body = body_of(EventKind.CHECKPOINT_SIGNED, **made.model_dump())
        try:
            wiring.records.append(
                incident_id, kind=EventKind.CHECKPOINT_SIGNED, body=body, expected_head=events[-1].hash
            )
        except Conflict:
            continue
        return made


def _sign(signer: SignsEvidence, head: Event) -> CheckpointSigned:
    statement = Statement(
        incident=head.incident,
        seq=head.seq,
        head=head.hash,
        key=signer.key,
        fingerprint=fingerprint(signer.public_key),
    ).text
    signature = signer.sign(statement.encode())
    verify_signature(signer.public_key, signer.algorithm, statement.encode(), signature)
    return CheckpointSigned(
        seq=head.seq,
        head=head.hash,
        key=signer.key,
        algorithm=signer.algorithm,
        public_key=signer.public_key,
        statement=statement,
        signature=base64.b64encode(signature).decode(),
    )
