"""The moves that several strategies share, each with its reason, its price and what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import JsonValue

from playbooks.estate import CredentialEntry
from playbooks.keys import Capability
from playbooks.plans import Action, Phase, Reversibility
from playbooks.playbook import ContainmentMove
from playbooks.refs import KeyRef
from playbooks.strategies.draft import Draft, Drafting, Mark, Output

_KEY_MOVES = {
    ContainmentMove.QUARANTINE: (Action.QUARANTINE_KEY, Capability.QUARANTINE),
    ContainmentMove.STOP_ENCRYPT: (Action.STOP_ENCRYPTION, Capability.STOP_ENCRYPTION),
    ContainmentMove.DISABLE: (Action.DISABLE_KEY, Capability.DISABLE),
}
_RESTORABLE = frozenset({"aws-iam", "postgres-role"})
"""A revoked OpenBao token does not come back, and a leaked PIN must not: both are renewed instead."""


def listed(names: Iterable[str], *, most: int = 4) -> str:
    """Names for a sentence, the rest counted."""
    every = list(names)
    shown = ", ".join(every[:most])
    return f"{shown} and {len(every) - most} more" if len(every) > most else shown


def cut(plan: Drafting, entry: CredentialEntry, *, why: str) -> Mark:
    """Cut a credential and end what was minted from it; returns the cut."""
    uri = str(entry.ref)
    if not entry.secret:
        plan.unknowns.append(f"no secret reference is known for {uri}: its refusal can only be shown from outside")
    done = plan.add(
        Draft(
            Phase.CONTAIN,
            Action.CUT_CREDENTIAL,
            uri,
            why=why,
            inputs={"secret": entry.secret} if entry.secret else {},
            undo=Action.CUT_CREDENTIAL if entry.ref.scheme in _RESTORABLE else None,
            price=f"{entry.consumer} cannot log in until its new credential arrives.",
        )
    )
    plan.add(
        Draft(
            Phase.CONTAIN,
            Action.REVOKE_SESSIONS,
            uri,
            why="Sessions opened with the credential outlive it; they end after the cut, so that no new one follows.",
            inputs={"secret": entry.secret} if entry.secret else {},
            price=f"Open sessions of {entry.consumer} are dropped.",
            needs=(done,),
        )
    )
    return done


def contain_key(
    plan: Drafting, key: KeyRef, *, moves: Sequence[ContainmentMove], why: str, secret: str = ""
) -> Mark | None:
    """Draft the first move of the list that the backend permits; what it does not permit is drafted as unavailable.

    ``secret`` refers to the identity that a quarantine must be shown to refuse.  Disabling a key under which data has
    still to be read is left to ``disable_after``.  Returns None then, and when nothing on the list is possible.
    """
    limits: dict[str, JsonValue | Output] = {"allow": list(plan.playbook.options.allow), "secret": secret}
    for move in moves:
        if move is ContainmentMove.CUT_CREDENTIAL:
            continue
        if move is ContainmentMove.DISABLE and plan.lookup.datasets.get(key):
            return None
        action, capability = _KEY_MOVES[move]
        reason = plan.cannot(key, capability)
        mark = plan.add(
            Draft(
                Phase.CONTAIN,
                action,
                str(key),
                why=why,
                inputs=limits if action is Action.QUARANTINE_KEY else {},
                undo=action,
                price=_price(plan, key, move),
                unavailable=reason,
            )
        )
        if not reason:
            return mark
    return None


def _price(plan: Drafting, key: KeyRef, move: ContainmentMove) -> str:
    names = listed(consumer.name for consumer in plan.lookup.consumers(key)) or "nobody listed"
    stated = plan.playbook.containment.price_of(move)
    effect = {
        ContainmentMove.QUARANTINE: f"{names} cannot use the key until data and settings moved to the new one.",
        ContainmentMove.STOP_ENCRYPT: f"{names} cannot write under the key until switched; reading goes on.",
        ContainmentMove.DISABLE: f"Everything under the key stops, for {names} and for us.",
        ContainmentMove.CUT_CREDENTIAL: "",
    }[move]
    return f"{effect} {stated}".strip()


def renew_key(plan: Drafting, key: KeyRef, *, after: Sequence[Mark], why: str) -> Output:
    """Create the successor and switch consumers to it; returns the reference to the new key."""
    made = plan.add(
        Draft(
            Phase.RENEW,
            Action.CREATE_KEY,
            str(key),
            why=why,
            needs=tuple(after),
            unavailable=plan.cannot(key, Capability.CREATE),
        )
    )
    return Output(made, "key")


def switch_key(plan: Drafting, key: KeyRef, new: Output, *, certificate: Output | None = None) -> Mark:
    """Point consumers and aliases at the new key."""
    inputs: dict[str, JsonValue | Output] = {
        "new_key": new,
        "consumers": [consumer.name for consumer in plan.lookup.consumers(key)],
        "datasets": [str(dataset.ref) for dataset in plan.lookup.datasets.get(key, [])],
    }
    if certificate is not None:
        inputs["certificate"] = certificate
    return plan.add(
        Draft(
            Phase.RENEW,
            Action.SWITCH_KEY,
            str(key),
            inputs=inputs,
            why="What is written or signed from now on must be under the new key, before the old data is moved.",
        )
    )


def issue_credentials(plan: Drafting) -> list[Mark]:
    """Issue the successor of every credential that is cut, delivered to its consumer."""
    return [_issue(plan, plan.lookup.credentials[mark.target], mark) for mark in plan.drafted(Action.CUT_CREDENTIAL)]


def _issue(plan: Drafting, entry: CredentialEntry, cut_mark: Mark) -> Mark:
    where = delivery(plan, entry)
    return plan.add(
        Draft(
            Phase.RENEW,
            Action.ISSUE_CREDENTIAL,
            str(entry.ref),
            why=f"{entry.consumer} needs a credential that the attacker does not have.",
            inputs={"deliver_to": where, "consumer": entry.consumer},
            needs=(cut_mark,),
            unavailable=""
            if where
            else f"the estate names no credential_file for {entry.consumer}: hand the new credential over by hand",
        )
    )


def delivery(plan: Drafting, entry: CredentialEntry) -> str:
    """Where a credential's successor is written, or "".

    The consumer's first credential in the estate goes to its ``credential_file``, each further one beside it, with
    its scheme appended, so that none overwrites another.
    """
    consumer = plan.lookup.consumer(entry.consumer)
    if consumer is None or not consumer.credential_file:
        return ""
    own = plan.lookup.of_consumer[entry.consumer]
    if own[0].ref == entry.ref:
        return consumer.credential_file
    same = [each.ref for each in own if each.ref.scheme == entry.ref.scheme]
    number = same.index(entry.ref)
    return f"{consumer.credential_file}-{entry.ref.scheme}{f'-{number + 1}' if number else ''}"


def move_data(plan: Drafting, key: KeyRef, new: Output, *, full: bool, switched: Mark, why: str) -> list[Mark]:
    """Move every dataset under the key: rewrap, or ``full`` re-encryption, which wins when both are asked for."""
    moves = []
    for dataset in plan.lookup.datasets.get(key, []):
        deep = full or plan.asked_for(Mark(Action.REENCRYPT, str(dataset.ref)))
        moves.append(
            plan.add(
                Draft(
                    Phase.REENCRYPT,
                    Action.REENCRYPT if deep else Action.REWRAP,
                    str(dataset.ref),
                    why=why,
                    inputs={"old_key": str(key), "new_key": new},
                    price="Payload and data keys are written anew; reads go on." if deep else "",
                    needs=(switched,),
                    unavailable=_cannot_read(plan, key),
                )
            )
        )
    return moves


def _cannot_read(plan: Drafting, key: KeyRef) -> str:
    """Data can be moved where the backend wraps and unwraps, or rewraps by itself."""
    reason = plan.cannot(key, Capability.WRAP)
    return reason if reason and plan.cannot(key, Capability.REWRAP) else ""


def take_censuses(plan: Drafting, key: KeyRef, new: Output, *, after: Sequence[Mark], phase: Phase) -> list[Mark]:
    """Count each dataset by unwrapping.  Before a disabling step it stands in REENCRYPT: afterwards nothing unwraps."""
    return [
        plan.add(
            Draft(
                phase,
                Action.TAKE_CENSUS,
                str(dataset.ref),
                why="Only an object that opens under the new key counts as moved.",
                inputs={"old_key": str(key), "new_key": new},
                needs=tuple(mark for mark in after if mark.target == str(dataset.ref)),
            )
        )
        for dataset in plan.lookup.datasets.get(key, [])
    ]


def disable_after(plan: Drafting, key: KeyRef, *, after: Sequence[Mark], why: str) -> Mark:
    """Disable the old key once nothing is left under it."""
    return plan.add(
        Draft(
            Phase.REVOKE,
            Action.DISABLE_KEY,
            str(key),
            why=why,
            undo=Action.DISABLE_KEY,
            price="Whatever was missed under the old key cannot be read until the step is undone.",
            needs=tuple(after),
            unavailable=plan.cannot(key, Capability.DISABLE),
        )
    )


def probe_credentials(plan: Drafting) -> list[Mark]:
    """Show that every cut credential is refused."""
    return [
        plan.add(
            Draft(
                Phase.VERIFY,
                Action.PROBE_OLD,
                mark.target,
                why="A call that returned proves nothing; a fresh login that is refused does.",
                inputs={"secret": plan.lookup.credentials[mark.target].secret},
                needs=(mark, Mark(Action.REVOKE_SESSIONS, mark.target)),
            )
        )
        for mark in plan.drafted(Action.CUT_CREDENTIAL)
    ]


def probe_key(
    plan: Drafting, key: KeyRef, new: Output, *, operation: str, secret: str, after: Sequence[Mark], switched: Mark
) -> list[Mark]:
    """Show that the old key refuses ``operation`` and that the new one works.

    ``secret`` names the identity that must be refused; "" is the recovery identity, refused only when nobody may.
    """
    new_operation = "sign" if operation == "sign" else "encrypt"
    old = Draft(
        Phase.VERIFY,
        Action.PROBE_OLD,
        str(key),
        why="The old key counts as contained when it refuses, with its own specific code.",
        inputs={"operation": operation, "secret": secret},
        needs=tuple(after),
    )
    fresh = Draft(
        Phase.VERIFY,
        Action.PROBE_NEW,
        str(key),
        why="The service is not restored before the new key works.",
        inputs={"new_key": new, "operation": new_operation},
        needs=(switched,),
    )
    return [plan.add(old), plan.add(fresh)]


def check_consumers(plan: Drafting, keys: Sequence[KeyRef], *, after: Sequence[Mark]) -> list[Mark]:
    """Show that each affected service works again."""
    holders = {plan.lookup.credentials[mark.target].consumer for mark in plan.drafted(Action.CUT_CREDENTIAL)}
    hit = holders | {consumer.name for key in keys for consumer in plan.lookup.consumers(key)}
    return [
        plan.add(
            Draft(
                Phase.VERIFY,
                Action.CHECK_CONSUMER,
                consumer.name,
                why="Restored means that the service itself says so.",
                needs=tuple(mark for mark in after if _concerns(plan, mark, consumer.name)),
                unavailable="" if consumer.channel else f"{consumer.name} has no channel: ask its owner",
            )
        )
        for consumer in plan.lookup.in_order(hit)
    ]


def _concerns(plan: Drafting, mark: Mark, consumer: str) -> bool:
    entry = plan.lookup.credentials.get(mark.target)
    return entry is None or entry.consumer == consumer


def retire(plan: Drafting, key: KeyRef, *, after: Sequence[Mark]) -> Mark:
    """End the old key: by a window where the backend has one, else for good; never before the census is clear."""
    reason = plan.cannot(key, Capability.SCHEDULE_DELETION)
    facts = plan.facts.get(key)
    scheduled = not reason and (facts is not None or key.scheme == "aws-kms")
    if scheduled:
        days = _deletion_days(plan, key)
        draft = Draft(
            Phase.RETIRE,
            Action.SCHEDULE_DELETION,
            str(key),
            why="A leaked key must not live on; the window outlasts what backups still hold where it can.",
            inputs={"days": days},
            reversibility=Reversibility.WINDOWED,
            undo=Action.CANCEL_DELETION,
            price=f"Backups under the old key become unreadable after {days} days.",
            needs=tuple(after),
        )
    else:
        draft = Draft(
            Phase.RETIRE,
            Action.DESTROY_KEY,
            str(key),
            why="A leaked key must not live on; this backend has no window, so two people look first.",
            reversibility=Reversibility.IRREVERSIBLE,
            price="Backups and signatures that still need the old key are lost for good.",
            needs=tuple(after),
            unavailable=plan.cannot(key, Capability.DESTROY),
        )
    return plan.add(draft)


def _deletion_days(plan: Drafting, key: KeyRef) -> int:
    """The playbook's days, at least the longest backup retention, within what the backend takes."""
    kept = [dataset.backup_retention_days or 0 for dataset in plan.lookup.datasets.get(key, [])]
    wanted = max([plan.playbook.options.deletion_days, *kept])
    facts = plan.facts.get(key)
    shortest, longest = (facts.deletion_days if facts else None) or (7, 30)
    return min(max(wanted, shortest), longest)
