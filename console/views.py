"""An incident in words and lines: what burns, what is proven, what is not, and what to do next."""

from __future__ import annotations

from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from playbooks.incident import Incident
from playbooks.plans import Plan
from playbooks.progress import waiting_steps
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
}


def incident_view(incident: Incident) -> RenderableType:
    """One screen for one incident."""
    verdict, colour = _verdict(incident)
    exercise = " [reverse] EXERCISE [/]" if incident.exercise else ""
    head = f"[bold]{incident.codename}[/]  {incident.id}{exercise}\n[{colour} bold]{escape(verdict)}[/]"
    exposed = "\n".join(f"{each.kind.value} [bold]{escape(each.target)}[/]" for each in incident.exposures)
    parts: list[RenderableType] = [Panel(f"{head}\n{exposed}", border_style=colour)]
    if incident.plan is not None:
        parts.append(_steps(incident))
    parts.append(Text.from_markup(f"[bold]Next:[/] {escape(next_action(incident))}"))
    return Group(*parts)


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
        "steps": {
            name: {"state": each.state, "attempts": each.attempts, "error": each.error, "detail": each.detail}
            for name, each in incident.steps.items()
        },
        "contained_at": rfc3339(incident.contained_at) if incident.contained_at else None,
        "not_contained": list(incident.not_contained),
        "closed": incident.closed.outcome if incident.closed else None,
        "next": next_action(incident),
        "record": {"events": incident.events, "head": incident.head},
    }


def next_action(incident: Incident) -> str:
    """One sentence: what a responder should do now."""
    if incident.closed is not None:
        return f"nothing; look back with `keyquell report {incident.id}`."
    if incident.plan is None:
        return f"`keyquell plan {incident.id}` makes the plan."
    failed = [name for name, status in incident.steps.items() if status.state in ("failed", "not-proven")]
    if failed:
        status = incident.steps[failed[0]]
        return f"{failed[0]} did not succeed ({status.error or status.detail or status.state}); look into that first."
    waiting = waiting_steps(incident)
    if waiting:
        people = waiting[0].gate.people
        need = "one person" if people == 1 else f"{people} people"
        return f"{need} must look at it and run `keyquell approve {incident.id} --digest {incident.plan.digest[:12]}`."
    return f"`keyquell run {incident.id}` goes on."


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan for programs."""
    return plan.model_dump(mode="json")


def _verdict(incident: Incident) -> tuple[str, str]:
    if incident.closed is not None:
        return f"closed: {incident.closed.outcome}", "green" if incident.closed.outcome == "recovered" else "yellow"
    if incident.not_contained:
        return "NOT CONTAINED: " + "; ".join(incident.not_contained), "red"
    if incident.contained_at is None:
        return "burning: not contained yet", "red"
    missing = [
        word for word, moment in (("service", incident.restored_at), ("data", incident.data_safe_at)) if moment is None
    ]
    rest = f"; {' and '.join(missing)} not yet proven safe" if missing else "; data safe, service restored"
    return f"contained, proven{rest}", "yellow" if missing else "green"


def _steps(incident: Incident) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    phase = ""
    for step in incident.plan.steps if incident.plan else ():
        status = incident.steps[step.id]
        mark, style = _MARKS[status.state]
        shown = step.phase.value if step.phase.value != phase else ""
        phase = step.phase.value
        note = status.error or status.detail
        gate = "" if step.gate.people == 0 or status.succeeded else f"[yellow]{step.gate.value}[/] "
        table.add_row(
            f"[bold]{shown}[/]",
            f"[{style}]{mark}[/]",
            step.action.value,
            escape(step.target),
            f"{gate}[dim]{escape(note)}[/]",
        )
    return table
