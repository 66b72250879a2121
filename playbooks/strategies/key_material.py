"""The attacker *has* the key, or data keys: no switch on the backend stops them, so cut the way to the ciphertext."""

from __future__ import annotations

from playbooks.estate import CredentialEntry
from playbooks.exposures import Exposure
from playbooks.plans import Action, Phase
from playbooks.playbook import ContainmentMove
from playbooks.refs import DatasetRef, KeyRef
from playbooks.strategies import moves
from playbooks.strategies.draft import Draft, Drafting, Mark

ROTATION_REFUSED = (
    "rotating in place is refused: the copied version goes on opening what it wrapped, and an exportable key cannot be "
    "made unexportable again"
)
"""Why a key whose material is out is never rotated and called done."""


def draft_key_material(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to a key-encryption key that got out."""
    key = KeyRef.parse(exposure.target)
    inner = plan.lookup.below([key])
    via = plan.lookup.credentials.get(exposure.via)
    cuts = [moves.cut(plan, entry, why=why) for entry, why in _ways_to_ciphertext(plan, [key, *inner], via)]
    stops = [_stop(plan, each) for each in (key, *inner)]
    _refuse_rotation(plan, key)
    full = exposure.wrapped_keys_readable is not False
    plan.residual.append(f"What was copied under {key} stays exposed: no step makes a copied ciphertext safe again.")
    issued = moves.issue_credentials(plan)
    switches = [_renew(plan, each, cuts=cuts, stops=stops, full=full or each != key) for each in (key, *inner)]
    moves.probe_credentials(plan)
    moves.check_consumers(plan, [key, *inner], after=[*switches, *issued])


def draft_data_key(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to a data key or plaintext that got out; the key above it is not exposed and is kept.

    The target is a dataset, or a key when all of its datasets are meant.
    """
    dataset = DatasetRef.parse(exposure.target) if exposure.target.split(":")[0] in DatasetRef.schemes else None
    key = _key_of(plan, dataset) if dataset else KeyRef.parse(exposure.target)
    if key is None:
        plan.unknowns.append(f"{exposure.target} is not in the estate: nobody knows the key above it")
        return
    via = plan.lookup.credentials.get(exposure.via)
    cuts = [moves.cut(plan, entry, why=why) for entry, why in _ways_to_ciphertext(plan, [key], via)]
    plan.residual.append(f"What was copied of {exposure.target} stays exposed; this never closes.")
    issued = moves.issue_credentials(plan)
    new = moves.renew_key(
        plan, key, after=cuts, why="A new key above lets the census tell new data keys from old ones."
    )
    switched = moves.switch_key(plan, key, new)
    why = "A data key is out: the payload itself needs a new one."
    moved = moves.move_data(plan, key, new, full=True, switched=switched, why=why)
    moves.take_censuses(plan, key, new, after=moved, phase=Phase.VERIFY)
    moves.probe_credentials(plan)
    moves.check_consumers(plan, [key], after=[switched, *issued])


def _key_of(plan: Drafting, dataset: DatasetRef) -> KeyRef | None:
    return plan.lookup.key_of.get(dataset)


def _ways_to_ciphertext(
    plan: Drafting, keys: list[KeyRef], via: CredentialEntry | None
) -> list[tuple[CredentialEntry, str]]:
    """The credential through which the key got out and its siblings; all readers when that is not known."""
    if via is not None:
        siblings = [entry for entry in plan.lookup.of_consumer[via.consumer] if entry.ref != via.ref]
        beside = f"It belongs to {via.consumer} as well: whoever took one may have taken the other."
        return [(via, "The key got out through this credential."), *((entry, beside) for entry in siblings)]
    plan.unknowns.append(f"by which credential {keys[0]} got out is not known: every reader of its data is cut")
    readers = {entry.ref: entry for key in keys for entry in plan.lookup.readers(key)}
    return [(entry, "It can read the ciphertext that the stolen key opens.") for entry in readers.values()]


def _stop(plan: Drafting, key: KeyRef) -> Mark | None:
    listed = plan.playbook.containment.moves
    chosen = [move for move in listed if move is not ContainmentMove.CUT_CREDENTIAL] or [ContainmentMove.STOP_ENCRYPT]
    return moves.contain_key(
        plan,
        key,
        moves=chosen,
        why="Every object written under the stolen key from now on is lost to the attacker too.",
    )


def _refuse_rotation(plan: Drafting, key: KeyRef) -> None:
    plan.add(
        Draft(
            Phase.RENEW,
            Action.ROTATE_KEY,
            str(key),
            why="Rotation looks like a remedy; for material that is out it is none.",
            unavailable=ROTATION_REFUSED,
        )
    )


def _renew(plan: Drafting, key: KeyRef, *, cuts: list[Mark], stops: list[Mark | None], full: bool) -> Mark:
    new = moves.renew_key(
        plan,
        key,
        after=[mark for mark in cuts if key in plan.lookup.credentials[mark.target].may_use],
        why="A new key that was never exportable; rotating the old one in place would keep its exposure.",
    )
    switched = moves.switch_key(plan, key, new)
    why = (
        "The attacker may have read the wrapped data keys and can open them with the key: only new data keys help."
        if full
        else "The wrapped data keys are known not to have been readable: wrapping them anew is enough."
    )
    moved = moves.move_data(plan, key, new, full=full, switched=switched, why=why)
    censuses = moves.take_censuses(plan, key, new, after=moved, phase=Phase.REENCRYPT)
    off = moves.disable_after(
        plan, key, after=[switched, *censuses], why="Nothing is left under the old key: now it can be turned off."
    )
    shown = [mark for mark in (*stops, off) if mark is not None]
    # Once disabled the key refuses everybody; where it cannot be disabled, only new encryption is refused.
    operation = "decrypt" if plan.has(off) else "encrypt"
    probes = moves.probe_key(plan, key, new, operation=operation, secret="", after=shown, switched=switched)
    moves.retire(plan, key, after=[*censuses, *probes])
    return switched
