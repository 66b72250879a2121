"""The attacker may *use* keys but does not have them: cut the right, quarantine the keys, then rewrap."""

from __future__ import annotations

from playbooks.estate import CredentialEntry
from playbooks.exposures import Exposure
from playbooks.keys import Capability
from playbooks.plans import Action, Phase
from playbooks.playbook import ContainmentMove
from playbooks.refs import KeyRef
from playbooks.strategies import moves
from playbooks.strategies.draft import Draft, Drafting, Mark
from playbooks.strategies.signing_key import respond_to_forgery


def draft_credential(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to a leaked access key, token, PIN or login."""
    entry = plan.lookup.credentials.get(exposure.target)
    if entry is None:
        plan.unknowns.append(f"{exposure.target} is not in the estate: nobody knows what it may use")
        return
    if exposure.via and exposure.via in plan.lookup.credentials:
        moves.cut(plan, plan.lookup.credentials[exposure.via], why="The leak came through this credential.")
    cut = moves.cut(plan, entry, why="The attacker holds this credential; without it the way to the keys is closed.")
    listed = plan.lookup.keys
    keys = [key for key in entry.may_use if key in listed and _operation(plan, key) == "decrypt"]
    contained = {key: _contain(plan, key, entry) for key in keys}
    plan.residual.append(f"What {exposure.target} opened before it was refused stays known to whoever held it.")
    recover(plan, keys, cuts=[cut], contained=contained, secret=entry.secret)
    for key in entry.may_use:
        if key in listed and key not in keys:
            respond_to_forgery(plan, key, cuts=[cut])


def draft_policy(plan: Drafting, exposure: Exposure) -> None:
    """Draft the response to a right that is too wide: narrow it on the key, then renew what it reached."""
    key = KeyRef.parse(exposure.target)
    revoke_grants(plan, key, price="Services that live on grants stop until they are granted again by hand.")
    via = plan.lookup.credentials.get(exposure.via)
    contained = moves.contain_key(
        plan,
        key,
        moves=_key_moves(plan),
        why="Until the policy is narrowed, only the recovery identity may decrypt.",
        secret=via.secret if via else "",
    )
    cuts = [moves.cut(plan, via, why="The too wide right was used through this credential.")] if via else []
    plan.residual.append(f"What was opened under {key} through the too wide right stays known to whoever used it.")
    recover(plan, [key], cuts=cuts, contained={key: contained}, secret=via.secret if via else "")


def revoke_grants(plan: Drafting, key: KeyRef, *, price: str) -> Mark | None:
    """End delegated rights where the backend has such; a backend without grants has nothing to revoke."""
    facts = plan.facts.get(key)
    if facts is None or not facts.can(Capability.REVOKE_GRANTS):
        return None
    return plan.add(
        Draft(
            Phase.CONTAIN,
            Action.REVOKE_GRANTS,
            str(key),
            why="A grant made with the leaked right works without it.",
            inputs={"principal": ""},
            price=price,
        )
    )


def recover(
    plan: Drafting,
    keys: list[KeyRef],
    *,
    cuts: list[Mark],
    contained: dict[KeyRef, Mark | None],
    secret: str,
) -> None:
    """Renew the keys, rewrap their data, show it, and retire the old ones.  Keys wrapped by them count as read."""
    inner = plan.lookup.below(keys)
    issued = moves.issue_credentials(plan)
    switches = []
    for key in [*keys, *inner]:
        new = moves.renew_key(
            plan, key, after=cuts, why="A new key, created after the cut, was never within the attacker's reach."
        )
        switched = moves.switch_key(plan, key, new)
        switches.append(switched)
        why = "The attacker could use the key but not take it: new wrapping for each data key is enough."
        if key in inner:
            why = "This key could be unwrapped by the attacker: its data needs new data keys."
        moved = moves.move_data(plan, key, new, full=key in inner, switched=switched, why=why)
        late = contained.get(key) is None and key in contained and not _is_pin_cut(plan, key)
        censuses = moves.take_censuses(plan, key, new, after=moved, phase=Phase.REENCRYPT if late else Phase.VERIFY)
        shown = [mark for mark in (contained.get(key), *cuts) if mark is not None]
        if late and plan.lookup.datasets.get(key):
            why = "The key could not be contained earlier without stopping the re-encryption."
            shown.append(moves.disable_after(plan, key, after=censuses, why=why))
        probes = moves.probe_key(
            plan, key, new, operation=_operation(plan, key), secret=secret, after=shown, switched=switched
        )
        moves.retire(plan, key, after=[*censuses, *probes])
    moves.probe_credentials(plan)
    moves.check_consumers(plan, [*keys, *inner], after=[*switches, *issued])


def _contain(plan: Drafting, key: KeyRef, entry: CredentialEntry) -> Mark | None:
    """Quarantine the key, unless changing the PIN just did: on a token the two are one move."""
    revoke_grants(plan, key, price="Services that live on grants stop until they are granted again by hand.")
    if entry.ref.scheme == "pkcs11-pin" and not plan.cannot(key, Capability.QUARANTINE):
        return None
    return moves.contain_key(
        plan,
        key,
        moves=_key_moves(plan),
        why="The attacker may have made other ways to the key; the quarantine closes them all.",
        secret=entry.secret,
    )


def _is_pin_cut(plan: Drafting, key: KeyRef) -> bool:
    pins = [mark for mark in plan.drafted(Action.CUT_CREDENTIAL) if mark.target.startswith("pkcs11-pin:")]
    return key.scheme == "pkcs11" and bool(pins) and not plan.cannot(key, Capability.QUARANTINE)


def _key_moves(plan: Drafting) -> list[ContainmentMove]:
    return [move for move in plan.playbook.containment.moves if move is not ContainmentMove.CUT_CREDENTIAL]


def _operation(plan: Drafting, key: KeyRef) -> str:
    facts = plan.facts.get(key)
    entry = plan.lookup.keys.get(key)
    listed = entry.purpose if entry else "encrypt"
    return "sign" if (facts.purpose if facts else listed) == "sign" else "decrypt"
