"""The attacker can forge: stop the key, tell relying parties from when on not to believe it, then renew trust."""

from __future__ import annotations

from playbooks.exposures import Exposure
from playbooks.plans import Action, Phase, Reversibility
from playbooks.playbook import ContainmentMove
from playbooks.refs import KeyRef
from playbooks.strategies import moves
from playbooks.strategies.draft import Draft, Drafting, Mark, Output


def draft_signing_key(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to a signing key that the attacker has or can use."""
    key = KeyRef.parse(exposure.target)
    via = plan.lookup.credentials.get(exposure.via)
    holders = plan.lookup.users.get(key, []) if plan.playbook.options.cut_users else []
    entries = {entry.ref: entry for entry in ([via] if via else []) + list(holders)}
    cuts = [
        moves.cut(plan, entry, why="Whoever holds it can sign, and can turn the key on again.")
        for entry in entries.values()
    ]
    respond_to_forgery(plan, key, cuts=cuts)
    moves.probe_credentials(plan)


def respond_to_forgery(plan: Drafting, key: KeyRef, *, cuts: list[Mark]) -> None:
    """Draft everything about one signing key; ``cuts`` are the credentials that are cut already."""
    stop = _stop(plan, key)
    contained = [mark for mark in (stop, *cuts) if mark is not None]
    cutoff = _publish_cutoff(plan, key)
    _revoke_certificates(plan, key, after=contained)
    issued = moves.issue_credentials(plan)
    new = moves.renew_key(
        plan, key, after=cuts, why="A new key, created inside and never extractable, was never in other hands."
    )
    certificate = _issue_certificates(plan, key, new)
    switched = moves.switch_key(plan, key, new, certificate=certificate)
    resigned = _resign(plan, key, new, certificate, after=[switched])
    probes = moves.probe_key(plan, key, new, operation="sign", secret="", after=contained, switched=switched)
    checks = moves.check_consumers(plan, [key], after=[switched, *issued, *resigned])
    moves.retire(plan, key, after=[cutoff, *resigned, *probes, *checks])
    plan.residual.append(
        f"Signatures by {key} from before the cut-off time cannot be told from forgeries made before it."
    )


def _stop(plan: Drafting, key: KeyRef) -> Mark | None:
    listed = [move for move in plan.playbook.containment.moves if move is not ContainmentMove.CUT_CREDENTIAL]
    # A signing key protects no data at rest, so turning it off costs signatures and nothing else.
    order = sorted(listed or [ContainmentMove.DISABLE], key=lambda move: move is not ContainmentMove.DISABLE)
    return moves.contain_key(plan, key, moves=order, why="Every further signature could be a forgery.")


def _publish_cutoff(plan: Drafting, key: KeyRef) -> Mark:
    """Containment of its own: forgeries signed before the key stopped are believed until relying parties hear of it."""
    told = [consumer.name for consumer in plan.lookup.consumers(key) if consumer.channel]
    return plan.add(
        Draft(
            Phase.CONTAIN,
            Action.PUBLISH_CUTOFF,
            str(key),
            why="A certificate's revocation alone does not reach everybody; the cut-off time says what not to believe.",
            inputs={"consumers": list(told)},
            price="Signatures made after the cut-off time are refused, also genuine ones until signed again.",
            unavailable="" if told else "no relying party has a channel: tell them by hand",
        )
    )


def _revoke_certificates(plan: Drafting, key: KeyRef, *, after: list[Mark]) -> list[Mark]:
    return [
        plan.add(
            Draft(
                Phase.REVOKE,
                Action.REVOKE_CERTIFICATE,
                str(entry.ref),
                why="Revoked for key compromise (RFC 5280, reason 1), so that relying parties stop trusting it.",
                reversibility=Reversibility.IRREVERSIBLE,
                price=f"{entry.subject or entry.ref} is untrusted for good.",
                needs=tuple(after),
                early=True,
            )
        )
        for entry in plan.lookup.certificates.get(key, [])
    ]


def _issue_certificates(plan: Drafting, key: KeyRef, new: Output) -> Output | None:
    """Certify the new key as the old one was; returns the first new certificate."""
    issued = [
        plan.add(
            Draft(
                Phase.RENEW,
                Action.ISSUE_CERTIFICATE,
                str(entry.ref),
                why="The new key needs the name that the old one had.",
                inputs={"new_key": new, "subject": entry.subject},
            )
        )
        for entry in plan.lookup.certificates.get(key, [])
    ]
    return Output(issued[0], "certificate") if issued else None


def _resign(plan: Drafting, key: KeyRef, new: Output, certificate: Output | None, *, after: list[Mark]) -> list[Mark]:
    signers = {entry.consumer for entry in plan.lookup.users.get(key, [])}
    return [
        plan.add(
            Draft(
                Phase.RENEW,
                Action.RESIGN,
                consumer.name,
                why="What must live on is signed again; the rest loses its trust with the old key.",
                inputs={
                    "old_key": str(key),
                    "new_key": new,
                    **({"certificate": certificate} if certificate else {}),
                },
                needs=tuple(after),
            )
        )
        for consumer in plan.lookup.consumers(key)
        if consumer.name in signers
    ]
