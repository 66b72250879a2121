"""An incident in words and lines: what burns, what is proven, what is not, and what to do next."""

from __future__ import annotations

import re
from typing import Any

from rich.text import Text

from playbooks.gates import satisfied
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Phase, Plan, Step
from playbooks.progress import gate_open, waiting_steps
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


def incident_view(incident: Incident) -> Text:
    """One screen for one incident: the verdict first, the phases a line each, the next action last."""
    lines = [_headline(incident)]
    lines += [Text.assemble(f"  {each.kind.value}  ", (each.target, "bold")) for each in incident.exposures]
    if incident.plan is not None:
        lines.append(Text())
        for phase in Phase:
            lines += _phase(incident, phase, incident.plan.in_phase(phase))
    lines += [Text(), Text.assemble(("Next: ", "bold"), next_action(incident))]
    return Text("\n").join(lines)


def incident_brief(incident: Incident) -> Text:
    """The verdict and the next action, for a list of several."""
    return Text("\n").join([_headline(incident), Text.assemble(("  Next: ", "bold"), next_action(incident))])


def incident_data(incident: Incident) -> dict[str, Any]:
    """The same for programs."""
    return {
        "id": incident.id,
        "codename": incident.codename,
        "exercise": incident.exercise,
        "phase": incident.phase,
        "verdict": _verdict(incident)[0],
        "exposures": [each.model_dump(mode="json") for each in incident.exposures],
        "plan_digest": incident.plan.digest if incident.plan else None,
        "steps": {name: _step_data(status) for name, status in incident.steps.items()},
        "contained_at": rfc3339(incident.contained_at) if incident.contained_at else None,
        "not_contained": list(incident.not_contained),
        "closed": incident.closed.outcome if incident.closed else None,
        "next": next_action(incident),
        "record": {"events": incident.events, "head": incident.head},
    }


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return plan.model_dump(mode="json")


def next_action(incident: Incident) -> str:
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
    waiting = waiting_steps(incident)
    if waiting:
        return _about_waiting(incident, incident.plan, waiting[0])
    running = [name for name, status in incident.steps.items() if status.state == "running"]
    if running:
        return f"wait, {running[0]} is running; if its process has died, `keyquell run {incident.id}` goes on."
    return f"`keyquell run {incident.id}` goes on."


def taken_back(incident: Incident) -> list[Step]:
    """The containing steps that were undone: what they held is open again."""
    planned = incident.plan.in_phase(Phase.CONTAIN) if incident.plan else ()
    return [step for step in planned if incident.steps[step.id].state == "undone"]


def _after_closing(incident: Incident) -> str:
    in_force = [
        name
        for name, status in incident.steps.items()
        if status.succeeded and incident.plan and incident.plan.step(name).undo and _changed(status)
    ]
    if incident.closed and incident.closed.outcome == "false-alarm" and in_force:
        return f"{', '.join(in_force)} still in force; `keyquell undo {incident.id}` takes back what can be."
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


def _about_waiting(incident: Incident, plan: Plan, step: Step) -> str:
    if incident.denials:
        no = incident.denials[-1]
        return (
            f"{no.approver} said no ({no.reason}); talk, then close the case, or declare it anew for another plan to "
            "approve."
        )
    return (
        f"{_missing(incident, step)} other than {incident.requested_by} must look (`keyquell plan {incident.id}`) "
        f"and agree: `keyquell approve {incident.id} --digest {plan.digest[:12]}`."
    )


def _missing(incident: Incident, step: Step) -> str:
    agreed = {each.approver.strip().casefold() for each in incident.approvals}
    agreed.discard(incident.requested_by.strip().casefold())
    if step.gate.people - len(agreed) > 1:
        return "two people"
    return "one more person" if agreed else "one person"


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
        head.append("  ").append(" EXERCISE ", "reverse")
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


def _phase(incident: Incident, phase: Phase, steps: tuple[Step, ...]) -> list[Text]:
    """A line for the phase; below it every containing step, and elsewhere only the steps that say something."""
    if not steps:
        return []
    possible = [step for step in steps if not step.unavailable]
    ended = sum(incident.steps[step.id].succeeded for step in possible)
    shown = [(step, *_stand(incident, step)) for step in steps]
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


def _stand(incident: Incident, step: Step) -> tuple[str, str]:
    """How a step stands and what is to be said of it; a retirement that waits for backups is no failure."""
    status = incident.steps[step.id]
    if status.code == RETIREMENT_BLOCKED:
        return "waits", waits(status.error)
    if status.state == "pending" and step.gate.people and incident.plan is not None:
        return _at_the_gate(incident, incident.plan, step)
    if status.state in ("failed", "not-proven"):
        return status.state, status.error or status.detail or "no probe has shown that it took effect"
    return status.state, status.detail if status.state == "unavailable" or step.phase is Phase.CONTAIN else ""


def _at_the_gate(incident: Incident, plan: Plan, step: Step) -> tuple[str, str]:
    if incident.closed or gate_open(incident, step):
        return "pending", ""
    _, why = satisfied(step, plan, incident.approvals, requested_by=incident.requested_by, denied=incident.denials)
    return "waits", why if incident.denials else f"needs {_missing(incident, step)}"


def _troubled(status: StepStatus) -> bool:
    return status.state in ("failed", "not-proven") and status.code != RETIREMENT_BLOCKED


def _changed(status: StepStatus) -> bool:
    return status.receipt is None or status.receipt.changed


def _step_data(status: StepStatus) -> dict[str, Any]:
    blocked = status.code == RETIREMENT_BLOCKED
    return {
        "state": "waits" if blocked else status.state,
        "attempts": status.attempts,
        "error": "" if blocked else status.error,
        "code": status.code,
        "detail": waits(status.error) if blocked else status.detail,
    }
