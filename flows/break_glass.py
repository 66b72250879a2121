"""Breaking the glass: an approval past the passkey, on the terminal, that everybody hears of and another person judges.

It counts as one person's approval, never as two.
"""

from __future__ import annotations

from typing import Literal

from flows import approvals
from flows.admission import Act, Admitted, admit, refuse, take_code
from flows.lookup import named, plan_seen
from flows.outbox import queue
from flows.wiring import Wiring
from playbooks.briefing import briefing
from playbooks.desk import Actor
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import body_of
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.ports import Message
from playbooks.record import EventKind
from playbooks.roster import Circumstances, doubt

Verdict = Literal["justified", "not-justified"]


def break_glass(wiring: Wiring, actor: Actor, incident: str, *, digest: str, reason: str, code: str = "") -> str:
    """Approve this plan without a passkey; returns the incident's id.

    ``incident`` is an id or code name, ``digest`` the plan's (12 digits or more), ``code`` a one-time code, needed
    where one is set up.  Custodians and responders are told before the approval counts; broken again by the same
    person for the same plan, nobody is told anew.  Raises NotApproved, recorded, when the person may not, and
    InvalidInput without a reason or a roster, or for another plan's digest.
    """
    incident_id = named(wiring, incident)
    who = admit(wiring, actor, Act.BREAK_GLASS, incident=incident_id)
    now = wiring.incident(incident_id)
    plan = plan_seen(now, digest)
    _makes_sense(now, who, reason)
    if why := _objection(wiring, now, who, actor):
        refuse(wiring, by=who.name, what=Act.BREAK_GLASS.words, reason=why, via=actor.via, incident=incident_id)
    if who.person and who.person.totp:
        take_code(wiring, who, code, act=Act.BREAK_GLASS, via=actor.via, incident=incident_id)
    if any(same_person(each.by, who.name) and each.digest == plan.digest for each in now.people.glass):
        return incident_id
    kind = EventKind.GLASS_BROKEN
    body = body_of(kind, by=who.name, digest=plan.digest, reason=reason.strip())
    broken = wiring.records.append_next(incident_id, kind=kind, body=body)
    for audience in ("custodians", "responders"):
        queue(wiring.records, incident_id, _alarm(now, who, audience, event=broken.seq, digest=plan.digest))
    approvals.approve(
        wiring, incident_id, approver=who.name, digest=plan.digest, method="break-glass", address=actor.address
    )
    return incident_id


def review_glass(wiring: Wiring, actor: Actor, incident: str, *, verdict: Verdict, text: str = "") -> str:
    """Say whether it was right to break the glass; returns the incident's id.

    Raises NotApproved, recorded, for whoever broke it or has no role, and InvalidInput when none waits for review.
    """
    incident_id = named(wiring, incident)
    who = admit(wiring, actor, Act.REVIEW_GLASS, incident=incident_id)
    while True:
        now = wiring.incident(incident_id)
        waiting = [each for each in now.people.glass if not each.verdict]
        if not waiting:
            raise InvalidInput(f"no broken glass of {incident_id} waits for review.", hint="`keyquell status` tells.")
        if any(same_person(each.by, who.name) for each in waiting):
            reason, what = f"{who.name} broke it", Act.REVIEW_GLASS.words
            hint = "Ask another person."
            refuse(wiring, by=who.name, what=what, reason=reason, via=actor.via, incident=incident_id, hint=hint)
        kind = EventKind.GLASS_REVIEWED
        body = body_of(kind, by=who.name, verdict=verdict, text=text)
        try:
            wiring.records.append(incident_id, kind=kind, body=body, expected_head=now.head)
        except Conflict:
            continue
        return incident_id


def _makes_sense(incident: Incident, who: Admitted, reason: str) -> None:
    if not reason.strip():
        raise InvalidInput("why the glass must be broken is missing.", hint="Give it with --reason.")
    if who.person is None:
        hint = f"Run `keyquell approve {incident.id}`."
        raise InvalidInput("there is no glass to break: without a roster no passkey is asked for.", hint=hint)
    if incident.closed is not None:
        raise InvalidInput(f"{incident.id} is closed.", hint="Declare it anew if it burns again.")


def _objection(wiring: Wiring, incident: Incident, who: Admitted, actor: Actor) -> str:
    if actor.via != "cli":
        return "the glass is broken on the command line alone"
    if same_person(who.name, incident.requested_by):
        return f"{who.name} asked for this and cannot approve it"
    roster = wiring.roster
    if who.person is None or roster is None:
        return "nobody in the roster is meant"
    return doubt(who.person, roster.rules, Circumstances(at=wiring.clock(), via="break-glass"))


def _alarm(incident: Incident, who: Admitted, audience: str, *, event: int, digest: str) -> Message:
    """Names the person, the case and the plan, and no key."""
    mark = briefing(incident)["exercise"]
    return Message(
        id=f"{incident.id}-glass-{event}-{audience}".lower(),
        audience=audience,
        subject=f"{mark}{incident.codename}: {who.name} broke the glass",
        body=(
            f"{who.name} approved plan {digest[:12]} of {incident.codename} without a passkey. The reason is in the "
            f"record. If this is not known to you, call {who.name} now on another channel, and stop what has not run "
            f"yet: `keyquell approve {incident.id} --digest {digest[:12]} --deny`. Another person reviews it: "
            f"`keyquell review-glass {incident.id}`."
        ),
        exercise=incident.exercise,
        need_to_know="responders",
    )
