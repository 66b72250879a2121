"""A plan as a diff that a person reads in ten seconds, and what changed between two plans."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from playbooks.keys import KeyFacts
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.refs import KeyRef
from playbooks.visible import visible

MAX_LINES = 40
_STEP = 150
"""Characters of a step's sentence with what it costs."""

_SENTENCES = {
    Action.CUT_CREDENTIAL: "{target} stops working",
    Action.REVOKE_SESSIONS: "sessions from {target} end",
    Action.REVOKE_GRANTS: "grants on {target} end",
    Action.QUARANTINE_KEY: "{target} decrypts only for the recovery identity",
    Action.STOP_ENCRYPTION: "{target} encrypts nothing new",
    Action.DISABLE_KEY: "{target} is turned off",
    Action.CANCEL_DELETION: "the deletion of {target} is cancelled",
    Action.CREATE_KEY: "a successor of {target} is created",
    Action.ROTATE_KEY: "{target} gets new material in place",
    Action.SWITCH_KEY: "the new key takes the place of {target} for {consumers}",
    Action.ISSUE_CREDENTIAL: "{consumer} gets a new credential for {target}",
    Action.ISSUE_CERTIFICATE: "the new key gets a certificate in place of {target}",
    Action.RESIGN: "what {target} must keep is signed again",
    Action.REWRAP: "{target}: data keys wrapped under the new key, payload untouched",
    Action.REENCRYPT: "{target}: encrypted in full with new data keys",
    Action.REVOKE_CERTIFICATE: "{target} is revoked for key compromise",
    Action.PUBLISH_CUTOFF: "signatures by {target} after the cut-off are refused by {consumers}",
    Action.PROBE_OLD: "tried afresh, must be refused: {target}",
    Action.PROBE_NEW: "tried, must work: the successor of {target}",
    Action.TAKE_CENSUS: "every object counted under its key: {target}",
    Action.CHECK_CONSUMER: "works again by its own word: {target}",
    Action.NOTIFY: "told: {target}",
    Action.SCHEDULE_DELETION: "{target} is deleted after {days} days",
    Action.DESTROY_KEY: "{target} is destroyed",
    Action.REVIEW: "the incident is reviewed",
}
_STOPS = frozenset({
    Action.CUT_CREDENTIAL, Action.REVOKE_SESSIONS, Action.REVOKE_GRANTS, Action.QUARANTINE_KEY, Action.STOP_ENCRYPTION,
    Action.DISABLE_KEY, Action.REVOKE_CERTIFICATE, Action.PUBLISH_CUTOFF, Action.DESTROY_KEY,
})  # fmt: skip
_GATES = {Gate.PRE_APPROVED: "", Gate.ONE_PERSON: " [one person]", Gate.TWO_PERSON: " [two people]"}


def plan_diff(plan: Plan, facts: Mapping[KeyRef, KeyFacts]) -> str:
    """The plan in at most 40 lines: ``-`` stops, ``+`` will be, ``~`` has a window, ``!`` cannot be or is not known.

    Steps of one kind are folded, and so is the tail of a long phase, with the number of what is left out.
    """
    head = [f"plan {plan.digest[:12]} · {plan.playbook} v{plan.playbook_version} · {_exposed(plan, facts)}"]
    notes = _notes(plan)
    phases = [(phase, _phase_lines(plan.in_phase(phase))) for phase in _phases(plan)]
    room = MAX_LINES - len(head) - len(notes) - len(phases)
    shown = _fit([lines for _, lines in phases], room)
    body = [line for (phase, _), lines in zip(phases, shown, strict=True) for line in (phase.value, *lines)]
    return "\n".join([*head, *body, *notes])


def compare(old: Plan, new: Plan) -> str:
    """What the new plan does that the old did not, and the reverse; "" when their digests are equal."""
    if old.digest == new.digest:
        return ""
    before = {(step.action, step.target): step for step in old.steps}
    after = {(step.action, step.target): step for step in new.steps}
    lines = [f"plan {old.digest[:12]} → {new.digest[:12]}"]
    lines += [f"- no longer: {_sentence(step)}" for name, step in before.items() if name not in after]
    lines += [f"+ now also: {_sentence(step)}" for name, step in after.items() if name not in before]
    for name in before:
        if name in after and (changes := _changes(before[name], after[name])):
            lines.append(f"~ {_sentence(after[name])}: {'; '.join(changes)}")
    lines += [f"! not known: {_plain(each)}" for each in new.unknowns if each not in old.unknowns]
    if len(lines) == 1:
        lines.append("~ the same moves, in another order or for another reason")
    return "\n".join(lines)


def _exposed(plan: Plan, facts: Mapping[KeyRef, KeyFacts]) -> str:
    states = {str(ref): f", now {fact.state.value}" for ref, fact in facts.items()}
    return "; ".join(_cut(f"{each}{states.get(each.partition(' of ')[2], '')}", 90) for each in plan.exposures[:2]) + (
        f" and {len(plan.exposures) - 2} more" if len(plan.exposures) > 2 else ""
    )


