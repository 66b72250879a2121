"""Deeds that take safety away, an undo or the end of a case: confirmed by more than a chat account, then done."""

from __future__ import annotations

from datetime import datetime

from flows import approvals
from flows.admission import Act
from flows.background import Background
from flows.undo import something_to_undo
from flows.wiring import Wiring
from playbooks.authority import STRONG
from playbooks.deeds import APPROVE, UNDO, outcome_of
from playbooks.errors import Conflict, InvalidInput, NotApproved
from playbooks.event_bodies import Assertion, body_of
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.plans import Plan
from playbooks.record import EventKind
from playbooks.roster import Person, Role, objection


def roles_for(deed: str, *, exercise: bool) -> tuple[Role, ...]:
    """The roles of which one is needed."""
    act = Act.APPROVE if deed == APPROVE else Act.UNDO if deed == UNDO else Act.STAND_DOWN
    return act.roles(exercise=exercise)


def sensible(incident: Incident, deed: str) -> None:
    """Raise InvalidInput when the deed makes no sense as the case stands."""
    outcome = outcome_of(deed)
    if deed == UNDO:
        something_to_undo(incident)
    elif outcome is not None:
        approvals.may_close(incident, outcome)


def candidate(
    wiring: Wiring, incident: Incident, plan: Plan | None, *, name: str, deed: str
) -> tuple[Person | None, str]:
    """The person, and why they may not do this with a passkey; "" when they may."""
    try:
        roster = wiring.roster
    except InvalidInput as error:
        return None, f"the roster cannot be read, so nobody counts: {error.message.rstrip('.')}"
    if roster is None:
        return None, "no roster is configured, so nobody is known whose passkey would count"
    person = roster.person(name)
    exercise = incident.exercise or wiring.settings.exercise is not None
    roles = roles_for(deed, exercise=exercise)
    if why := objection(person, roles, wiring.clock()):
        return person, why
    if deed != APPROVE:
        return person, _senseless(incident, deed)
    if incident.closed is not None:
        return person, "the case is closed"
    if same_person(incident.requested_by, name):
        return person, f"{name} asked for this and cannot approve it"
    removed = wiring.authority().removed
    given = (each for each in incident.approvals if each.method in STRONG and plan and each.digest == plan.digest)
    if any(same_person(each.approver, name) and each.credential not in removed for each in given):
        return person, f"{name} has approved this plan already, and counts once"
    return person, ""


def confirm(
    wiring: Wiring,
    incident_id: str,
    *,
    by: str,
    deed: str,
    digest: str,
    method: str,
    request: str = "",
    assertion: Assertion | None = None,
    passkey_enrolled_at: datetime | None = None,
    address: str = "",
) -> None:
    """Write that this person confirmed the deed; a request is redeemed once, whoever races.

    Raises NotApproved when the request was not made to them for this deed and plan, or is used.
    """
    while True:
        incident = wiring.incident(incident_id)
        if request:
            _refuse_unless_asked(incident, request, by=by, deed=deed)
        body = body_of(
            EventKind.CONFIRMED,
            by=by,
            deed=deed,
            digest=digest,
            method=method,
            request=request,
            assertion=assertion,
            passkey_enrolled_at=passkey_enrolled_at.isoformat() if passkey_enrolled_at else None,
            address=address,
        )
        try:
            wiring.records.append(incident_id, kind=EventKind.CONFIRMED, body=body, expected_head=incident.head)
        except Conflict:
            continue
        return


def carry_out(wiring: Wiring, background: Background, incident_id: str, *, by: str, deed: str) -> None:
    """Do what was confirmed: end the case at once, take steps back in the background.

    Raises InvalidInput when the case cannot end so any more.
    """
    outcome = outcome_of(deed)
    if deed == UNDO:
        background.undo(incident_id, by=by)
    elif outcome is not None:
        approvals.close(wiring, incident_id, by=by, outcome=outcome)


def _refuse_unless_asked(incident: Incident, request: str, *, by: str, deed: str) -> None:
    asked = incident.people.asked.get(request)
    if asked is None or not same_person(asked.approver, by) or asked.deed != deed:
        why = "the link was not made for this"
    elif asked.digest != (incident.plan.digest if incident.plan else ""):
        why = "the plan has changed since the link was made"
    elif request in incident.redeemed:
        why = "the link was used before"
    else:
        return
    raise NotApproved(f"{incident.id}: nothing was confirmed: {why}.", hint="Ask for a new link.")


def _senseless(incident: Incident, deed: str) -> str:
    try:
        sensible(incident, deed)
    except InvalidInput as error:
        return error.message.rstrip(".")
    return ""
