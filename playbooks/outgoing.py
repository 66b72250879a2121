"""The messages of a case: what waits, who took it, who refused it."""

from __future__ import annotations

from dataclasses import dataclass, field

from playbooks.errors import RecordError
from playbooks.event_bodies import MessageDelivered, MessageFailed, MessageQueued, NeedToKnow


@dataclass(slots=True)
class OutboxMessage:
    """One message of the outbox: the channels that took it, and how often each channel refused it."""

    id: str
    audience: str
    subject: str
    body: str
    delivered: tuple[str, ...] = ()
    failures: dict[str, int] = field(default_factory=dict)
    need_to_know: NeedToKnow = "responders"
    reviewed_by: str = ""


def post(messages: dict[str, OutboxMessage], body: MessageQueued | MessageDelivered | MessageFailed) -> None:
    """Take one event of a message into ``messages``, by id.  Raises RecordError on a contradiction."""
    if isinstance(body, MessageQueued):
        if body.id in messages:
            raise RecordError(f"message {body.id} is queued a second time.")
        messages[body.id] = OutboxMessage(
            body.id,
            body.audience,
            body.subject,
            body.body,
            need_to_know=body.need_to_know,
            reviewed_by=body.reviewed_by,
        )
        return
    message = messages.get(body.id)
    if message is None:
        raise RecordError(f"message {body.id} is delivered although it was never queued.")
    if isinstance(body, MessageFailed):
        message.failures[body.channel] = message.failures.get(body.channel, 0) + 1
    elif body.channel not in message.delivered:
        message.delivered += (body.channel,)
