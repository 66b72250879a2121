"""Kinds of exposure with a short answer: keys held to ransom, and those for which the answer is an honest "cannot"."""

from __future__ import annotations

from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Action, Phase, Reversibility
from playbooks.refs import KeyRef
from playbooks.strategies import moves
from playbooks.strategies.credential import recover
from playbooks.strategies.draft import Draft, Drafting, Mark

_CANNOT = {
    ExposureKind.ISSUING_KEY: (
        "replacing an issuer and everything it issued is not built: revoke the issuer at its parent, distribute the "
        "new trust anchor, and run one signing-key response for each certificate"
    ),
    ExposureKind.ALGORITHM: (
        "replacing every key of a class is not built: list the keys of the class and run one key-material response each"
    ),
}


def draft_availability(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to keys that somebody is taking away: keep them, lock the actor out, move the data."""
    via = plan.lookup.credentials.get(exposure.via) or plan.lookup.credentials.get(exposure.target)
    if via is None:
        plan.unknowns.append(f"who acts against {exposure.target} is not known: nobody is locked out")
    keys = list(via.may_use) if via and exposure.target == str(via.ref) else [KeyRef.parse(exposure.target)]
    cuts = [moves.cut(plan, via, why="The actor would schedule the deletion again.")] if via else []
    kept: dict[KeyRef, Mark | None] = {key: _cancel_deletion(plan, key) for key in keys}
    recover(plan, keys, cuts=cuts, contained=kept, secret=via.secret if via else "")


def draft_unsupported(plan: Drafting, exposure: Exposure) -> None:
    """Draft, as a step that cannot be made, what a person has to do instead."""
    plan.add(
        Draft(
            Phase.CONTAIN,
            Action.DISABLE_KEY,
            exposure.target,
            why="Every further use of it extends the damage.",
            undo=Action.DISABLE_KEY,
            price="Everything that relies on it stops.",
            unavailable=_CANNOT[exposure.kind],
        )
    )
    plan.residual.append(f"{exposure.kind.value} of {exposure.target}: {_CANNOT[exposure.kind]}.")


def _cancel_deletion(plan: Drafting, key: KeyRef) -> Mark:
    facts = plan.facts.get(key)
    pending = facts.deletion_at if facts else None
    return plan.add(
        Draft(
            Phase.CONTAIN,
            Action.CANCEL_DELETION,
            str(key),
            why="Data under a deleted key is lost; until the deadline this can still be stopped.",
            reversibility=Reversibility.WINDOWED if pending else Reversibility.REVERSIBLE,
            window_ends=pending,
            unavailable="" if facts is None or pending else "no deletion is pending",
        )
    )
