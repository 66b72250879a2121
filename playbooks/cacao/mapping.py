"""A playbook of somebody else, step by step: each becomes something that keyquell does, or the reason why not.

Nothing is guessed: a step is understood when its one manual command is a word of ``playbooks.cacao.words``.  Where the
document is silent, one person must agree, also to containment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from playbooks.cacao.document import Document
from playbooks.cacao.lint import Mistake
from playbooks.cacao.said import Unmapped, notice, said
from playbooks.cacao.strict_json import JsonPath, short
from playbooks.cacao.words import AGREED, KIND_LABEL, MOVES, ORDER, PHASES, SCHEME_LABEL
from playbooks.cacao.workflow import ActionStep, AnyStep, End, Start
from playbooks.exposures import ExposureKind
from playbooks.plans import Gate, Phase
from playbooks.playbook import AppliesTo, Containment, ContainmentMove, Gates, Notice, Playbook, PricedMove


@dataclass(slots=True)
class _Draft:
    """What the steps read so far have become."""

    moves: list[PricedMove] = field(default_factory=list)
    gates: dict[Phase, Gate] = field(default_factory=dict)
    runbook: dict[Phase, str] = field(default_factory=dict)
    notices: list[Notice] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)
    reached: int = 0


def map_document(document: Document) -> tuple[Playbook | None, list[Mistake]]:
    """The playbook that a sound document becomes, or None and what stands in the way, each step with its path."""
    draft, mistakes = _Draft(), [*_about(document)]
    for step_id, step in _in_order(document):
        try:
            _take(step, draft)
        except Unmapped as reason:
            mistakes.append((("workflow", step_id), f"{short(step.name or step.type)} cannot be mapped: {reason}"))
    if not draft.moves and not mistakes:
        mistakes.append((("workflow",), f"no step contains: expected one of {', '.join(ContainmentMove)}"))
    return (None if mistakes else _playbook(document, draft)), mistakes


def not_kept(document: Document) -> list[JsonPath]:
    """What a mapped document says that a playbook of ours has no place for, by path."""
    kept = {"type", "spec_version", "name", "labels", "workflow", "workflow_start"}
    found: list[JsonPath] = [(name,) for name in document.model_fields_set if name not in kept]
    for number, label in enumerate(document.labels or ()):
        if not label.startswith((KIND_LABEL, SCHEME_LABEL)):
            found.append(("labels", number))
    for step_id, step in document.workflow.items():
        names = ("owner", "external_references")
        found += [("workflow", step_id, name) for name in names if getattr(step, name) is not None]
    return sorted(found, key=str)


def _in_order(document: Document) -> Iterator[tuple[str, AnyStep]]:
    """Along the workflow first, then what no straight line reaches."""
    left = dict(document.workflow)
    name: str | None = document.workflow_start
    while name and name in left:
        step = left.pop(name)
        yield name, step
        name = step.on_completion or step.on_success
    yield from left.items()


def _about(document: Document) -> Iterator[Mistake]:
    if not _name(document.name):
        yield ("name",), "has no letter of a to z that a playbook's name could begin with"
    if document.workflow_exception and not isinstance(document.workflow[document.workflow_exception], End):
        yield ("workflow_exception",), "keyquell has no step that runs when another fails"
    known = [kind.value for kind in ExposureKind]
    labels = list(_labelled(document, KIND_LABEL))
    if not labels:
        yield ("labels",), f"say for which exposures it is: {', '.join(KIND_LABEL + kind for kind in known)}"
    for kind in labels:
        if kind not in known:
            yield ("labels",), f"{short(KIND_LABEL + kind)} is not one of {', '.join(known)}"


def _labelled(document: Document, prefix: str) -> Iterable[str]:
    found = [each.removeprefix(prefix) for each in document.labels or () if each.startswith(prefix)]
    return dict.fromkeys(found)


def _name(title: str) -> str:
    return re.sub("[^a-z0-9]+", "-", title.lower()).strip("-0123456789")[:60].strip("-")


def _take(step: AnyStep, draft: _Draft) -> None:
    """Add what a step says to the draft.  Raises Unmapped with the reason."""
    if isinstance(step, Start | End):
        return
    if not isinstance(step, ActionStep):
        raise Unmapped(f"a playbook of keyquell has no step of type {step.type}; it runs straight on")
    text = said(step)
    head, _, rest = text.partition("\n")
    word, _, about = head.strip().partition(" ")
    if word == "notify":
        _in_turn(Phase.NOTIFY, draft)
        draft.notices.append(notice(about.strip(), rest, step.description or ""))
        return
    if rest.strip():
        raise Unmapped("more than one line: keyquell would leave out what stands below the first")
    _once(head.strip(), draft)
    if word == "agree":
        _agree(about.split(), draft)
    elif head.strip() in MOVES:
        _move(MOVES[word], step, draft)
    elif head.strip() in PHASES:
        _in_turn(PHASES[word], draft)
        draft.runbook |= {PHASES[word]: step.description} if step.description else {}
    else:
        known = ", ".join([*MOVES, *PHASES, "agree PHASE GATE", "notify AUDIENCE"])
        raise Unmapped(f"{short(head)} is not one of {known}")


def _once(line: str, draft: _Draft) -> None:
    if line in draft.done:
        raise Unmapped(f"{short(line)} is there already")
    draft.done[line] = line


def _in_turn(phase: Phase, draft: _Draft) -> None:
    """Phases start in one order, always."""
    place = ORDER.index(phase)
    if place < draft.reached:
        raise Unmapped(f"keyquell starts {phase.value} before {ORDER[draft.reached].value}, and cannot turn them round")
    draft.reached = place


def _agree(words: list[str], draft: _Draft) -> None:
    if len(words) != 2 or words[0] not in set(Phase) or words[1] not in AGREED:
        raise Unmapped(f"expected: agree PHASE GATE, the gate one of {', '.join(AGREED)}")
    phase, gate = Phase(words[0]), AGREED[words[1]]
    _in_turn(phase, draft)
    if phase in draft.gates:
        raise Unmapped(f"who agrees to {phase.value} is said already")
    if phase is Phase.RETIRE and gate is not Gate.TWO_PERSON:
        raise Unmapped("retiring a key always needs two people")
    draft.gates[phase] = gate


def _move(move: ContainmentMove, step: ActionStep, draft: _Draft) -> None:
    _in_turn(Phase.CONTAIN, draft)
    if any(each.move is move for each in draft.moves):
        raise Unmapped(f"{move.value} is there already")
    draft.moves.append(PricedMove(move=move, price=step.description or ""))


def _playbook(document: Document, draft: _Draft) -> Playbook:
    gates = {phase.value: Gate.ONE_PERSON for phase in Phase if phase is not Phase.RETIRE}
    gates |= {phase.value: gate for phase, gate in draft.gates.items()}
    return Playbook(
        name=_name(document.name),
        version=1,
        title=document.name,
        applies_to=AppliesTo(
            kinds=tuple(ExposureKind(kind) for kind in _labelled(document, KIND_LABEL)),
            schemes=tuple(_labelled(document, SCHEME_LABEL)),
        ),
        containment=Containment(prefer=tuple(draft.moves)),
        gates=Gates.model_validate(gates),
        notify=tuple(draft.notices),
        runbook=draft.runbook,
    )