def _phases(plan: Plan) -> list[Phase]:
    return list(dict.fromkeys(step.phase for step in plan.steps))


def _phase_lines(steps: Sequence[Step]) -> list[str]:
    """One line for each step; verifying and telling are folded into one line for each action."""
    lines: list[str] = []
    folded: dict[Action, list[Step]] = {}
    for step in steps:
        if step.phase in (Phase.VERIFY, Phase.NOTIFY) and not step.unavailable:
            folded.setdefault(step.action, []).append(step)
        else:
            lines.append(_line(step))
    lines += [_folded(each) for each in folded.values()]
    return lines


def _line(step: Step) -> str:
    if step.unavailable:
        return f"  ! not possible: {_cut(f'{_sentence(step)} – {step.unavailable}', 134)}"
    windowed = step.reversibility is Reversibility.WINDOWED
    mark = "~" if windowed else "-" if step.action in _STOPS else "+"
    final = ", for good" if step.reversibility is Reversibility.IRREVERSIBLE else ""
    until = f", by {step.window_ends:%Y-%m-%d %H:%M}" if step.window_ends else ""
    price = f" ({_plain(step.price).rstrip('.')})" if step.price and mark != "+" else ""
    sentence = _sentence(step)
    if len(sentence) + len(final + until + price) > _STEP:
        sentence = _middle(sentence, 100)
        price = _cut(price, _STEP - len(sentence + final + until)) if price else ""
    return f"  {mark} {sentence}{final}{until}{price}{_GATES[step.gate]}"


def _folded(steps: Sequence[Step]) -> str:
    if len(steps) == 1:
        return _line(steps[0])
    return f"  + {_cut(_SENTENCES[steps[0].action].format_map(_Words(_names([step.target for step in steps]))), 150)}"


class _Words(dict[str, str]):
    """Fills a sentence; a word that a step does not have reads as "its users"."""

    def __init__(self, target: str, **words: str) -> None:
        super().__init__(target=target, **words)

    def __missing__(self, name: str) -> str:
        return "its users"


def _sentence(step: Step) -> str:
    words = {
        name: _names([str(each) for each in value]) if isinstance(value, list) else str(value)
        for name, value in step.inputs.items()
        if value not in (None, [], "") and name != "target"
    }
    return _plain(_SENTENCES[step.action].format_map(_Words(step.target, **words)))


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _notes(plan: Plan) -> list[str]:
    notes = [f"! not known: {_cut(each, 130)}" for each in plan.unknowns]
    left = [f"! stays exposed: {_cut(each, 140)}" for each in plan.residual]
    return [*_head(notes, 6, "more things are not known"), *_head(left, 3, "more things stay exposed")]


def _fit(groups: Sequence[list[str]], room: int) -> list[list[str]]:
    """Share the room: short phases whole, long ones cut at the same length; what cannot be done is never cut first."""
    most = max((len(lines) for lines in groups), default=0)
    while most > 1 and sum(min(len(lines), most) for lines in groups) > room:
        most -= 1
    return [_head(sorted(lines, key=_last_if_plain) if len(lines) > most else lines, most, "more") for lines in groups]


def _last_if_plain(line: str) -> bool:
    return not line.startswith("  !")


def _head(lines: Sequence[str], most: int, rest: str) -> list[str]:
    if len(lines) <= most:
        return list(lines)
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    return [*lines[: most - 1], f"{indent}… {len(lines) - most + 1} {rest}"]


def _changes(before: Step, after: Step) -> Iterable[str]:
    changes = []
    if before.unavailable != after.unavailable:
        changes.append(f"not possible any more: {after.unavailable}" if after.unavailable else "possible now")
    if before.gate is not after.gate:
        changes.append(f"gate {before.gate.value} → {after.gate.value}")
    changed = [name for name in (before.inputs | after.inputs) if _differs(before, after, name)]
    if changed:
        changes.append(f"changed {', '.join(sorted(changed))}")
    return changes


def _differs(before: Step, after: Step, name: str) -> bool:
    """References to other steps change with their numbers, which is no change of what is done."""
    old, new = before.inputs.get(name), after.inputs.get(name)
    both_refer = all(isinstance(each, str) and each.startswith("step:") for each in (old, new))
    return old != new and not both_refer


def _plain(text: str) -> str:
    """One line, all of it to be seen: a name cannot look like another line of the plan."""
    return visible(" ".join(text.splitlines()))


def _cut(text: str, length: int) -> str:
    text = _plain(text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def _middle(text: str, length: int) -> str:
    """Cut in the middle: what a step does stands at the end of its sentence, however long the name is."""
    if len(text) <= length:
        return text
    head = length * 2 // 3
    return f"{text[:head]}…{text[head + 1 - length :]}"
