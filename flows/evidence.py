"""Evidence packs: made from the record of one case, and verified with nothing but the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flows.admission import Act, admit
from flows.anchoring import Laid, lay_everywhere
from flows.assertions import verify_assertion
from flows.checkpoints import checkpoint, signer_of
from flows.lookup import named
from flows.wiring import Wiring
from integrations.anchors.time_stamp import check_token
from integrations.signers import signatures
from integrations.signers.signatures import SignsEvidence
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, RecordError
from playbooks.event_bodies import ApprovalGiven, CheckpointSigned, Confirmed
from playbooks.evidence.archive import write_archive
from playbooks.evidence.checking import Verdict, check
from playbooks.evidence.contents import PASSKEY_KINDS, derived
from playbooks.evidence.controls import FILE as CONTROLS
from playbooks.evidence.controls import controls, mapping
from playbooks.evidence.manifest import FORMAT, MANIFEST, SIGNATURE, Manifest, Signer, listed, manifest_bytes
from playbooks.evidence.readme import README, readme
from playbooks.evidence.seals import write_seal
from playbooks.incident import Incident
from playbooks.plans import Plan
from playbooks.record import INSTALLATION, Event, verify_chain

Pages = Callable[[Sequence[Event]], Mapping[str, bytes]]
"""Makes the pages for people (``report.html``, ``review.html``) from the events."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A finished pack; ``fingerprint`` is that of the key that signed it."""

    incident: str
    head: str
    events: int
    files: int
    fingerprint: str
    data: bytes


def make_pack(wiring: Wiring, actor: Actor, incident: str, *, pages: Pages = lambda events: {}) -> Pack:
    """Sign the record as it stands (a checkpoint) and pack the evidence of one case.

    Raises NotApproved when the actor may not take evidence, RecordError when the record is broken.
    """
    incident_id = named(wiring, incident)
    who = admit(wiring, actor, Act.EXPORT, incident=incident_id)
    signer = signer_of(wiring)
    checkpoint(wiring, incident_id, signer=signer)
    events = wiring.records.events(incident_id)
    passkeys = [each for each in wiring.records.events(INSTALLATION) if each.kind in PASSKEY_KINDS]
    data, manifest = pack(events, passkeys, signer=signer, made_at=wiring.clock(), made_by=who.name, pages=pages)
    mark = signatures.fingerprint(signer.public_key)
    return Pack(incident_id, manifest.head, manifest.events, len(manifest.files), mark, data)


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint of one case, the fingerprint of the key that signed it, and how it went at every place."""

    incident: str
    checkpoint: CheckpointSigned
    fingerprint: str
    laid: tuple[Laid, ...]


def sign_checkpoint(wiring: Wiring, actor: Actor, incident: str) -> Signed:
    """Sign the record as it stands, and lay that down at every place of ``anchors``.

    Raises NotApproved when the actor may not take evidence, RecordError when the record cannot be extended, and what
    the signer raises; nothing is then signed.
    """
    incident_id = named(wiring, incident)
    admit(wiring, actor, Act.EXPORT, incident=incident_id)
    signed = checkpoint(wiring, incident_id, signer=signer_of(wiring))
    laid = lay_everywhere(wiring, incident_id)
    return Signed(incident_id, signed, signatures.fingerprint(signed.public_key), laid)


def pack(
    events: Sequence[Event],
    passkeys: Sequence[Event],
    *,
    signer: SignsEvidence,
    made_at: datetime,
    made_by: str,
    pages: Pages = lambda events: {},
) -> tuple[bytes, Manifest]:
    """The archive over these events, signed.  Raises RecordError when they are no whole chain of one case."""
    head, incident = verify_chain(events), Incident.of(events)
    files = derived(events, passkeys) | dict(pages(events))
    files[CONTROLS] = mapping(events, controls())
    files[README] = readme()
    manifest = Manifest(
        format=FORMAT,
        incident=incident.id,
        codename=incident.codename,
        exercise=incident.exercise,
        head=head,
        events=len(events),
        made_at=made_at,
        made_by=made_by,
        signer=Signer(key=signer.key, algorithm=signer.algorithm, public_key=signer.public_key),
        files=listed(files),
    )
    content = manifest_bytes(manifest)
    return write_archive({**files, MANIFEST: content, SIGNATURE: write_seal(signer.sign(content))}), manifest


def verify_pack(data: bytes, *, trust: Sequence[str] = (), tsa_roots: Sequence[Path] = ()) -> Verdict:
    """Check a pack offline; ``trust`` are fingerprints (64 hex digits, with or without colons) or PEM files.

    Raises InvalidInput when one of them is neither.
    """
    roots = tuple(_read(each) for each in tsa_roots)
    return check(data, proofs=_Proofs(roots), trusted=frozenset(map(_fingerprint, trust)))


class _Proofs:
    """The cryptography of this installation's libraries, over nothing but what it is given."""

    def __init__(self, roots: Sequence[bytes]) -> None:
        self._roots = roots

    def fingerprint(self, public_key: str) -> str:
        return signatures.fingerprint(public_key)

    def signature(self, public_key: str, algorithm: str, message: bytes, signature: bytes) -> None:
        signatures.verify_signature(public_key, algorithm, message, signature)

    def assertion(self, body: ApprovalGiven | Confirmed, plan: Plan | None, incident: str) -> None:
        verify_assertion(body, plan, incident=incident)

    def time_stamp(self, token: bytes, message: bytes) -> tuple[datetime, str]:
        return check_token(token, message, roots=self._roots)

    def trusts_authorities(self) -> bool:
        return bool(self._roots)


def _fingerprint(word: str) -> str:
    digits = word.removeprefix("sha256:").replace(":", "").lower()
    if len(digits) == 64 and not set(digits) - set("0123456789abcdef"):
        return digits
    try:
        return signatures.fingerprint(Path(word).read_text(encoding="utf-8"))
    except (RecordError, OSError, ValueError) as error:
        hint = "Give 64 hexadecimal digits, or a file with a public key in PEM."
        raise InvalidInput(f"--trust: {word[:80]!r} is neither a fingerprint nor a public key.", hint=hint) from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read ({error.strerror}).") from error
