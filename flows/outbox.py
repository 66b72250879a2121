"""The outbox: messages are events first and delivered afterwards, so none is lost and none holds up the response.

Delivery is at least once; a message's id lets the channel show it once.  Each channel gets the messages in the order in
which they were queued.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from playbooks.errors import Conflict, KeyquellError, RecordError
from playbooks.event_bodies import body_of
from playbooks.incident import Incident, OutboxMessage
from playbooks.ports import Delivers, KeepsRecords, Message
from playbooks.record import Event, EventKind

_APPEND_ATTEMPTS = 50
_DELIVERY_SECONDS = 10.0
_FAILURES_IN_ORDER = 5
"""A message that a channel refused this often no longer holds up the ones behind it; it is still tried."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What one round did: (message id, channel) pairs."""

    delivered: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


def queue(records: KeepsRecords, incident_id: str, message: Message, *, reviewed_by: str = "") -> None:
    """Put a message into the record; the same id a second time changes nothing.

    Raises RecordError when the record cannot be extended.
    """
    body = body_of(
        EventKind.MESSAGE_QUEUED,
        id=message.id,
        audience=message.audience,
        subject=message.subject,
        body=message.body,
        need_to_know=message.need_to_know,
        reviewed_by=reviewed_by,
    )
    for attempt in range(_APPEND_ATTEMPTS):
        incident = Incident.of(records.events(incident_id))
        if message.id in incident.messages:
            return
        try:
            records.append(incident_id, kind=EventKind.MESSAGE_QUEUED, body=body, expected_head=incident.head)
        except Conflict:
            if attempt == _APPEND_ATTEMPTS - 1:
                raise
        else:
            return


def deliver_pending(
    records: KeepsRecords,
    incident_id: str,
    messengers: Mapping[str, Delivers],
    *,
    seconds_each: float = _DELIVERY_SECONDS,
) -> Deliveries:
    """Offer every message to every channel that has not taken it; never raises.

    A channel that fails or does not answer within ``seconds_each`` is recorded and left alone until the next round.
    """
    delivered: list[tuple[str, str]] = []
    failed: list[tuple[str, str]] = []
    try:
        incident = Incident.of(records.events(incident_id))
        resting: set[str] = set()
        for message in incident.messages.values():
            for channel, messenger in messengers.items():
                if channel in message.delivered or channel in resting:
                    continue
                error = _offer(messenger, _addressed(message, incident), seconds_each)
                (failed if error else delivered).append((message.id, channel))
                if error and message.failures.get(channel, 0) + 1 < _FAILURES_IN_ORDER:
                    resting.add(channel)
                _note(records, incident_id, message.id, channel, error)
    except KeyquellError as error:
        _log.warning("the outbox of %s waits: %s", incident_id, error)
    return Deliveries(tuple(delivered), tuple(failed))


def _addressed(message: OutboxMessage, incident: Incident) -> Message:
    return Message(
        id=message.id,
        audience=message.audience,
        subject=message.subject,
        body=message.body,
        exercise=incident.exercise,
        need_to_know=message.need_to_know,
    )


def _offer(messenger: Delivers, message: Message, seconds: float) -> str:
    """Try one delivery; returns "" or why it failed.

    It runs in a thread of its own, because a channel's client may hang however it was configured.
    """
    errors: list[str] = []

    def deliver() -> None:
        try:
            messenger.deliver(message)
        except KeyquellError as error:
            errors.append(error.message)
        except Exception as error:  # noqa: BLE001  a broken channel must not reach the response; its text may hold a secret
            errors.append(type(error).__name__)

    thread = threading.Thread(target=deliver, name=f"deliver-{message.id}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        return f"no answer within {seconds:g} s"
    return errors[0] if errors else ""


def _note(records: KeepsRecords, incident_id: str, message_id: str, channel: str, error: str) -> Event:
    kind = EventKind.MESSAGE_FAILED if error else EventKind.MESSAGE_DELIVERED
    fields = {"id": message_id, "channel": channel} | ({"error": error} if error else {})
    body = body_of(kind, **fields)
    for _ in range(_APPEND_ATTEMPTS):
        head = records.events(incident_id)[-1].hash
        try:
            return records.append(incident_id, kind=kind, body=body, expected_head=head)
        except Conflict:
            continue
    raise RecordError(f"the record of {incident_id} is too busy to note what became of message {message_id}.")
