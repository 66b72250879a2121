"""What a playbook of ours says, as a row of steps in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from playbooks.cacao.words import ACTIVITIES, DOES, MOVE_NAMES, ORDER, PHASE_NAMES, SUBJECT, TEMPLATE
from playbooks.plans import Gate, Phase
from playbooks.playbook import Notice, Playbook


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One step in words: ``command`` is what ``playbooks.cacao.mapping`` reads, ``does`` explains it to people."""

    name: str
    command: str
    description: str = ""
    does: str = ""
    activity: str = ""
    audience: str = ""
    decides: bool = False


def steps_of(playbook: Playbook) -> Iterator[Written]:
    """The steps in the order in which phases start; a phase with a gate begins with what people decide."""
    for phase in ORDER:
        gate = playbook.gates.of(phase)
        if gate.people:
            yield _decision(phase, gate)
        yield from _notices(playbook) if phase is Phase.NOTIFY else [_phase(playbook, phase)]
        if phase is Phase.CONTAIN:
            yield from _moves(playbook)


def _decision(phase: Phase, gate: Gate) -> Written:
    people = "One person" if gate.people == 1 else "Two people"
    return Written(
        name=f"Agree to: {phase.value}",
        command=f"agree {phase.value} {gate.value}",
        does=f"{people} who did not ask for it must agree to the plan before this phase. "
        "What cannot be taken back always needs two.",
        decides=True,
    )


def _phase(playbook: Playbook, phase: Phase) -> Written:
    return Written(
        name=PHASE_NAMES[phase],
        command=phase.value,
        description=playbook.runbook.get(phase, ""),
        does=DOES[phase],
        activity=ACTIVITIES[phase],
    )


def _moves(playbook: Playbook) -> Iterator[Written]:
    for entry in playbook.containment.prefer:
        yield Written(
            name=MOVE_NAMES[entry.move],
            command=entry.move.value,
            description=entry.price,
            does="keyquell does this where the plan has it.",
            activity=ACTIVITIES[Phase.CONTAIN],
        )


def _notices(playbook: Playbook) -> Iterator[Written]:
    for notice in playbook.notify:
        yield Written(
            name=f"Tell {notice.audience}",
            command=_message(notice),
            description=notice.why,
            does="What goes further than the responders is read by a person before it is sent.",
            activity=ACTIVITIES[Phase.NOTIFY],
            audience=notice.audience,
        )


def _message(notice: Notice) -> str:
    head = f"notify {notice.audience}\n"
    if notice.template:
        return f"{head}{TEMPLATE}{notice.template}"
    return f"{head}{SUBJECT}{notice.subject}\n\n{notice.body}"
