"""Whether a pack holds: everything that can be computed again from the one file, and a plain list of what cannot.

The cryptography is handed in (``Proofs``); nothing here reads a clock, a file or the network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from playbooks.errors import RecordError
from playbooks.evidence.archive import read_archive
from playbooks.evidence.checking_events import Checks
from playbooks.evidence.contents import PASSKEYS, RECORD, derived, read_events
from playbooks.evidence.controls import FILE as CONTROLS
from playbooks.evidence.controls import mapping, read_mapping
from playbooks.evidence.manifest import MANIFEST, SIGNATURE, Manifest, listed, read_manifest
from playbooks.evidence.proofs import Proofs
from playbooks.evidence.seals import read_seal
from playbooks.incident import Incident
from playbooks.record import Event, verify_chain

RENDERED = frozenset({"report.html", "review.html", "readme.txt"})
"""Files that are the signer's words: they are signed, and not computed again."""


@dataclass(slots=True)
class Verdict:
    """What a pack shows: sentences of what is ``proven``, what ``failed``, and what nobody could verify (``open``).

    ``signer`` is the fingerprint of the key that signed the pack, "" when the pack was not readable that far.
    """

    proven: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    incident: str = ""
    head: str = ""
    events: int = 0
    signer: str = ""
    exercise: bool = False

    @property
    def holds(self) -> bool:
        """Did nothing fail?"""
        return not self.failed


def check(data: bytes, *, proofs: Proofs, trusted: frozenset[str] = frozenset()) -> Verdict:
    """Check a pack; ``trusted`` are fingerprints of keys that its reader got another way.  Never raises RecordError."""
    verdict = Verdict()
    try:
        files = read_archive(data)
        manifest = _signed(files, proofs, trusted, verdict)
        events, passkeys = _recorded(files, manifest, verdict)
        _derived(files, events, passkeys, verdict)
        Checks(events, passkeys, proofs, trusted, verdict.signer, verdict.proven, verdict.failed, verdict.open).run()
    except RecordError as error:
        verdict.failed.append(error.message)
    verdict.open.append(
        "That the clocks were right: times are those of the installation unless a stamp says otherwise."
    )
    verdict.open.append("That what happened was written down: a record proves what stands in it, not what is missing.")
    return verdict


def _signed(files: Mapping[str, bytes], proofs: Proofs, trusted: frozenset[str], verdict: Verdict) -> Manifest:
    """The manifest, once its signature and every file agree with it."""
    missing = {MANIFEST, SIGNATURE, RECORD, PASSKEYS, CONTROLS} - files.keys()
    if missing:
        raise RecordError(f"the pack lacks {', '.join(sorted(missing))}.")
    manifest = read_manifest(files[MANIFEST])
    signer = manifest.signer
    proofs.signature(signer.public_key, signer.algorithm, files[MANIFEST], read_seal(files[SIGNATURE]))
    verdict.signer = proofs.fingerprint(signer.public_key)
    verdict.incident, verdict.exercise = manifest.incident, manifest.exercise
    held = {name: content for name, content in files.items() if name not in (MANIFEST, SIGNATURE)}
    if listed(held) != manifest.files:
        raise RecordError("the files of the pack are not those that its manifest lists.")
    verdict.proven.append(
        f"All {len(held)} files are as they were signed by the key {signer.key} ({signer.algorithm}, "
        f"SHA-256 {verdict.signer})."
    )
    if not trusted:
        verdict.open.append(
            f"Whose key {verdict.signer} is: compare it with what the installation's owner told you another way, "
            "and name it with --trust."
        )
    elif verdict.signer not in trusted:
        verdict.failed.append(f"The pack was signed by {verdict.signer}, which is not a key that you trust.")
    else:
        verdict.proven.append("The key that signed is one that you said you trust.")
    return manifest


def _recorded(files: Mapping[str, bytes], manifest: Manifest, verdict: Verdict) -> tuple[list[Event], list[Event]]:
    """The events of the case, once the chain is whole and tells one case without contradiction."""
    events = read_events(files[RECORD], file=RECORD)
    head = verify_chain(events, expected_head=manifest.head)
    incident = Incident.of(events)
    said = (manifest.incident, manifest.codename, manifest.exercise, manifest.events)
    if said != (incident.id, incident.codename, incident.exercise, len(events)):
        raise RecordError("the manifest speaks of another case than the record.")
    verdict.head, verdict.events = head, len(events)
    verdict.proven.append(f"The record is one unbroken chain of {len(events)} events up to {head}.")
    verdict.proven.append("Its events contradict neither one another nor the digests of their plans.")
    return events, read_events(files[PASSKEYS], file=PASSKEYS)


def _derived(files: Mapping[str, bytes], events: list[Event], passkeys: list[Event], verdict: Verdict) -> None:
    """Every extract is computed again; a file that is neither one nor the signer's words is refused."""
    expected = derived(events, passkeys)
    expected[CONTROLS] = mapping(events, read_mapping(files[CONTROLS]))
    for name, content in expected.items():
        if files.get(name) != content:
            raise RecordError(f"{name} is not what the record gives.")
    others = files.keys() - expected.keys() - {MANIFEST, SIGNATURE}
    if unknown := others - RENDERED:
        raise RecordError(f"the pack holds files that belong to no pack: {', '.join(sorted(unknown))}.")
    verdict.proven.append(f"{len(expected)} files were computed again from the record and are the same.")
    if others:
        verdict.open.append(f"That {', '.join(sorted(others))} read the record rightly: they are the signer's words.")
    verdict.open.append("That the events named for a control meet it: that is for an assessor to say.")
