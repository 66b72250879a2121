"""An exercise beside earlier ones of its playbook, and what earlier cases left to be done; read from the record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flows.wiring import Wiring
from playbooks.comparison import Comparison, Returned, beside, earlier
from playbooks.record import EventKind
from playbooks.summary import Summary


def comparison(wiring: Wiring, incident_id: str, cases: Sequence[Summary]) -> Comparison:
    """The comparison of one case with those of ``cases``; empty for a real one."""
    case = next((each for each in cases if each.id == incident_id), None)
    if case is None or not case.exercise:
        return Comparison()
    before = earlier(case, cases)
    left = [each for each in _actions(wiring, before) if _open_when(wiring, each, case)]
    return beside(case, before, left, now=wiring.clock())


def waiting(wiring: Wiring, playbook: str, cases: Iterable[Summary]) -> list[Returned]:
    """What is to be done now after cases of a playbook, the earliest day first: for the briefing of an exercise."""
    found = _actions(wiring, [each for each in cases if each.playbook == playbook])
    return sorted((each for each in found if not each.action.outcome), key=lambda each: each.action.due)


def _actions(wiring: Wiring, cases: Iterable[Summary]) -> list[Returned]:
    having = {each.incident for each in wiring.records.of_kind(EventKind.ACTION_ADDED)}
    return [
        Returned(case.id, case.codename, case.exercise, action)
        for case in cases
        if case.id in having
        for action in wiring.incident(case.id).oversight.actions.values()
    ]


def _open_when(wiring: Wiring, each: Returned, case: Summary) -> bool:
    """Was the action agreed on and not settled when the exercise began?"""
    if each.action.at >= case.opened_at:
        return False
    settled = wiring.records.of_kind(EventKind.ACTION_SETTLED, incident=each.incident)
    return not any(one.at < case.opened_at and one.body["action"] == each.action.id for one in settled)
