"""Makes the card of an incident: decided from the record, the estate and the roster alone, and true when written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from playbooks.authority import Authority, needs_step_up
from playbooks.blast_radius import BlastRadius, blast_radius
from playbooks.card import Button, Card, Deadline
from playbooks.card_words import (
    METHODS,
    WORDS,
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
from playbooks.gates import person, same_person
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plan_text import plan_diff
from playbooks.plans import Action, Phase, Step
from playbooks.progress import gate_open, next_move, ready_steps, waiting_steps
from playbooks.receipts import Census, Outcome
from playbooks.refs import KeyRef

_TROUBLED = ("failed", "not-proven")
_UNTIL = re.compile(r"may need it until (\d{4}-\d{2}-\d{2})")


def card_of(incident: Incident, *, estate: Estate, authority: Authority, now: datetime) -> Card:
    """The card as it is true ``now``; it names no key except in ``plan``."""
    facts = {KeyRef.parse(uri): fact for uri, fact in incident.facts.items()}
    taken, radius = incident.people.acknowledged, blast_radius(estate, incident.exposures)
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
        proven=tuple(_proven(incident)),
        not_proven=tuple(_not_proven(incident)),
        last_use=_last_use(incident),
        deadlines=tuple(_deadlines(incident, now)),
        approvals=_approvals(incident, authority),
        census=tuple(_census(each) for each in incident.censuses.values()),
        warnings=tuple(_warnings(incident)),
        next_action=_next_action(incident, authority),
        digest=incident.plan.digest if incident.plan else "",
        plan=plan_diff(incident.plan, facts) if incident.plan else "",
        buttons=tuple(_buttons(incident, authority)),
    )
    return _nameless(card, incident)


def undecided(incident: Incident, authority: Authority) -> list[Step]:
    """Steps of the plan that have not run and that people have not let through, whether or not it is their turn."""
    if incident.plan is None or incident.closed is not None:
        return []
    open_steps = [step for step in incident.plan.steps if incident.steps[step.id].runnable and not step.unavailable]
    return [step for step in open_steps if step.gate.people and not gate_open(incident, step, authority)]


def _tone(incident: Incident) -> Literal["burning", "working", "safe", "over"]:
    if incident.closed is not None:
        return "over"
    if incident.contained_at is None or incident.not_contained or taken_back(incident):
        return "burning"
    data_due = bool(incident.plan and incident.plan.in_phase(Phase.REENCRYPT)) and incident.data_safe_at is None
    return "working" if data_due or incident.restored_at is None else "safe"


def _burning(incident: Incident, radius: BlastRadius) -> str:
    if not incident.exposures:
        return "Nothing is known to be exposed yet."
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


def _reach(radius: BlastRadius) -> str:
    """The blast radius in one line of counts."""
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


def _proven(incident: Incident) -> Iterable[str]:
    if incident.contained_at is not None and not incident.not_contained and not taken_back(incident):
        yield f"Contained at {_clock(incident.contained_at)}."
    if incident.renewed_at is not None:
        yield f"New keys and credentials are in use since {_clock(incident.renewed_at)}."
    if incident.data_safe_at is not None:
        yield f"No object is under the old key since {_clock(incident.data_safe_at)}."
    if incident.restored_at is not None:
        yield f"Every service works again since {_clock(incident.restored_at)}."
    for action, steps in _grouped(incident, ("proven",)).items():
        tries = sum(len(incident.steps[step.id].probes) for step in steps)
        what = f"{number(len(steps), WORDS[action][0])}: {WORDS[action][2]}"
        yield f"{what} ({number(tries, 'probe')})." if tries else f"{what}."


def _not_proven(incident: Incident) -> Iterable[str]:
    back = taken_back(incident)
    if back:
        yield "Containment was taken back: nothing holds what was exposed."
    elif incident.contained_at is None or incident.not_contained:
        yield "It is NOT contained." if incident.not_contained else "It is not contained yet."
    due = (
        (incident.renewed_at, Phase.RENEW, "New keys and credentials are not in use yet."),
        (incident.data_safe_at, Phase.REENCRYPT, "Data is not shown to be off the old key."),
    )
    for moment, phase, words in due:
        if moment is None and incident.plan and any(not each.unavailable for each in incident.plan.in_phase(phase)):
            yield words
    checks = [each for each in (incident.plan.steps if incident.plan else ()) if each.action is Action.CHECK_CONSUMER]
    if incident.restored_at is None and checks:
        yield sentence(f"{number(len(checks), 'service')} not shown to work.")
    yield from _short_of_proof(incident)


def _short_of_proof(incident: Incident) -> Iterable[str]:
    for action, steps in _grouped(incident, ("not-proven",)).items():
        worked = any(
            probe.outcome is Outcome.WORKED and probe.expected == "refused"
            for step in steps
            for probe in incident.steps[step.id].probes[-1:]
        )
        yield sentence(f"{doing(action, len(steps))}: {'it still worked when tried' if worked else 'not shown'}")
    for action, steps in _grouped(incident, ("failed",)).items():
        codes = dict.fromkeys(incident.steps[each.id].code for each in steps if incident.steps[each.id].code)
        yield sentence(f"{doing(action, len(steps))}: failed{f' ({listed(codes)})' if codes else ''}")
    for action, steps in _grouped(incident, ("unavailable",)).items():
        yield sentence(f"{doing(action, len(steps))}: cannot be done here")
    for action, steps in _grouped(incident, ("undone",)).items():
        yield sentence(f"{doing(action, len(steps))}: taken back")


def _grouped(incident: Incident, states: tuple[str, ...]) -> dict[Action, list[Step]]:
    """Steps in these states by action; a retirement that waits for its day is no failure."""
    found: dict[Action, list[Step]] = {}
    for step in incident.plan.steps if incident.plan else ():
        status = incident.steps[step.id]
        state = "unavailable" if step.unavailable else status.state
        if state in states and status.code != RETIREMENT_BLOCKED:
            found.setdefault(step.action, []).append(step)
    return found


def _last_use(incident: Incident) -> str:
    seen = [(_aware(each.observed_at), each) for each in incident.signals]
    if not seen:
        return "No use by the adversary is known: no detector has reported one."
    at, signal = max(seen, key=lambda each: each[0])
    where = ", in the open" if signal.publicly_leaked else ""
    return f"Last seen at {_clock(at)} by {signal.source}{where}."


def _deadlines(incident: Incident, now: datetime) -> list[Deadline]:
    if incident.plan is None:
        return []
    found: list[tuple[str, datetime]] = []
    for step in incident.plan.steps:
        status = incident.steps[step.id]
        if step.window_ends is not None and not status.succeeded and not incident.closed:
            found.append((sentence(f"{doing(step.action)} is possible until then"), _aware(step.window_ends)))
        if status.code == RETIREMENT_BLOCKED and (days := _UNTIL.findall(status.error)):
            until = datetime.fromisoformat(max(days)).replace(tzinfo=UTC) + timedelta(days=1)
            found.append(("The backups have aged out: the old key may go.", until))
    ordered = sorted(dict.fromkeys(found), key=lambda each: each[1])
    return [Deadline(what=what, at=at, margin_seconds=(at - now).total_seconds()) for what, at in ordered]


def _approvals(incident: Incident, authority: Authority) -> str:
    if incident.plan is None:
        return ""
    if not any(step.gate.people and not step.unavailable for step in incident.plan.steps):
        return "Nobody needs to approve anything in this plan."
    said = [f"{each.approver} said no: {each.reason.rstrip('.')}." for each in incident.denials]
    agreed = {person(each.approver): f"{each.approver} ({_method(each.method)})" for each in incident.approvals}
    said += [f"Agreed: {listed(agreed.values())}."] if agreed else []
    waiting = undecided(incident, authority)
    if waiting and not incident.denials:
        missing = max(_missing(incident, step, authority) for step in waiting)
        who = "one more person" if missing == 1 and agreed else "one person" if missing == 1 else f"{missing} people"
        said.append(f"Missing: {who} other than {incident.requested_by}, for {number(len(waiting), 'step')}.")
    doubts = dict.fromkeys(
        why for step in waiting for each in incident.approvals if (why := authority.objection(each, step))
    )
    own = [each for each in incident.approvals if same_person(each.approver, incident.requested_by)]
    doubts |= {f"{each.approver} asked for this response": None for each in own}
    said += [f"Does not count: {'; '.join(doubts)}."] if doubts else []
    if not waiting and not incident.denials and not incident.closed:
        said.append("Nobody is missing.")
    return " ".join(said)


def _missing(incident: Incident, step: Step, authority: Authority) -> int:
    counted = {person(each.approver) for each in incident.approvals if not authority.objection(each, step)}
    return step.gate.people - len(counted - {person(incident.requested_by)})


def _method(method: str) -> str:
    return METHODS.get(method, method)


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


def _warnings(incident: Incident) -> Iterable[str]:
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
        return _about_waiting(incident, waiting, authority)
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


def _about_waiting(incident: Incident, waiting: list[Step], authority: Authority) -> str:
    if incident.denials:
        return f"{incident.denials[-1].approver} said no: talk, then stand down, or declare it anew for another plan."
    step = max(waiting, key=lambda each: _missing(incident, each, authority))
    missing = _missing(incident, step, authority)
    who = "One person" if missing == 1 else "Two people" if missing == 2 else f"{missing} people"
    how = " with a passkey" if authority.roster is not None and needs_step_up(step) else ""
    return f"{who} other than {incident.requested_by} must read the plan and approve it{how}."


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


def _clock(moment: datetime) -> str:
    return f"{_aware(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
