"""The worst step over many cases: which took longest, and which failed most; nothing is averaged.

Cases whose times are virtual are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from playbooks.metrics.phase_times import StepTime
from playbooks.plans import Phase
from playbooks.summary import Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class StepKind:
    """One kind of step over ``cases`` cases: ``steps`` ended, ``running`` did not.

    ``longest`` and ``shortest`` are in seconds, None where none ended; ``incident``, ``codename`` and ``seq`` name the
    longest.  ``failures`` of ``tries`` raised or left the step unproven.
    """

    phase: Phase
    action: str
    cases: int
    steps: int
    running: int
    shortest: float | None
    longest: float | None
    incident: str
    codename: str
    seq: int
    tries: int
    failures: int


def step_kinds(cases: Iterable[Summary], *, exercise: bool, phase: Phase | None = None) -> list[StepKind]:
    """The kinds of steps of the exercises or of the real cases, the one with the longest step first."""
    found: dict[tuple[Phase, str], list[tuple[Summary, StepTime]]] = {}
    for case, of, step in _steps(cases, exercise):
        if phase is None or of is phase:
            found.setdefault((of, step.action), []).append((case, step))
    kinds = [_kind(of, action, steps) for (of, action), steps in found.items()]
    return sorted(kinds, key=lambda each: (-(each.longest or 0.0), each.phase.value, each.action))


def failed_most(kinds: Iterable[StepKind]) -> StepKind | None:
    """The kind with the most failures, None where nothing failed."""
    return max((each for each in kinds if each.failures), key=lambda each: (each.failures, -each.tries), default=None)


def _steps(cases: Iterable[Summary], exercise: bool) -> Iterator[tuple[Summary, Phase, StepTime]]:
    for case in cases:
        if case.exercise is exercise and not case.virtual_time:
            for phase in case.phases:
                for step in phase.steps:
                    yield case, phase.phase, step


def _kind(phase: Phase, action: str, steps: list[tuple[Summary, StepTime]]) -> StepKind:
    ended = [(step.seconds, case, step) for case, step in steps if step.seconds is not None]
    longest = max(ended, key=lambda each: each[0], default=None)
    return StepKind(
        phase=phase,
        action=action,
        cases=len({case.id for case, _ in steps}),
        steps=len(ended),
        running=len(steps) - len(ended),
        shortest=min((each[0] for each in ended), default=None),
        longest=longest[0] if longest else None,
        incident=longest[1].id if longest else "",
        codename=longest[1].codename if longest else "",
        seq=longest[2].seq if longest else 0,
        tries=sum(step.tries for _, step in steps),
        failures=sum(step.failures for _, step in steps),
    )
