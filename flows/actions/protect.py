"""Effects on data at rest: rewrap, full re-encryption and the census that proves them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from flows.effects import StepContext, StepResult
from playbooks.event_bodies import body_of
from playbooks.ports import Shard, ShardResult
from playbooks.receipts import Census, Receipt
from playbooks.record import EventKind

MAX_SWEEPS = 5
"""A sweep that loses races to writers is repeated; writers on the old key end after the switch."""


def rewrap(context: StepContext) -> StepResult:
    """Renew every wrapped data key; payloads stay as they are."""
    return _sweep(context, "rewrap")


def reencrypt(context: StepContext) -> StepResult:
    """Renew every data key and payload."""
    return _sweep(context, "reencrypt")


def take_census(context: StepContext) -> StepResult:
    """Count what is still under the old key, by unwrapping."""
    census = _census(context)
    return StepResult(
        "proven" if census.clear else "not-proven", outputs={"on_old": census.on_old}, detail=_sentence(census)
    )


def _sweep(context: StepContext, move: str) -> StepResult:
    clock = context.wiring.clock
    requested_at = clock()
    total, census = ShardResult(), None
    for _ in range(MAX_SWEEPS):
        for result in _one_sweep(context, move):
            total.rewritten += result.rewritten
            total.failed += result.failed
            total.missed += result.missed
            total.bytes += result.bytes
        census = _census(context)
        if census.clear or census.failed or census.unreachable:
            break
    if census is None or not census.clear:
        return StepResult("not-proven", detail=_sentence(census) if census else "No census was taken.")
    receipt = Receipt(
        subject=context.step.target,
        move=move,
        requested_at=requested_at,
        accepted_at=clock(),
        proven_at=census.taken_at,
        changed=total.rewritten > 0,
    )
    outputs: dict[str, Any] = {"objects": total.rewritten, "bytes": total.bytes, "races": total.missed}
    return StepResult("proven", receipt, outputs=outputs, detail=_sentence(census))


def _one_sweep(context: StepContext, move: str) -> list[ShardResult]:
    store = context.wiring.data(context.dataset())
    old, new = context.key("old_key"), context.key("new_key")

    def work(shard: Shard) -> ShardResult:
        result: ShardResult = getattr(store, move)(shard, old=old, new=new, keys=context.wiring.keys)
        kind = EventKind.SHARD_FINISHED
        body = body_of(kind, step=context.step.id, shard=shard.index, result=asdict(result))
        context.wiring.records.append_next(context.incident.id, kind=kind, body=body)
        return result

    count = context.wiring.settings.policy.shards
    with ThreadPoolExecutor(max_workers=count) as pool:
        return list(pool.map(work, store.shards(context.dataset(), count=count)))


def _census(context: StepContext) -> Census:
    store = context.wiring.data(context.dataset())
    census: Census = store.census(
        context.dataset(), old=context.key("old_key"), new=context.key("new_key"), keys=context.wiring.keys
    )
    body = body_of(EventKind.CENSUS_TAKEN, census=census)
    context.wiring.records.append_next(context.incident.id, kind=EventKind.CENSUS_TAKEN, body=body)
    return census


def _sentence(census: Census) -> str:
    rest = census.on_old + census.failed + census.unreachable + census.unknown
    return f"{census.on_new} of {census.objects} objects under the new key, {rest} not."
