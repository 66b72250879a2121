"""An incident in the few sentences that a message may carry: no key names, no secrets, true when it is written."""

from __future__ import annotations

from datetime import UTC, datetime

from playbooks.card_proof import aware
from playbooks.card_words import WORDS, dataset_name, exposed, listed, number, sentence, taken_back
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Action, Phase
from playbooks.progress import waiting_steps


def briefing(incident: Incident) -> dict[str, str]:
    """Values for the fields of a playbook's notices (``playbook.FIELDS``)."""
    leaked = _exposed(incident)
    return {
        "codename": incident.codename,
        "summary": f"{leaked}. {_standing(incident)}",
        "phase": incident.phase,
        "severity": incident.severity,
        "exposed": leaked,
        "status": _standing(incident),
        "next_step": _next(incident),
        "exercise": "EXERCISE " if incident.exercise else "",
    }


def facts_for_drafts(incident: Incident) -> dict[str, object]:
    """Values for the templates of messages: the briefing, and what is known and not known in sentences."""
    begins = [each.occurred.not_before or each.occurred.not_after for each in incident.exposures]
    since = min((aware(each) for each in begins if each), default=incident.opened_at)
    told: dict[str, object] = dict(briefing(incident))
    return told | {
        "id": incident.id,
        "opened": _minute(incident.opened_at),
        "since": _minute(since),
        "standing": _standing(incident),
        "known": _known(incident),
        "not_known": _not_known(incident),
        "measures": _measures(incident),
    }


def _known(incident: Incident) -> list[str]:
    steps = incident.plan.steps if incident.plan else ()
    datasets = {step.target for step in steps if step.phase is Phase.REENCRYPT} | set(incident.censuses)
    services = {step.target for step in steps if step.action is Action.CHECK_CONSUMER}
    said = [sentence(_exposed(incident)), f"The incident was opened at {_minute(incident.opened_at)}."]
    if datasets:
        counted = sum(each.objects for each in incident.censuses.values())
        objects = f" with {number(counted, 'object')} counted" if incident.censuses else ""
        said.append(sentence(f"{number(len(datasets), 'dataset')} under the key{objects}"))
    if services:
        said.append(sentence(f"{number(len(services), 'service')} depending on it"))
    moments = (
        (None if _open_again(incident) else incident.contained_at, "Contained, shown by independent tries, at"),
        (incident.renewed_at, "New keys and credentials in use since"),
        (incident.data_safe_at, "Every object verified under the new key at"),
        (incident.restored_at, "Services shown to work again at"),
    )
    said += [f"{words} {_minute(moment)}." for moment, words in moments if moment]
    return said + ([f"Closed as {incident.closed.outcome}."] if incident.closed else [])


def _not_known(incident: Incident) -> list[str]:
    said = []
    if incident.contained_at is None or _open_again(incident):
        said.append("Whether the adversary can still use it: containment is not proven.")
    if incident.plan and incident.plan.in_phase(Phase.REENCRYPT) and incident.data_safe_at is None:
        said.append("Whether all data is off the old key.")
    left = [dataset_name(each.dataset) for each in incident.censuses.values() if not each.clear]
    said += [f"Under which key every object of {listed(left)} is."] if left else []
    if not incident.signals:
        said.append("When the adversary first and last used it: no detector has reported a use.")
    if not any(each.occurred.not_before for each in incident.exposures):
        said.append("Since when it was exposed.")
    said.append("What the adversary read or copied before containment.")
    if incident.plan and incident.plan.unknowns:
        said.append(sentence(f"{number(len(incident.plan.unknowns), 'thing')} that the inventory does not say"))
    return said


def _measures(incident: Incident) -> str:
    counts: dict[Action, int] = {}
    for step in incident.plan.steps if incident.plan else ():
        status = incident.steps[step.id]
        if status.state == "proven" and status.code != RETIREMENT_BLOCKED and step.phase is not Phase.NOTIFY:
            counts[step.action] = counts.get(step.action, 0) + 1
    done = [f"{number(count, WORDS[action][0])} {WORDS[action][2]}" for action, count in counts.items()]
    return sentence("; ".join(done)) or "None is proven yet."


def _exposed(incident: Incident) -> str:
    """What the adversary has, with a capital and without a full stop."""
    return sentence(exposed([each.kind for each in incident.exposures], keys=-1)).rstrip(".")


def _open_again(incident: Incident) -> bool:
    return bool(incident.not_contained or taken_back(incident))


def _minute(moment: datetime) -> str:
    return f"{aware(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _standing(incident: Incident) -> str:
    if _open_again(incident):
        return "It is NOT contained."
    if incident.contained_at is None:
        return "It is not contained yet."
    parts = [f"Contained and proven at {incident.contained_at:%H:%M:%S} UTC"]
    parts.append("data safe" if incident.data_safe_at else "data not yet safe")
    parts.append("service restored" if incident.restored_at else "service not yet shown to work")
    return f"{', '.join(parts)}."


def _next(incident: Incident) -> str:
    waiting = waiting_steps(incident)
    if incident.not_contained:
        return f"somebody must look at {incident.id} now."
    if waiting:
        return f"{waiting[0].gate.people} people other than the requester must approve the plan of {incident.id}."
    return f"follow it with `keyquell status {incident.id}`."
