"""Makes the card of an incident: decided from the record, the estate and the roster alone, and true when written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from playbooks.authority import Authority
from playbooks.blast_radius import BlastRadius, blast_radius
from playbooks.card import Button, Card, Deadline
from playbooks.card_approvals import approval_needed, approvals, undecided
from playbooks.card_proof import aware, clock, not_proven, proven
from playbooks.card_words import (
    dataset_name,
    doing,
    exposed,
    in_force,
    listed,
    names_of,
    number,
    sentence,
    taken_back,
    without_names,
)
from playbooks.estate import Estate
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plan_text import plan_diff
from playbooks.plans import Phase, Step
from playbooks.progress import next_move, ready_steps, waiting_steps
from playbooks.receipts import Census
from playbooks.refs import KeyRef

_TROUBLED = ("failed", "not-proven")
_UNTIL = re.compile(r"may need it until (\d{4}-\d{2}-\d{2})")


def card_of(incident: Incident, *, estate: Estate | None, authority: Authority, now: datetime) -> Card:
    """The card as it is true ``now``; it names no key except in ``plan``.

    ``estate`` None: it cannot be read, so what is within reach is not known.
    """
    facts = {KeyRef.parse(uri): fact for uri, fact in incident.facts.items()}
    taken, radius = incident.people.acknowledged, blast_radius(estate, incident.exposures) if estate else None
    card = Card(
        id=incident.id,
        codename=incident.codename,
        exercise=incident.exercise,
        severity=incident.severity,
        phase=incident.phase,
        tone=_tone(incident),
        opened_at=incident.opened_at,
        acknowledged_by=taken.by if taken else "",
        burning=_burning(incident, radius),
        blast_radius=_reach(radius),
        proven=tuple(proven(incident)),
        not_proven=tuple(not_proven(incident)),
        last_use=_last_use(incident),
        deadlines=tuple(_deadlines(incident, now)),
        approvals=approvals(incident, authority),
        census=tuple(_census(each) for each in incident.censuses.values()),
        warnings=tuple(warnings(incident)),
        next_action=_next_action(incident, authority),
        digest=incident.plan.digest if incident.plan else "",
        plan=plan_diff(incident.plan, facts) if incident.plan else "",
        buttons=tuple(_buttons(incident, authority)),
    )
    return _nameless(card, incident)


def _tone(incident: Incident) -> Literal["burning", "working", "safe", "over"]:
    if incident.closed is not None:
        return "over"
    if incident.contained_at is None or incident.not_contained or taken_back(incident):
        return "burning"
    data_due = bool(incident.plan and incident.plan.in_phase(Phase.REENCRYPT)) and incident.data_safe_at is None
    return "working" if data_due or incident.restored_at is None else "safe"


def _burning(incident: Incident, radius: BlastRadius | None) -> str:
    if not incident.exposures:
        return "Nothing is known to be exposed yet."
    if radius is None:
        what = exposed([each.kind for each in incident.exposures], keys=-1)
        return sentence(f"{what}; what is within reach is not known")
    counted = [incident.censuses[each.name] for each in radius.datasets if each.name in incident.censuses]
    objects = f"{number(sum(each.objects for each in counted), 'object')} in " if counted else ""
    within = [f"{objects}{number(len(radius.datasets), 'dataset')}"] if radius.datasets else []
    within += [number(len(radius.consumers), "service")] if radius.consumers else []
    within += [number(len(radius.certificates), "certificate")] if radius.certificates else []
    what = exposed([each.kind for each in incident.exposures], keys=len(radius.keys))
    if not within:
        return sentence(f"{what}; nothing that the estate lists is within reach")
    several = len(within) > 1 or not within[0].startswith("1 ")
    return sentence(f"{what}; {listed(within)} {'are' if several else 'is'} within reach")


def _reach(radius: BlastRadius | None) -> str:
    """The blast radius in one line of counts."""
    if radius is None:
        return "not known: the estate cannot be read"
    groups = (
        (radius.keys, "key"),
        (radius.datasets, "dataset"),
        (radius.certificates, "certificate"),
        (radius.credentials, "credential"),
        (radius.consumers, "service"),
    )
    found = [number(len(reached), one) for reached, one in groups if reached]
    unknown = f"; {number(len(radius.unknown), 'thing')} not known" if radius.unknown else ""
    return f"{listed(found) or 'nothing in the estate'}{unknown}"


def _last_use(incident: Incident) -> str:
    seen = [(aware(each.observed_at), each) for each in incident.signals]
    if not seen:
        return "No use by the adversary is known: no detector has reported one."
    at, signal = max(seen, key=lambda each: each[0])
    where = ", in the open" if signal.publicly_leaked else ""
    return f"Last seen at {clock(at)} by {signal.source}{where}."


def _deadlines(incident: Incident, now: datetime) -> list[Deadline]:
    if incident.plan is None:
        return []
    found: list[tuple[str, datetime]] = []
    for step in incident.plan.steps:
        status = incident.steps[step.id]
        if step.window_ends is not None and not status.succeeded and not incident.closed:
            found.append((sentence(f"{doing(step.action)} is possible until then"), aware(step.window_ends)))
        if status.code == RETIREMENT_BLOCKED and (days := _UNTIL.findall(status.error)):
            until = datetime.fromisoformat(max(days)).replace(tzinfo=UTC) + timedelta(days=1)
            found.append(("The backups have aged out: the old key may go.", until))
    ordered = sorted(dict.fromkeys(found), key=lambda each: each[1])
    return [Deadline(what=what, at=at, margin_seconds=(at - now).total_seconds()) for what, at in ordered]


def _census(census: Census) -> str:
    name = dataset_name(census.dataset)
    left = (
        (census.on_old, "under the old key"),
        (census.failed, "could not be opened"),
        (census.unreachable, "could not be reached"),
        (census.unknown, "under a key that nobody knows"),
    )
    rest = "".join(f"; {count} {words}" for count, words in left if count)
    return f"{name}: {census.on_new} of {number(census.objects, 'object')} verified under the new key{rest}."


def _next_action(incident: Incident, authority: Authority) -> str:
    if incident.closed is not None:
        return _after_closing(incident)
    if incident.plan is None:
        return "Make the plan: nothing is contained yet."
    if taken_back(incident):
        return "Stand down as a false alarm, or declare it again if it burns after all."
    if trouble := _about_trouble(incident):
        return trouble
    if containable := _containable(incident, authority):
        return f"Contain now: {number(len(containable), 'step')} may run at once."
    if waiting := waiting_steps(incident, authority):
        return approval_needed(incident, waiting, authority)
    if incident.people.acknowledged is None:
        return "Take the case: nobody has acknowledged it."
    running = [step for step in incident.plan.steps if incident.steps[step.id].state == "running"]
    if running:
        return f"Wait: {doing(running[0].action)} is under way."
    if next_move(incident, authority=authority).kind == "blocked":
        return "Look into it: nothing goes on by itself."
    return "Wait: the response goes on by itself."


def _after_closing(incident: Incident) -> str:
    if incident.closed and incident.closed.outcome == "false-alarm" and (held := in_force(incident)):
        return f"Undo: {number(len(held), 'step')} still in force."
    days = [day for status in incident.steps.values() for day in _UNTIL.findall(status.error)]
    if days:
        return f"Nothing now; the old key waits for its backups until {max(days)}."
    return "Nothing: look back with the report."


def _about_trouble(incident: Incident) -> str:
    for step in incident.plan.steps if incident.plan else ():
        status = incident.steps[step.id]
        if status.state not in _TROUBLED or status.code == RETIREMENT_BLOCKED:
            continue
        code = f" ({status.code})" if status.code else ""
        if status.retryable:
            return sentence(f"{doing(step.action)} failed{code} and is tried again; see that its backend answers")
        return sentence(f"{doing(step.action)} did not succeed{code}: put that right by hand")
    return ""


def _containable(incident: Incident, authority: Authority) -> list[Step]:
    ready = ready_steps(incident, authority) if incident.closed is None else []
    return [step for step in ready if step.phase is Phase.CONTAIN and incident.steps[step.id].state != "running"]


def _buttons(incident: Incident, authority: Authority) -> Iterable[Button]:
    over = incident.closed is not None
    if _containable(incident, authority):
        yield "contain"
    if not over and incident.people.acknowledged is None:
        yield "acknowledge"
    if undecided(incident, authority) and not incident.denials:
        yield "approve"
        yield "deny"
    if in_force(incident) and (not over or (incident.closed and incident.closed.outcome == "false-alarm")):
        yield "undo"
    if not over:
        yield "stand-down"


def _nameless(card: Card, incident: Incident) -> Card:
    names = names_of(incident)

    def hide(texts: Iterable[str]) -> tuple[str, ...]:
        return tuple(without_names(text, names) for text in texts)

    burning, last_use, approvals, next_action = hide((card.burning, card.last_use, card.approvals, card.next_action))
    return replace(
        card,
        burning=burning,
        last_use=last_use,
        approvals=approvals,
        next_action=next_action,
        proven=hide(card.proven),
        not_proven=hide(card.not_proven),
        census=hide(card.census),
        warnings=hide(card.warnings),
    )


def warnings(incident: Incident) -> Iterable[str]:
    """What is easily overlooked: a broken glass, refused attempts, what is not shown, drafts, calls that failed."""
    for glass in incident.people.glass:
        if not glass.verdict:
            yield f"{glass.by} broke the glass ({glass.reason.rstrip('.')}); nobody has reviewed it."
        elif glass.verdict == "not-justified":
            yield f"{glass.by} broke the glass without need, says {glass.reviewed_by}."
    if incident.people.refused:
        last = incident.people.refused[-1]
        count = number(len(incident.people.refused), "attempt")
        yield sentence(f"{count} refused, the last by {last.by} to {last.what}")
    if incident.not_shown:
        yield sentence(f"{number(len(incident.not_shown), 'move')} accepted or impossible, and not shown by any probe.")
    if incident.plan and incident.plan.residual:
        yield sentence(f"{number(len(incident.plan.residual), 'exposure')} that no step can close.")
    if incident.people.drafts:
        audiences = listed(dict.fromkeys(each.audience for each in incident.people.drafts.values()))
        yield sentence(f"{number(len(incident.people.drafts), 'message')} to read before sending: {audiences}.")
    if failed := [each for each in incident.people.pages if each.error]:
        yield sentence(f"{number(len(failed), 'call')} did not go through.")
