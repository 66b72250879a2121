"""The workflow as a graph: what leads where, circles, and what reaches an end.

Nothing here calls itself: a chain of steps may be long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from playbooks.cacao.strict_json import JsonPath
from playbooks.cacao.workflow import AnyStep, End, IfCondition, Parallel, SwitchCondition, WhileCondition

Pointer = tuple[JsonPath, str]
Steps = Mapping[str, AnyStep]


def pointers(step: AnyStep) -> list[Pointer]:
    """Every reference from a step to another: the path within the step, and the identifier."""
    following = (
        ("on_completion", step.on_completion),
        ("on_success", step.on_success),
        ("on_failure", step.on_failure),
    )
    return [((name,), to) for name, to in following if to is not None] + branches(step)


def branches(step: AnyStep) -> list[Pointer]:
    """The references into branches of a step, which return to it when they end."""
    match step:
        case Parallel():
            return [(("next_steps", number), to) for number, to in enumerate(step.next_steps)]
        case SwitchCondition():
            return [(("cases", name), to) for name, to in step.cases.items()]
        case IfCondition(on_false=str(on_false)):
            return [(("on_true",), step.on_true), (("on_false",), on_false)]
        case IfCondition() | WhileCondition():
            return [(("on_true",), step.on_true)]
        case _:
            return []


def reached(steps: Steps, roots: Iterable[str]) -> set[str]:
    """The steps that can be reached from some, themselves included."""
    return _closure({name: [to for _, to in pointers(step)] for name, step in steps.items()}, roots)


def reaching_an_end(steps: Steps) -> set[str]:
    """The steps from which an end step can be reached, along any pointer."""
    before: dict[str, list[str]] = defaultdict(list)
    for name, step in steps.items():
        for _, to in pointers(step):
            before[to].append(name)
    return _closure(before, [name for name, step in steps.items() if isinstance(step, End)])


def cycle(steps: Steps) -> list[str]:
    """The steps in circles, in the order of the document; a while-condition may lead its own body in one."""
    waiting = dict.fromkeys(steps, 0)
    after = {name: [to for _, to in _lasting(step)] for name, step in steps.items()}
    for targets in after.values():
        for to in targets:
            waiting[to] += 1
    free = [name for name, count in waiting.items() if not count]
    while free:
        name = free.pop()
        del waiting[name]
        for to in after[name]:
            waiting[to] -= 1
            if not waiting[to]:
                free.append(to)
    # What is left is in a circle or behind one.
    return [name for name in steps if name in waiting and name in _closure(after, after[name])]


def _lasting(step: AnyStep) -> list[Pointer]:
    return [each for each in pointers(step) if not (isinstance(step, WhileCondition) and each[0] == ("on_true",))]


def _closure(after: Mapping[str, list[str]], roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    open_ = list(roots)
    while open_:
        name = open_.pop()
        if name not in found:
            found.add(name)
            open_ += after.get(name, ())
    return found
