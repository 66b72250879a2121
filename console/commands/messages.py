"""Commands on messages to people: draft them, read them, release or withdraw them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from console.commands.incidents import at_desk
from console.output import Common, ExitCode, show
from playbooks.errors import InvalidInput

if TYPE_CHECKING:
    from flows.wiring import Wiring
    from playbooks.incident import Incident

message = App(name="message", help="Messages to people: what was sent, and drafts that somebody must read first.")

Id = Annotated[str, Parameter(help="Id or code name of the incident.")]
MessageId = Annotated[str, Parameter(help="Id of the message, as listed.")]
As = Annotated[str, Parameter(name="--as", help="Your name in the record. Default: the login name.")]


@message.command(name="list")
def list_(incident: Id, /, *, common: Common = Common()) -> int:
    """List the drafts that wait to be read, and every message with the channels that took it."""
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        now = _incident(wiring, incident)
    listed = _data(now)
    lines = [f"{each['id']}  {each['state']}\n    to {each['audience']}: {each['subject']}" for each in listed]
    show(common, {"incident": now.id, "messages": listed}, *(lines or ["No message was written."]))
    return ExitCode.OK


@message.command(name="show")
def show_(incident: Id, message_id: MessageId, /, *, common: Common = Common()) -> int:
    """Show one message as it would be, or was, sent."""
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        now = _incident(wiring, incident)
    found = next((each for each in _data(now) if each["id"] == message_id), None)
    if found is None:
        hint = f"`keyquell message list {now.id}` lists them."
        raise InvalidInput(f"{now.id} has no message {message_id!r}.", hint=hint)
    head = f"To: {found['audience']} ({found['need_to_know']})\nSubject: {found['subject']}\nState: {found['state']}"
    show(common, found, head, "", found["body"])
    return ExitCode.OK


@message.command
def draft(
    incident: Id,
    template: Annotated[str, Parameter(help="Name of the template; an unknown name lists them all.")],
    /,
    *,
    common: Common = Common(),
) -> int:
    """Write a draft from what the record says now; nobody gets it before it is released."""
    from flows import messages
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found = _incident(wiring, incident)
        message_id = messages.draft(wiring, found.id, template)
        made = wiring.incident(found.id).people.drafts[message_id]
    data = {"incident": found.id, "id": message_id, "subject": made.subject, "body": made.body}
    advice = "It is information, not legal advice. Read it, fill in what is missing, and release it."
    release = f"Next: `keyquell message release {found.id} {message_id}`."
    show(common, data, f"{message_id}\nSubject: {made.subject}", "", made.body, "", advice, release)
    return ExitCode.OK


@message.command
def release(
    incident: Id,
    message_id: MessageId,
    /,
    *,
    subject: Annotated[str, Parameter(help="Another subject.")] = "",
    body_file: Annotated[Path | None, Parameter(help="File with the body as you edited it.")] = None,
    by: As = "",
    common: Common = Common(),
) -> int:
    """Release a draft that you have read, as it is or as you edited it; it is sent at once where that is possible."""
    from flows.messages import deliver
    from flows.wiring import Wiring

    edited = {"subject": subject} if subject else {}
    if body_file is not None:
        edited["body"] = _text(body_file)
    with Wiring.from_file(common.config) as wiring:
        found = _incident(wiring, incident)
        _review(wiring, found.id, message_id, by=by, release=True, edited=edited)
        deliver(wiring, found.id)
        now = next(each for each in _data(wiring.incident(found.id)) if each["id"] == message_id)
    show(common, now, f"{message_id}: {now['state']}.")
    return ExitCode.OK


@message.command
def withdraw(
    incident: Id,
    message_id: MessageId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why it is not sent.")] = "",
    by: As = "",
    common: Common = Common(),
) -> int:
    """Withdraw a draft: it is never sent."""
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        found = _incident(wiring, incident)
        _review(wiring, found.id, message_id, by=by, release=False, edited={"reason": reason} if reason else {})
    show(common, {"incident": found.id, "id": message_id, "state": "withdrawn"}, f"{message_id} is withdrawn.")
    return ExitCode.OK


def _review(
    wiring: Wiring, incident_id: str, message_id: str, *, by: str, release: bool, edited: dict[str, str]
) -> None:
    """Through the desk, which asks the roster whether this person may."""
    desk, actor = at_desk(wiring, by)
    desk.review_message(actor, incident_id, message_id, release=release, edited=edited or None)


def _incident(wiring: Wiring, word: str) -> Incident:
    from flows.lookup import named

    return wiring.incident(named(wiring, word))


def _data(incident: Incident) -> list[dict[str, Any]]:
    drafts = [
        {
            "id": each.id,
            "audience": each.audience,
            "need_to_know": each.need_to_know,
            "subject": each.subject,
            "body": each.body,
            "state": "draft: waits to be read",
        }
        for each in incident.people.drafts.values()
    ]
    queued = [
        {
            "id": each.id,
            "audience": each.audience,
            "need_to_know": each.need_to_know,
            "subject": each.subject,
            "body": each.body,
            "state": f"taken by {', '.join(each.delivered)}" if each.delivered else _waiting(each.failures),
            "reviewed_by": each.reviewed_by,
        }
        for each in incident.messages.values()
    ]
    return [*drafts, *queued]


def _waiting(failures: dict[str, int]) -> str:
    tried = ", ".join(f"{channel} ({count} times)" for channel, count in failures.items())
    return f"queued: not taken by {tried}" if tried else "queued"


def _text(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{place} cannot be read ({type(error).__name__}).") from error
