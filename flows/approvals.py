"""What people say to a plan or a case.  It is written only if the record still is what they were judged by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flows.lookup import plan_seen
from flows.wiring import Wiring
from playbooks.authority import STRONG, Authority
from playbooks.deeds import APPROVE
from playbooks.errors import Conflict, InvalidInput, NotApproved
from playbooks.event_bodies import Assertion, body_of
from playbooks.gates import same_person
from playbooks.incident import Approval, Incident
from playbooks.plans import Phase, Plan
from playbooks.record import EventKind


def approve(
    wiring: Wiring,
    incident_id: str,
    *,
    approver: str,
    digest: str,
    method: str = "cli",
    request: str = "",
    assertion: Assertion | None = None,
    passkey_enrolled_at: datetime | None = None,
    address: str = "",
) -> None:
    """Record an approval of exactly this plan; one that would weigh no more than an earlier one is not repeated.

    ``digest`` may be shortened to 12 digits.  ``request`` is the single-use request that it redeems, ``address``
    where it came from.  The record must not have moved between the checks and the writing, so that racing approvals
    cannot use one request twice, nor approve a plan that was made in between.
    Raises InvalidInput when the digest is not that of the current plan, or the approver asked for the plan, and
    NotApproved when the request was not made to this person for this plan, or is used.
    """
    while True:
        incident, plan = _with_digest(wiring, incident_id, digest)
        if same_person(approver, incident.requested_by):
            raise InvalidInput(f"{approver} asked for this and cannot approve it.", hint="Ask another person.")
        if request:
            _refuse_unless_asked(incident, request, approver, plan)
        given = Approval(
            approver,
            plan.digest,
            method,
            wiring.clock(),
            request=request,
            passkey_enrolled_at=passkey_enrolled_at,
            credential=assertion.credential_id if assertion else "",
        )
        if not request and _adds_nothing(given, incident, plan, wiring.authority()):
            return
        fields: dict[str, Any] = {"method": method, "request": request, "assertion": assertion, "address": address}
        fields |= {"passkey_enrolled_at": passkey_enrolled_at.isoformat() if passkey_enrolled_at else None}
        if _written(wiring, incident, EventKind.APPROVAL_GIVEN, approver=approver, digest=plan.digest, **fields):
            return


def deny(wiring: Wiring, incident_id: str, *, approver: str, digest: str, reason: str, via: str = "cli") -> None:
    """Record a denial: one stops every step that needs approval, until the plan changes.

    Raises InvalidInput when the digest is not that of the current plan.
    """
    while True:
        incident, plan = _with_digest(wiring, incident_id, digest)
        kind = EventKind.APPROVAL_DENIED
        if _written(wiring, incident, kind, approver=approver, digest=plan.digest, reason=reason, via=via):
            return


def close(wiring: Wiring, incident_id: str, *, by: str, outcome: str) -> None:
    """End the case, once.  Raises InvalidInput for an outcome that the record contradicts."""
    while True:
        incident = wiring.incident(incident_id)
        if incident.closed is not None and incident.closed.outcome == outcome:
            return
        may_close(incident, outcome)
        if _written(wiring, incident, EventKind.CLOSED, by=by, outcome=outcome):
            return


def may_close(incident: Incident, outcome: str) -> None:
    """Raise InvalidInput when the case ended otherwise, or the record contradicts the outcome."""
    before = incident.closed
    if before is not None and before.outcome != outcome:
        raise InvalidInput(
            f"{incident.id} was closed as {before.outcome} by {before.by} and stays so.",
            hint="Declare it anew if it burns again.",
        )
    if before is None and outcome == "recovered":
        _refuse_if_open(incident)


def _refuse_if_open(incident: Incident) -> None:
    """Raise InvalidInput when containment was never proven, or was taken back since."""
    if incident.contained_at is None:
        raise InvalidInput(
            f"{incident.id} was never proven contained, so it cannot be closed as recovered.",
            hint="Close it as not-contained or false-alarm, or go on with `keyquell run`.",
        )
    planned = incident.plan.in_phase(Phase.CONTAIN) if incident.plan else ()
    if any(incident.steps[step.id].state == "undone" for step in planned):
        raise InvalidInput(
            f"the containment of {incident.id} was taken back, so it cannot be closed as recovered.",
            hint="Close it as false-alarm, or as not-contained and declare it anew.",
        )


def _written(wiring: Wiring, incident: Incident, kind: EventKind, **fields: Any) -> bool:
    """Write on the head that was read; False when somebody else wrote first."""
    try:
        wiring.records.append(incident.id, kind=kind, body=body_of(kind, **fields), expected_head=incident.head)
    except Conflict:
        return False
    return True


def _adds_nothing(given: Approval, incident: Incident, plan: Plan, authority: Authority) -> bool:
    """Did the same person approve before in a way that meets the same objections, step by step?

    What counts depends on the way and the hour: a click must not swallow the passkey that follows it, nor an approval
    out of hours the one in the morning.
    """
    return any(
        same_person(each.approver, given.approver)
        and (each.method == given.method or given.method not in STRONG)
        and all(authority.objection(each, step) == authority.objection(given, step) for step in plan.steps)
        for each in incident.approvals
    )


def _refuse_unless_asked(incident: Incident, request: str, approver: str, plan: Plan) -> None:
    asked = incident.people.asked.get(request)
    if asked is None or not same_person(asked.approver, approver):
        why = "the link was not made for this person"
    elif asked.deed != APPROVE:
        why = "the link was made for something else"
    elif asked.digest != plan.digest:
        why = "the plan has changed since the link was made"
    elif request in incident.redeemed:
        why = "the link was used before"
    else:
        return
    raise NotApproved(f"{incident.id} is not approved: {why}.", hint="Ask for a new link and look at the plan again.")


def _with_digest(wiring: Wiring, incident_id: str, digest: str) -> tuple[Incident, Plan]:
    incident = wiring.incident(incident_id)
    return incident, plan_seen(incident, digest)
