"""A new passkey is news: whoever stole an invitation must not be able to use it unseen."""

from __future__ import annotations

import hashlib

from flows.opening import open_incidents
from flows.outbox import queue
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.event_bodies import body_of
from playbooks.ports import Message
from playbooks.record import INSTALLATION, EventKind

_AUDIENCES = ("custodians", "responders")


def announce(wiring: Wiring, *, person: str, by: str, credential_id: str) -> None:
    """Tell of a passkey that was just enrolled: in every open case, and where there is none, at once by every channel.

    ``by`` is who had invited the person.  Never raises for a channel that fails: then a note says that nobody heard.
    """
    told = f"{person} enrolled a passkey; {by} had invited them."
    cases = open_incidents(wiring)
    for incident in cases:
        body = body_of(EventKind.NOTE, text=told, by="keyquell")
        wiring.records.append_next(incident.id, kind=EventKind.NOTE, body=body)
        for audience in _AUDIENCES:
            exercise = incident.exercise
            queue(wiring.records, incident.id, _message(incident.id, told, person, credential_id, audience, exercise))
    if not cases:
        _deliver(wiring, _message("keyquell", told, person, credential_id, "custodians", wiring.settings.exercise))


def _deliver(wiring: Wiring, message: Message) -> None:
    heard, failed = False, ""
    for name, channel in wiring.messengers().items():
        try:
            channel.deliver(message)
        except KeyquellError as error:
            failed = failed or f" ({name}: {error.message.rstrip('.')})"
        else:
            heard = True
    if not heard:
        text = f"{message.subject}. Nobody was told of it by a channel{failed}."
        body = body_of(EventKind.NOTE, text=text, by="keyquell")
        wiring.records.append_next(INSTALLATION, kind=EventKind.NOTE, body=body)


def _message(case: str, told: str, person: str, credential_id: str, audience: str, exercise: object) -> Message:
    mark = hashlib.sha256(credential_id.encode()).hexdigest()[:12]
    return Message(
        id=f"{case}-passkey-{mark}-{audience}".lower(),
        audience=audience,
        subject=f"{person} has a new passkey",
        body=(
            f"{told} With it {person} approves what cannot be taken back. If {person} did not do this, take it away "
            f"now: `keyquell roster remove-passkey`, and ask who saw the invitation."
        ),
        exercise=bool(exercise),
    )
