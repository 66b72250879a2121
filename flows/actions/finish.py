"""Effects that tell relying parties and people, retire the old key, and end the case."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter

from flows.effects import StepContext, StepResult, prove
from flows.outbox import queue
from playbooks.briefing import briefing
from playbooks.drafts import Draft, draft, wider
from playbooks.errors import InvalidInput, NotFound
from playbooks.event_bodies import NeedToKnow, body_of
from playbooks.gates import datasets_of, retirement_allowed
from playbooks.incident import Incident
from playbooks.playbook import Notice
from playbooks.ports import Informs, Message, ReportsHealth
from playbooks.receipts import Receipt
from playbooks.record import EventKind
from playbooks.timings import rfc3339

_REACH: TypeAdapter[NeedToKnow] = TypeAdapter(NeedToKnow)


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
    told: dict[str, datetime] = {}
    for consumer in context.texts("consumers"):
        channel = context.wiring.consumer(consumer)
        if name not in _published(channel, consumer):
            channel.publish(consumer, values={name: rfc3339(cutoff)})
        told[consumer] = context.wiring.clock()
    context.accepted()
    deaf = _not_heard_from(context, told)
    return StepResult(
        "done" if told and not deaf else "not-proven",
        outputs={"cutoff": rfc3339(cutoff)},
        detail=f"Told {', '.join(told) or 'nobody'}." + (f" Not heard from since: {', '.join(deaf)}." if deaf else ""),
    )


def _published(channel: Informs, consumer: str) -> Mapping[str, str]:
    try:
        return channel.published(consumer)
    except NotFound:
        return {}


def _not_heard_from(context: StepContext, told: Mapping[str, datetime]) -> list[str]:
    """Who has not reported since being told, so that nothing shows that the cut-off was read, by the policy's deadline.

    Forgeries may still be believed there.
    """
    deadline = time.monotonic() + context.wiring.settings.policy.containment_deadline_seconds
    silent = list(told)
    while True:
        silent = [each for each in silent if not _heard_from(context, each, told[each])]
        if not silent or time.monotonic() >= deadline:
            return silent
        time.sleep(0.02)


def _heard_from(context: StepContext, consumer: str, since: datetime) -> bool:
    channel: ReportsHealth = context.wiring.consumer(consumer)
    health = channel.health(consumer)
    return health is not None and health.at > since


def notify(context: StepContext) -> StepResult:
    """Put one message into the outbox; what goes further than the responders waits as a draft to be read."""
    wiring, message_id = context.wiring, context.marker
    incident = wiring.incident(context.incident.id)
    if message_id in incident.messages or message_id in incident.people.drafts:
        return StepResult("done")
    reach: NeedToKnow = _REACH.validate_python(context.text("need_to_know", "responders"))
    written = _written(context, incident, reach)
    if written.need_to_know == "responders":
        message = Message(
            id=message_id,
            audience=written.audience,
            subject=written.subject,
            body=written.body,
            exercise=incident.exercise,
        )
        queue(wiring.records, incident.id, message)
        return StepResult("done")
    body = body_of(
        EventKind.MESSAGE_DRAFTED,
        id=message_id,
        audience=written.audience,
        need_to_know=written.need_to_know,
        subject=written.subject,
        body=written.body,
    )
    wiring.records.append_next(incident.id, kind=EventKind.MESSAGE_DRAFTED, body=body)
    return StepResult("done", detail="A draft waits to be read before it is sent.")


def _written(context: StepContext, incident: Incident, reach: NeedToKnow) -> Draft:
    """The message, by the notice's template when it names one, else by its own words."""
    audience, template = context.step.target, context.text("draft", "")
    if template:
        made = draft(incident, template, context.wiring.clock(), audience=audience)
        return replace(made, need_to_know=wider(made.need_to_know, reach))
    notice = Notice(audience=audience, subject=context.text("subject"), body=context.text("body"))
    subject, body = notice.render(briefing(incident))
    return Draft(audience=audience, need_to_know=reach, subject=subject, body=body)


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
