"""What a plan does that cannot be taken back, in words for somebody who was just woken up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from console.web.pages import moment
from flows.undo import foreseen
from playbooks.authority import Authority
from playbooks.card_words import in_force, number
from playbooks.incident import Incident
from playbooks.plans import Action, Phase, Reversibility, Step
from playbooks.progress import at_gate

_FINAL: Mapping[Action, tuple[str, str]] = {
    Action.DESTROY_KEY: ("{target} is destroyed.", "Nobody can bring it back, also not the vendor."),
    Action.SCHEDULE_DELETION: (
        "{target} is deleted {days} days after this.",
        "Until then the deletion can be cancelled; after that nobody can bring the key back.",
    ),
    Action.REVOKE_CERTIFICATE: ("The certificate {target} is revoked.", "It can never be made valid again."),
    Action.CANCEL_DELETION: ("The deletion of {target} is cancelled.", "That works only until it is deleted."),
}
_OTHER = ("{target}: {action}.", "This cannot be taken back.")
_REVERSED: Mapping[Action, str] = {
    Action.CUT_CREDENTIAL: "{target} works again.",
    Action.QUARANTINE_KEY: "{target} may be used again by everybody who could before.",
    Action.STOP_ENCRYPTION: "{target} encrypts again.",
    Action.DISABLE_KEY: "{target} is turned on again.",
    Action.SCHEDULE_DELETION: "The deletion of {target} is cancelled.",
}
_TAKEN_BACK = "{target}: {doing} is taken back."


@dataclass(frozen=True, slots=True)
class Consequence:
    """One step: what happens, why there is no way back (or until when there is one), and what it costs."""

    fact: str
    finality: str
    price: str


def final_steps(incident: Incident) -> list[Consequence]:
    """What is not done yet and cannot be taken back, or only for a time; what is final at once comes first."""
    steps = [step for step in _ahead(incident) if step.reversibility is not Reversibility.REVERSIBLE]
    steps.sort(key=lambda step: step.reversibility is not Reversibility.IRREVERSIBLE)
    return [_consequence(step) for step in steps]


def reversible_steps(incident: Incident) -> list[str]:
    """What waits for people too, but can be undone."""
    waiting = [step for step in _ahead(incident) if step.gate.people]
    return [
        f"{step.target}: {_doing(step)}. {step.price}".rstrip()
        for step in waiting
        if step.reversibility is Reversibility.REVERSIBLE
    ]


def still_missing(incident: Incident, authority: Authority) -> str:
    """Why the plan's next gated step may not run yet; "" when all that people decide is decided."""
    if incident.plan is None:
        return "there is no plan"
    for step in _ahead(incident):
        may, why = at_gate(incident, step, authority)
        if not may:
            return why
    return ""


def opened_again(incident: Incident) -> list[str]:
    """What an undo takes back, in the order in which it does, and what then works again."""
    taken_back = [step for step, why in foreseen(incident) if not why]
    return [
        _REVERSED.get(step.action, _TAKEN_BACK).format(target=step.target, doing=_doing(step)) for step in taken_back
    ]


def beyond_undo(incident: Incident) -> list[str]:
    """What was changed and stays so after an undo, and why."""
    left = [(step, why) for step, why in foreseen(incident) if why and incident.steps[step.id].receipt is not None]
    return [f"{step.target}, {_doing(step)}: {why}." for step, why in left]


def kept(incident: Incident) -> list[str]:
    """What was turned off and stays so when the case ends."""
    return [f"{step.target}: {_doing(step)}." for step in in_force(incident)]


def left_open(incident: Incident) -> list[str]:
    """What the end of the case leaves open: what is not proven, and the steps that will not run any more."""
    said = [] if incident.contained_at else ["It was never proven that the leaked key or credential is dead."]
    said += [f"Not contained: {reason}." for reason in incident.not_contained]
    ahead = list(_ahead(incident))
    containing = [step for step in ahead if step.phase is Phase.CONTAIN]
    said += [f"{step.target}: {_doing(step)} will not be done." for step in containing]
    if rest := len(ahead) - len(containing):
        said.append(f"{number(rest, 'further step')} of the plan will not be done.")
    return said


def _doing(step: Step) -> str:
    return step.action.value.replace("-", " ")


def _ahead(incident: Incident) -> Iterator[Step]:
    for step in incident.plan.steps if incident.plan else ():
        if not step.unavailable and not incident.steps[step.id].succeeded:
            yield step


def _consequence(step: Step) -> Consequence:
    fact, finality = _FINAL.get(step.action, _OTHER)
    if step.window_ends is not None:
        finality = f"It can be taken back until {moment(step.window_ends)}, and not after."
    words = {"target": step.target, "action": _doing(step), "days": step.inputs.get("days", "?")}
    return Consequence(fact.format_map(words), finality, step.price)
