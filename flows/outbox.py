"""The outbox: messages are events first and delivered afterwards, so none is lost and none holds up the response.

Delivery is at least once; a message's id lets the channel show it once.  The record knows which channel has taken what,
and of a channel with several addresses, which address (``CHANNEL#ADDRESS``), so that a restart doubles nothing.  Each
channel gets the messages in the order in which they were queued.  What leaves the company was read by a person first,
and an exercise never leaves it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flows.offering import Outcome, offer
from playbooks.errors import Conflict, InvalidInput, KeyquellError, RecordError
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.outgoing import OutboxMessage
from playbooks.ports import Delivers, DeliversApart, KeepsRecords, Message
from playbooks.record import Event, EventKind

_APPEND_ATTEMPTS = 50
_DELIVERY_SECONDS = 10.0
_FAILURES_IN_ORDER = 5
"""A message that a channel refused this often no longer holds up the ones behind it; it is still tried."""

EXERCISE_STAYS = "an exercise never leaves the company"
UNREAD = "nobody has read it before it leaves the company"
NO_CHANNEL = "(none)"
"""The channel in the record of a message that no channel may take."""

_DELIVERING: dict[str, threading.Lock] = {}
_DELIVERING_LOCK = threading.Lock()

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """What one round did: (message id, channel) pairs."""

    delivered: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


def queue(records: KeepsRecords, incident_id: str, message: Message, *, reviewed_by: str = "") -> None:
    """Put a message into the record; the same id a second time changes nothing.

    Raises InvalidInput for a message to outsiders that nobody reviewed, RecordError when the record cannot be extended.
    """
    if message.need_to_know == "outside" and not reviewed_by:
        raise InvalidInput(f"message {message.id} leaves the company, so somebody must read it first.")
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
    fallbacks: Collection[str] = (),
    seconds_each: float = _DELIVERY_SECONDS,
) -> Deliveries:
    """Offer every message to every channel that has not taken it; never raises.

    A channel that fails or does not answer within ``seconds_each`` is recorded and left alone until the next round.
    Channels named in ``fallbacks`` get only what an ordinary one has failed to take and no other has taken.  Two
    callers at once take turns.
    """
    round_ = _Round(records, incident_id, messengers, frozenset(fallbacks), seconds_each)
    try:
        with _alone(incident_id):
            incident = Incident.of(records.events(incident_id))
            for message in incident.messages.values():
                round_.deliver(message, incident)
    except KeyquellError as error:
        _log.warning("the outbox of %s waits: %s", incident_id, error)
    return Deliveries(tuple(round_.delivered), tuple(round_.failed))


def pending(incident: Incident, channels: Collection[str], fallbacks: Collection[str] = ()) -> list[OutboxMessage]:
    """The messages for which something is to be done; only ordinary channels owe one that another has taken."""
    ordinary = set(channels) - set(fallbacks) or set(channels)

    def waits(message: OutboxMessage) -> bool:
        if _barred(message, incident):
            return not message.failures
        return not ordinary.issubset(message.delivered)

    return [message for message in incident.messages.values() if waits(message)]


class _Round:
    """One pass over the messages of an incident; a channel that failed rests until the next."""

    def __init__(
        self,
        records: KeepsRecords,
        incident_id: str,
        messengers: Mapping[str, Delivers],
        fallbacks: frozenset[str],
        seconds: float,
    ) -> None:
        self.delivered: list[tuple[str, str]] = []
        self.failed: list[tuple[str, str]] = []
        self._records, self._incident_id, self._messengers, self._seconds = records, incident_id, messengers, seconds
        self._ordinary = [name for name in messengers if name not in fallbacks]
        self._fallbacks = [name for name in messengers if name in fallbacks]
        self._resting: set[str] = set()
        self._refusing: set[tuple[str, str]] = set()

    def deliver(self, message: OutboxMessage, incident: Incident) -> None:
        """Offer one message where it is due."""
        if barred := _barred(message, incident):
            if not message.failures:
                self._note(message.id, NO_CHANNEL, barred)
            return
        taken = [name for name in self._ordinary if self._offer(name, message, incident)]
        refusing = {name for name in self._ordinary if (message.id, name) in self._refusing}
        troubled = refusing | self._resting.union(message.failures).intersection(self._ordinary)
        if not taken and (troubled or not self._ordinary):
            for name in self._fallbacks:
                if self._offer(name, message, incident):
                    return

    def _offer(self, channel: str, message: OutboxMessage, incident: Incident) -> bool:
        """Has the channel the message now?"""
        if channel in message.delivered:
            return True
        if channel in self._resting:
            return False
        error, never = self._hand_over(channel, message, incident)
        (self.failed if error else self.delivered).append((message.id, channel))
        failures = message.failures.get(channel, 0)
        if never:
            self._refusing.add((message.id, channel))
        elif error and failures + 1 < _FAILURES_IN_ORDER:
            self._resting.add(channel)
        if not (never and failures):
            self._note(message.id, channel, error)
        return not error

    def _hand_over(self, channel: str, message: OutboxMessage, incident: Incident) -> tuple[str, bool]:
        """Try one delivery, to each address apart where there are several, so that none gets it twice.

        Returns "" or why it failed, and whether the channel will never carry the message.
        """
        messenger = self._messengers[channel]
        apart = messenger.apart() if isinstance(messenger, DeliversApart) else {}
        owed = {f"{channel}#{name}": each for name, each in apart.items()} or {channel: messenger}
        owed = {name: each for name, each in owed.items() if name not in message.delivered}
        failures: list[Outcome] = []
        for name, outcome in offer(owed, self._incident_id, _addressed(message, incident), self._seconds).items():
            if outcome.error:
                failures.append(outcome)
            elif name != channel:
                self._note(message.id, name, "")
        return (failures[0].error, failures[0].never) if failures else ("", False)

    def _note(self, message_id: str, channel: str, error: str) -> None:
        _note(self._records, self._incident_id, message_id, channel, error)


@contextmanager
def _alone(incident_id: str) -> Iterator[None]:
    """One deliverer of an incident at a time in this process; those of other processes agree by the message's id."""
    with _DELIVERING_LOCK:
        lock = _DELIVERING.setdefault(incident_id, threading.Lock())
    with lock:
        yield


def _barred(message: OutboxMessage, incident: Incident) -> str:
    """Why no channel may take the message; "" when one may."""
    if message.need_to_know != "outside":
        return ""
    if incident.exercise:
        return EXERCISE_STAYS
    return "" if message.reviewed_by else UNREAD


def _addressed(message: OutboxMessage, incident: Incident) -> Message:
    return Message(
        id=message.id,
        audience=message.audience,
        subject=message.subject,
        body=message.body,
        exercise=incident.exercise,
        need_to_know=message.need_to_know,
    )


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
