"""What is proven and what is not, in sentences that name no key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from playbooks.card_words import WORDS, doing, listed, number, sentence, taken_back
from playbooks.incident import Incident
from playbooks.milestones import RETIREMENT_BLOCKED
from playbooks.plans import Action, Phase, Step
from playbooks.receipts import Outcome


def proven(incident: Incident) -> Iterable[str]:
    """What independent tries have shown, milestones first."""
    if incident.contained_at is not None and not incident.not_contained and not taken_back(incident):
        yield f"Contained at {clock(incident.contained_at)}."
    if incident.renewed_at is not None:
        yield f"New keys and credentials are in use since {clock(incident.renewed_at)}."
    if incident.data_safe_at is not None:
        yield f"No object is under the old key since {clock(incident.data_safe_at)}."
    if incident.restored_at is not None:
        yield f"Every service works again since {clock(incident.restored_at)}."
    for action, steps in _grouped(incident, ("proven",)).items():
        tries = sum(len(incident.steps[step.id].probes) for step in steps)
        what = f"{number(len(steps), WORDS[action][0])}: {WORDS[action][2]}"
        yield f"{what} ({number(tries, 'probe')})." if tries else f"{what}."


def not_proven(incident: Incident) -> Iterable[str]:
    """What is still open, and what was tried without being shown."""
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


def clock(moment: datetime) -> str:
    """To the second, in UTC."""
    return f"{aware(moment).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def aware(moment: datetime) -> datetime:
    """A time without a zone is taken as UTC."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
