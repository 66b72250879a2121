"""Effects that tell relying parties and people, retire the old key, and end the case."""

from __future__ import annotations

import time
from collections.abc import Mapping

from flows.effects import StepContext, StepResult, prove
from flows.outbox import queue
from playbooks.briefing import briefing
from playbooks.errors import InvalidInput, NotFound
from playbooks.gates import datasets_of, retirement_allowed
from playbooks.playbook import Notice
from playbooks.ports import Informs, Message, ReportsHealth
from playbooks.receipts import Receipt
from playbooks.timings import rfc3339

HEARING_SECONDS = 2.0
"""How long publishing a cut-off waits for a sign of life from each relying party."""


def revoke_certificate(context: StepContext) -> StepResult:
    """Revoke for key compromise, then read the published list afresh."""
    certificate = context.certificate()
    issuer = context.wiring.certificates(certificate)
    receipt: Receipt = issuer.revoke_certificate(certificate)
    return prove(context, lambda: issuer.probe_revoked(certificate)).settle(receipt)


def publish_cutoff(context: StepContext) -> StepResult:
    """Tell relying parties from when on the old key's signatures count for nothing.

    The time is the earliest evidence of misuse; a cut-off that is published already is not moved.
    """
    key = context.key()
    name = f"cutoff.{key}"
    seen = [exposure.occurred.not_before or exposure.occurred.not_after for exposure in context.incident.exposures]
    cutoff = min((moment for moment in seen if moment), default=context.incident.opened_at)
    told, deaf = list[str](), list[str]()
    for consumer in context.texts("consumers"):
        channel = context.wiring.consumer(consumer)
        if name not in _published(channel, consumer):
            channel.publish(consumer, values={name: rfc3339(cutoff)})
        if not _heard_from(context, channel, consumer):
            deaf.append(consumer)
        told.append(consumer)
    return StepResult(
        "done" if told else "not-proven",
        outputs={"cutoff": rfc3339(cutoff)},
        detail=f"Told {', '.join(told) or 'nobody'}." + (f" Not heard from since: {', '.join(deaf)}." if deaf else ""),
    )


def _published(channel: Informs, consumer: str) -> Mapping[str, str]:
    try:
        return channel.published(consumer)
    except NotFound:
        return {}


def _heard_from(context: StepContext, channel: ReportsHealth, consumer: str) -> bool:
    """Has the consumer reported since it was told, so that it can have read the cut-off?"""
    told_at, deadline = context.wiring.clock(), time.monotonic() + HEARING_SECONDS
    while time.monotonic() < deadline:
        health = channel.health(consumer)
        if health is not None and health.at > told_at:
            return True
        time.sleep(0.02)
    return False


def notify(context: StepContext) -> StepResult:
    """Put one message into the outbox; delivery is at its own pace."""
    incident = context.wiring.incident(context.incident.id)
    notice = Notice(audience=context.step.target, subject=context.text("subject"), body=context.text("body"))
    subject, body = notice.render(briefing(incident))
    message = Message(
        id=context.marker,
        audience=notice.audience,
        subject=subject,
        body=body,
        exercise=incident.exercise,
    )
    queue(context.wiring.records, incident.id, message)
    return StepResult("done")


def schedule_deletion(context: StepContext) -> StepResult:
    """Start the deletion window; refused until the census is clear and backups have aged out by its end."""
    key = context.key()
    days = int(context.inputs.get("days", 30))
    _allow_retirement(context, window_days=days)
    receipt: Receipt = context.wiring.keys(key).schedule_deletion(key, days=days)
    return StepResult("done", receipt)


def destroy_key(context: StepContext) -> StepResult:
    """End the key for good; refused until the census is clear and backups have aged out."""
    key = context.key()
    _allow_retirement(context, window_days=0)
    return StepResult("done", context.wiring.keys(key).destroy(key))


def review(context: StepContext) -> StepResult:
    """Nothing is left to do but to look back: the record is complete."""
    return StepResult("done", detail=f"{len(context.incident.steps)} steps.")


def _allow_retirement(context: StepContext, *, window_days: int) -> None:
    plan = context.incident.plan
    if plan is None:
        raise InvalidInput(f"{context.incident.id} has no plan.", hint="Make it with `keyquell plan`.")
    retirement_allowed(
        censuses=context.incident.censuses,
        datasets=datasets_of(context.key(), plan=plan, estate=context.wiring.estate),
        now=context.wiring.clock(),
        migrated_at=context.incident.data_safe_at,
        window_days=window_days,
    )
