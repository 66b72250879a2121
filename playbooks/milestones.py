"""When an incident has reached contained, renewed, data safe, restored and closed: decided from the record alone."""

from __future__ import annotations

from pydantic import JsonValue

from playbooks.incident import Incident
from playbooks.plans import Action, Phase, Step
from playbooks.record import EventKind

RETIREMENT_BLOCKED = "retirement-blocked"
"""The code of a retirement step that the census or the backups' retention forbids for now."""

Milestone = tuple[EventKind, dict[str, JsonValue]]

_END_FORGERIES = (Action.PUBLISH_CUTOFF, Action.REVOKE_CERTIFICATE)
_SETTLED = ("proven", "done", "not-proven", "failed", "unavailable", "undone")


def due(incident: Incident) -> list[Milestone]:
    """The milestones that the steps justify and the record does not hold yet, in order."""
    if incident.plan is None or incident.closed is not None:
        return []
    found: list[Milestone] = []
    if incident.contained_at is None and _settled(incident, _containing(incident)):
        verdict = containment(incident)
        if verdict[0] is EventKind.CONTAINED or not incident.not_contained:
            found.append(verdict)
    if incident.renewed_at is None and _succeeded(incident, Phase.RENEW):
        found.append((EventKind.RENEWED, {}))
    if incident.data_safe_at is None and _data_safe(incident):
        datasets = dict.fromkeys(step.target for step in incident.plan.in_phase(Phase.REENCRYPT))
        found.append((EventKind.DATA_SAFE, {"datasets": list[JsonValue](datasets)}))
    checks = [step for step in incident.plan.steps if step.action is Action.CHECK_CONSUMER]
    if incident.restored_at is None and checks and all(_status(incident, step) == "proven" for step in checks):
        found.append((EventKind.RESTORED, {"consumers": list[JsonValue]([step.target for step in checks])}))
    return found


def containment(incident: Incident) -> Milestone:
    """Contained only when no containing step failed, stayed unproven or was taken back, and at least one was proven.

    A credential that was cut and not tried is not known to be dead.  A key that takes no new encryption still opens
    what the attacker holds, so that this alone contains nothing.
    """
    steps = _containing(incident)
    reasons: list[JsonValue] = []
    not_shown: list[JsonValue] = []
    probes = 0
    for step in steps:
        status = _status(incident, step)
        probes += len(incident.steps[step.id].probes)
        untried = status == "done" and step.action is Action.CUT_CREDENTIAL
        if untried or status in ("failed", "not-proven", "undone"):
            reasons.append(f"{step.action.value} of {step.target}: {'not probed' if untried else status}")
        elif status in ("done", "unavailable"):
            not_shown.append(f"{step.action.value} of {step.target}: {status}")
    shown = [step for step in steps if _status(incident, step) == "proven"]
    if reasons or all(step.action is Action.STOP_ENCRYPTION for step in shown):
        return EventKind.NOT_CONTAINED, {"reasons": reasons or ["no containing step could be proven"]}
    return EventKind.CONTAINED, {"probes": probes, "not_shown": not_shown}


def finished(incident: Incident) -> bool:
    """Is every step settled, so that the case can be closed?"""
    return incident.plan is not None and all(_status(incident, step) in _SETTLED for step in incident.plan.steps)


def recovered(incident: Incident) -> bool:
    """May the case be closed as recovered: contained, and every step that could run succeeded?

    An old key that must wait for its backups to age out does not keep the case open: it stays contained, and the record
    says until when.
    """
    if incident.plan is None or incident.contained_at is None:
        return False
    return all(
        _status(incident, step) in ("proven", "done", "unavailable")
        or incident.steps[step.id].code == RETIREMENT_BLOCKED
        for step in incident.plan.steps
    )


def _containing(incident: Incident) -> tuple[Step, ...]:
    """The steps without which the attacker still succeeds.

    A key that can sign no more leaves the forgeries that were signed in time: those are accepted until the cut-off is
    published and the certificate revoked.
    """
    steps = incident.plan.steps if incident.plan else ()
    return tuple(step for step in steps if step.phase is Phase.CONTAIN or step.action in _END_FORGERIES)


def _settled(incident: Incident, steps: tuple[Step, ...]) -> bool:
    return bool(steps) and all(_status(incident, step) in _SETTLED for step in steps)


def _succeeded(incident: Incident, phase: Phase) -> bool:
    steps = [step for step in incident.plan.in_phase(phase) if not step.unavailable] if incident.plan else []
    return bool(steps) and all(_status(incident, step) in ("proven", "done") for step in steps)


def _data_safe(incident: Incident) -> bool:
    steps = incident.plan.in_phase(Phase.REENCRYPT) if incident.plan else ()
    return bool(steps) and all(
        _status(incident, step) == "proven"
        and step.target in incident.censuses
        and incident.censuses[step.target].clear
        for step in steps
    )


def _status(incident: Incident, step: Step) -> str:
    return "unavailable" if step.unavailable else incident.steps[step.id].state
