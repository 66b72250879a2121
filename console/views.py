"""An incident in words and lines: what burns, what is proven, what is not, and what to do next."""

from __future__ import annotations

import re
from typing import Any

from rich.text import Text

from playbooks.authority import EVERYBODY, Authority
from playbooks.card_approvals import approvals, missing_people
from playbooks.card_of import warnings
from playbooks.card_proof import clock
from playbooks.card_words import in_force, taken_back
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Phase, Plan, Step
from playbooks.progress import at_gate, waiting_steps
from playbooks.step_status import StepStatus
from playbooks.timings import rfc3339

_MARKS = {
    "proven": ("✔", "bold green"),
    "done": ("●", "green"),
    "running": ("…", "cyan"),
    "pending": ("·", "dim"),
    "not-proven": ("✘", "bold red"),
    "failed": ("✘", "bold red"),
    "unavailable": ("–", "yellow"),
    "undone": ("↶", "yellow"),
    "waits": ("⏸", "yellow"),
}


def incident_view(incident: Incident, authority: Authority = EVERYBODY) -> Text:
    """One screen for one incident: the verdict first, the phases a line each, the next action last."""
    lines = [_headline(incident)]
    lines += [Text.assemble(f"  {each.kind.value}  ", (each.target, "bold")) for each in incident.exposures]
    if incident.plan is not None:
        lines.append(Text())
        for phase in Phase:
            lines += _phase(incident, phase, incident.plan.in_phase(phase), authority)
    lines += _people(incident, authority)
    lines += [Text(), Text.assemble(("Next: ", "bold"), next_action(incident, authority))]
    return Text("\n").join(lines)


def incident_brief(incident: Incident, authority: Authority = EVERYBODY) -> Text:
    """The verdict and the next action, for a list of several."""
    return Text("\n").join([_headline(incident), Text.assemble(("  Next: ", "bold"), next_action(incident, authority))])


def incident_data(incident: Incident, authority: Authority = EVERYBODY) -> dict[str, Any]:
    """The same for programs."""
    return {
        "id": incident.id,
        "codename": incident.codename,
        "exercise": incident.exercise,
        "virtual_time": incident.virtual_time,
        "phase": incident.phase,
        "verdict": _verdict(incident)[0],
        "exposures": [each.model_dump(mode="json") for each in incident.exposures],
        "plan_digest": incident.plan.digest if incident.plan else None,
        "steps": {name: _step_data(status) for name, status in incident.steps.items()},
        "contained_at": rfc3339(incident.contained_at) if incident.contained_at else None,
        "not_contained": list(incident.not_contained),
        "closed": incident.closed.outcome if incident.closed else None,
        **_people_data(incident, authority),
        "next": next_action(incident, authority),
        "record": {"events": incident.events, "head": incident.head},
    }


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return plan.model_dump(mode="json")


def next_action(incident: Incident, authority: Authority = EVERYBODY) -> str:
    """One sentence: what a responder should do now."""
    if incident.closed is not None:
        return _after_closing(incident)
    if incident.plan is None:
        return f"`keyquell plan {incident.id}` makes the plan."
    if taken_back(incident):
        return f"`keyquell close {incident.id} --outcome false-alarm`, or declare it again if it burns after all."
    troubled = [(name, status) for name, status in incident.steps.items() if _troubled(status)]
    if troubled:
        return _about_trouble(incident, *troubled[0])
    waiting = waiting_steps(incident, authority)
    if waiting:
        return _about_waiting(incident, incident.plan, waiting[0], authority)
    running = [name for name, status in incident.steps.items() if status.state == "running"]
    if running:
        return f"wait, {running[0]} is running; if its process has died, `keyquell run {incident.id}` goes on."
    return f"`keyquell run {incident.id}` goes on."


def _after_closing(incident: Incident) -> str:
    held = [step.id for step in in_force(incident)]
    if incident.closed and incident.closed.outcome == "false-alarm" and held:
        return f"{', '.join(held)} still in force; `keyquell undo {incident.id}` takes back what can be."
    report = f"look back with `keyquell report {incident.id}`."
    blocked = [status for status in incident.steps.values() if status.code == RETIREMENT_BLOCKED]
    if blocked:
        return f"the old key stays shut and {waits(blocked[0].error)}; then delete it. For the rest, {report}"
    return f"nothing; {report}"


def _about_trouble(incident: Incident, name: str, status: StepStatus) -> str:
    what = status.error or status.detail or "no probe has shown that it took effect"
    if status.retryable:
        return f"{name} failed ({what.rstrip('.')}); `keyquell run {incident.id}` tries again."
    return f"{name} did not succeed: {what.rstrip('.')}. Put that right by hand; it is not tried again by itself."


def _about_waiting(incident: Incident, plan: Plan, step: Step, authority: Authority) -> str:
    if incident.denials:
        no = incident.denials[-1]
        return (
            f"{no.approver} said no ({no.reason}); talk, then close the case, or declare it anew for another plan to "
            "approve."
        )
    who = _missing(incident, step, authority)
    return (
        f"{who} other than {incident.requested_by} must look (`keyquell plan {incident.id}`) "
        f"and agree: `keyquell approve {incident.id} --digest {plan.digest[:12]}`."
    )


def _missing(incident: Incident, step: Step, authority: Authority) -> str:
    missing = missing_people(incident, step, authority)
    if missing > 1:
        return "two people"
    return "one more person" if missing < step.gate.people else "one person"


