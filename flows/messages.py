"""Messages to people: drafted from the record, read and released by somebody, and only then delivered."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from flows.outbox import Deliveries, deliver_pending
from flows.wiring import Wiring
from playbooks import drafts
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import MessageDrafted, body_of
from playbooks.incident import Incident
from playbooks.record import EventKind

_EDITABLE = ("subject", "body")


def deliver(wiring: Wiring, incident_id: str) -> Deliveries:
    """Offer what waits in the incident's outbox to the configured channels, the fall-backs last; what failed waits."""
    return deliver_pending(wiring.records, incident_id, wiring.messengers(), fallbacks=wiring.fallbacks())


def draft(wiring: Wiring, incident_id: str, template: str) -> str:
    """Write a draft from a template and return its id; it waits until somebody has read it.

    Raises InvalidInput for an unknown template.
    """
    while True:
        incident = wiring.incident(incident_id)
        made = drafts.draft(incident, template, wiring.clock())
        message_id = _free_id(incident, wiring, template)
        body = body_of(
            EventKind.MESSAGE_DRAFTED,
            id=message_id,
            audience=made.audience,
            need_to_know=made.need_to_know,
            subject=made.subject,
            body=made.body,
        )
        if _appended(wiring, incident, EventKind.MESSAGE_DRAFTED, body):
            return message_id


def review(
    wiring: Wiring,
    incident_id: str,
    message_id: str,
    *,
    by: str,
    release: bool,
    edited: Mapping[str, str] | None = None,
) -> None:
    """Release a draft into the outbox, with ``subject`` and ``body`` as edited, or withdraw it.

    The same decision a second time changes nothing.  Raises InvalidInput when there is no such draft, when it was
    decided otherwise, or when nothing is left of its subject or body.
    """
    while True:
        incident = wiring.incident(incident_id)
        found = incident.people.drafts.get(message_id)
        if found is None:
            _decided_already(wiring, incident, message_id, release=release)
            return
        kind, body = _released(found, by, edited or {}) if release else _withdrawn(found, by, edited or {})
        if _appended(wiring, incident, kind, body):
            return


def _released(found: MessageDrafted, by: str, edited: Mapping[str, str]) -> tuple[EventKind, dict[str, JsonValue]]:
    if unknown := sorted(set(edited) - set(_EDITABLE)):
        raise InvalidInput(f"{unknown[0]!r} of a message cannot be edited.", hint="Edit its subject or its body.")
    texts = {name: edited.get(name, getattr(found, name)) for name in _EDITABLE}
    if empty := [name for name, text in texts.items() if not text.strip()]:
        raise InvalidInput(f"the {empty[0]} of {found.id} is empty.", hint="Write it, or withdraw the message.")
    if any(drafts.FILL_IN in text for text in texts.values()):
        raise InvalidInput(f"{found.id} has places to fill in.", hint=f"Search for {drafts.FILL_IN!r} and write them.")
    body = body_of(
        EventKind.MESSAGE_QUEUED,
        id=found.id,
        audience=found.audience,
        need_to_know=found.need_to_know,
        reviewed_by=by,
        **texts,
    )
    return EventKind.MESSAGE_QUEUED, body


def _withdrawn(found: MessageDrafted, by: str, edited: Mapping[str, str]) -> tuple[EventKind, dict[str, JsonValue]]:
    body = body_of(EventKind.MESSAGE_WITHDRAWN, id=found.id, by=by, reason=edited.get("reason", ""))
    return EventKind.MESSAGE_WITHDRAWN, body


def _decided_already(wiring: Wiring, incident: Incident, message_id: str, *, release: bool) -> None:
    """Return when it was decided so before; raise InvalidInput otherwise."""
    sent = message_id in incident.messages
    withdrawn = any(
        event.kind is EventKind.MESSAGE_WITHDRAWN and event.body.get("id") == message_id
        for event in wiring.records.events(incident.id)
    )
    if (release and sent) or (not release and withdrawn and not sent):
        return
    if sent or withdrawn:
        raise InvalidInput(f"{message_id} was {'released' if sent else 'withdrawn'} already.", hint="Draft it anew.")
    waiting = ", ".join(incident.people.drafts) or "none"
    raise InvalidInput(f"{incident.id} has no draft {message_id!r}.", hint=f"Drafts that wait: {waiting}.")


def _free_id(incident: Incident, wiring: Wiring, template: str) -> str:
    events = wiring.records.events(incident.id)
    count = sum(event.kind is EventKind.MESSAGE_DRAFTED for event in events)
    return f"{incident.id}-{template}-{count + 1}".lower()


def _appended(wiring: Wiring, incident: Incident, kind: EventKind, body: Mapping[str, JsonValue]) -> bool:
    """Write only if nothing came in between, so that no draft is decided twice."""
    try:
        wiring.records.append(incident.id, kind=kind, body=body, expected_head=incident.head)
    except Conflict:
        return False
    return True
