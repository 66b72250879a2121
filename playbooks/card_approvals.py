"""Who agreed to the plan, who is missing, and what does not count: the card's words on approvals."""

from __future__ import annotations

import re

from playbooks.authority import Authority, needs_step_up
from playbooks.card_words import METHODS, listed, number
from playbooks.gates import person, same_person
from playbooks.incident import Incident
from playbooks.plans import Step
from playbooks.progress import gate_open

_WHICH_STEP = re.compile(r", which \S+ needs$")


def undecided(incident: Incident, authority: Authority) -> list[Step]:
    """Steps of the plan that have not run and that people have not let through, whether or not it is their turn."""
    if incident.plan is None or incident.closed is not None:
        return []
    open_steps = [step for step in incident.plan.steps if incident.steps[step.id].runnable and not step.unavailable]
    return [step for step in open_steps if step.gate.people and not gate_open(incident, step, authority)]


def approvals(incident: Incident, authority: Authority) -> str:
    """Who said no, who agreed and how, who is missing, what does not count and why; "" without a plan."""
    if incident.plan is None:
        return ""
    if not any(step.gate.people and not step.unavailable for step in incident.plan.steps):
        return "Nobody needs to approve anything in this plan."
    said = [f"{each.approver} said no: {each.reason.rstrip('.')}." for each in incident.denials]
    agreed = {person(each.approver): f"{each.approver} ({_method(each.method)})" for each in incident.approvals}
    said += [f"Agreed: {listed(agreed.values())}."] if agreed else []
    waiting = undecided(incident, authority)
    if waiting and not incident.denials:
        missing = max(missing_people(incident, step, authority) for step in waiting)
        who = "one more person" if missing == 1 and agreed else "one person" if missing == 1 else f"{missing} people"
        said.append(f"Missing: {who} other than {incident.requested_by}, for {number(len(waiting), 'step')}.")
    doubts = _doubts(incident, waiting, authority)
    said += [f"Does not count: {'; '.join(doubts)}."] if doubts else []
    if not waiting and not incident.denials and not incident.closed:
        said.append("Nobody is missing.")
    return " ".join(said)


def approval_needed(incident: Incident, waiting: list[Step], authority: Authority) -> str:
    """What people must do about the steps that wait for them, in one sentence."""
    if incident.denials:
        return f"{incident.denials[-1].approver} said no: talk, then stand down, or declare it anew for another plan."
    step = max(waiting, key=lambda each: missing_people(incident, each, authority))
    missing = missing_people(incident, step, authority)
    who = "One person" if missing == 1 else "Two people" if missing == 2 else f"{missing} people"
    how = " with a passkey" if authority.roster is not None and needs_step_up(step) else ""
    return f"{who} other than {incident.requested_by} must read the plan and approve it{how}."


def missing_people(incident: Incident, step: Step, authority: Authority) -> int:
    """How many more people the step needs."""
    return max(0, step.gate.people - len(_counted(incident, step, authority)))


def _counted(incident: Incident, step: Step, authority: Authority) -> set[str]:
    given = {person(each.approver) for each in incident.approvals if not authority.objection(each, step)}
    return given - {person(incident.requested_by)}


def _doubts(incident: Incident, waiting: list[Step], authority: Authority) -> list[str]:
    """Why approvals of people who do not count for a waiting step do not; each reason once."""
    found: dict[str, None] = {}
    for step in waiting:
        counted = _counted(incident, step, authority)
        for each in incident.approvals:
            if same_person(each.approver, incident.requested_by):
                found[f"{each.approver} asked for this response"] = None
            elif person(each.approver) not in counted:
                found[_WHICH_STEP.sub("", authority.objection(each, step))] = None
    return list(found)


def _method(method: str) -> str:
    return METHODS.get(method, method)
