"""Who responds to a case, who agreed, who is missing and who is called next, in sentences."""

from __future__ import annotations

from flows.wiring import Wiring
from playbooks.authority import role_for
from playbooks.card_approvals import undecided
from playbooks.card_of import card_of
from playbooks.errors import InvalidInput
from playbooks.escalation import CallPolicy, next_call
from playbooks.estate import Estate
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.roster import Role, Roster


def standing(wiring: Wiring, incident: Incident) -> list[str]:
    """The sentences, in the order in which somebody who has just come in needs them."""
    try:
        roster, trouble = wiring.roster, ""
    except InvalidInput as error:
        roster, trouble = None, f"The roster cannot be read, so nobody may approve: {error.message}"
    said = [f"{_called(roster, incident.requested_by)} asked for this response."]
    taken = incident.people.acknowledged
    said.append(f"{_called(roster, taken.by)} took the case ({taken.via})." if taken else "Nobody has taken the case.")
    said += [trouble] if trouble else []
    if roster is not None:
        said += _on_duty(wiring, roster)
    card = card_of(incident, estate=Estate(), authority=wiring.authority(), now=wiring.clock())
    said += [card.approvals] if card.approvals else []
    if roster is not None:
        said += _may_agree(wiring, roster, incident)
    said += _glass(roster, incident)
    said += _next(wiring, roster, incident)
    return said


def _on_duty(wiring: Wiring, roster: Roster) -> list[str]:
    people = [each.called for each in roster.holders(Role.CONTAIN, wiring.clock())]
    return [f"May contain: {', '.join(people)}." if people else "Nobody in the roster may contain now."]


def _may_agree(wiring: Wiring, roster: Roster, incident: Incident) -> list[str]:
    """Who could still give what is missing."""
    authority, now = wiring.authority(), wiring.clock()
    waiting = undecided(incident, authority)
    found: dict[str, None] = {}
    for step in waiting:
        counted = [each.approver for each in incident.approvals if not authority.objection(each, step)]
        for person in roster.holders(role_for(step), now):
            if not any(same_person(person.name, each) for each in (*counted, incident.requested_by)):
                found[person.called] = None
    if not waiting:
        return []
    return [f"May still approve: {', '.join(found)}." if found else "Nobody is left who may approve: see the roster."]


def _glass(roster: Roster | None, incident: Incident) -> list[str]:
    return [
        f"{_called(roster, each.by)} broke the glass ({each.reason.rstrip('.')}); it waits for another person's review."
        for each in incident.people.glass
        if not each.verdict
    ]


def _next(wiring: Wiring, roster: Roster | None, incident: Incident) -> list[str]:
    settings = wiring.settings
    if not settings.pagers and not settings.messengers:
        return []
    policy = CallPolicy(from_severity=settings.policy.page_from, exercises=settings.policy.page_exercises)
    call = next_call(incident, roster=roster, policy=policy, now=wiring.clock())
    if call is None:
        return []
    who = call[0].person.called if call[0].person else "whoever is on call"
    return [f"Called next, unless somebody takes the case: {who}, at {call[1]:%H:%M} UTC."]


def _called(roster: Roster | None, name: str) -> str:
    person = roster.person(name) if roster is not None else None
    return person.called if person else name