def waits(error: str) -> str:
    """Why a retirement waits, in a few words; ``error`` is what the gate said."""
    reasons = error.partition("must stay: ")[2] or error
    reasons = reasons.split(". ")[0].rstrip(".")
    days = re.findall(r"backups of \S+ may need it until (\d{4}-\d{2}-\d{2})", reasons)
    if days and len(days) == len(reasons.split("; ")):
        return f"waits: backups until {max(days)}"
    return f"waits: {reasons}"


def _headline(incident: Incident) -> Text:
    verdict, colour = _verdict(incident)
    head = Text.assemble((incident.codename, "bold"), f"  {incident.id}")
    if incident.exercise:
        head.append("  ").append(" EXERCISE, VIRTUAL TIME " if incident.virtual_time else " EXERCISE ", "reverse")
    return head.append("\n").append(verdict, f"bold {colour}")


def _verdict(incident: Incident) -> tuple[str, str]:
    if incident.closed is not None:
        return f"closed: {incident.closed.outcome}", "green" if incident.closed.outcome == "recovered" else "yellow"
    if taken_back(incident):
        return "containment was taken back: nothing holds what was exposed", "red"
    if incident.not_contained:
        return "NOT CONTAINED: " + "; ".join(incident.not_contained), "red"
    if incident.contained_at is None:
        return "burning: not contained yet", "red"
    missing = [
        word for word, moment in (("service", incident.restored_at), ("data", incident.data_safe_at)) if moment is None
    ]
    rest = f"; {' and '.join(missing)} not yet proven safe" if missing else "; data safe, service restored"
    return f"contained, proven{rest}", "yellow" if missing else "green"


def _phase(incident: Incident, phase: Phase, steps: tuple[Step, ...], authority: Authority) -> list[Text]:
    """A line for the phase; below it every containing step, and elsewhere only the steps that say something."""
    if not steps:
        return []
    possible = [step for step in steps if not step.unavailable]
    ended = sum(incident.steps[step.id].succeeded for step in possible)
    shown = [(step, *_stand(incident, step, authority)) for step in steps]
    worst = next((state for state in _LOUDEST if any(each[1] == state for each in shown)), "pending")
    mark, style = _MARKS[worst]
    head = Text.assemble(f"{phase.value:10} ", (mark, style), f" {ended} of {len(possible)}")
    if not possible:
        head = Text.assemble(f"{phase.value:10} ", (mark, style), " not possible")
    told = [each for each in shown if phase is Phase.CONTAIN or each[1] not in _QUIET or each[2]]
    return [head, *(_step(step, state, note) for step, state, note in told)]


_LOUDEST = ("failed", "not-proven", "running", "waits", "undone", "pending", "done", "proven", "unavailable")
_QUIET = ("proven", "done", "pending")


def _step(step: Step, state: str, note: str) -> Text:
    mark, style = _MARKS[state]
    line = Text.assemble("  ", (mark, style), f" {step.action.value.replace('-', ' ')} ", (step.target, "bold"))
    return line.append(f"\n      {note}", "dim" if state in _QUIET else "") if note else line


def _stand(incident: Incident, step: Step, authority: Authority) -> tuple[str, str]:
    """How a step stands and what is to be said of it; a retirement that waits for backups is no failure."""
    status = incident.steps[step.id]
    if status.code == RETIREMENT_BLOCKED:
        return "waits", waits(status.error)
    if status.state == "pending" and step.gate.people and incident.plan is not None:
        return _at_the_gate(incident, step, authority)
    if status.state in ("failed", "not-proven"):
        return status.state, status.error or status.detail or "no probe has shown that it took effect"
    return status.state, status.detail if status.state == "unavailable" or step.phase is Phase.CONTAIN else ""


def _at_the_gate(incident: Incident, step: Step, authority: Authority) -> tuple[str, str]:
    may, why = at_gate(incident, step, authority)
    if incident.closed or may:
        return "pending", ""
    return "waits", why if incident.denials else f"needs {_missing(incident, step, authority)}"


def _troubled(status: StepStatus) -> bool:
    return status.state in ("failed", "not-proven") and status.code != RETIREMENT_BLOCKED


def _people(incident: Incident, authority: Authority) -> list[Text]:
    """What people did: who took the case, who agreed, and what must not be overlooked."""
    taken = incident.people.acknowledged
    lines = [f"Taken by {taken.by} at {clock(taken.at)}."] if taken else []
    lines += (
        [f"Approvals: {said}"]
        if (incident.approvals or incident.denials) and (said := approvals(incident, authority))
        else []
    )
    marked = [Text.assemble(("! ", "bold yellow"), each) for each in warnings(incident)]
    found = [*map(Text, lines), *marked]
    return [Text(), *found] if found else []


def _people_data(incident: Incident, authority: Authority) -> dict[str, Any]:
    taken, dealt = incident.people.acknowledged, incident.people
    return {
        "acknowledged": {"by": taken.by, "via": taken.via, "at": rfc3339(taken.at)} if taken else None,
        "approvals": approvals(incident, authority),
        "drafts": sorted(dealt.drafts),
        "refused": [{"by": each.by, "what": each.what, "reason": each.reason} for each in dealt.refused],
        "glass": [{"by": each.by, "reason": each.reason, "verdict": each.verdict} for each in dealt.glass],
        "warnings": list(warnings(incident)),
    }


def _step_data(status: StepStatus) -> dict[str, Any]:
    blocked = status.code == RETIREMENT_BLOCKED
    return {
        "state": "waits" if blocked else status.state,
        "attempts": status.attempts,
        "error": "" if blocked else status.error,
        "code": status.code,
        "detail": waits(status.error) if blocked else status.detail,
    }
