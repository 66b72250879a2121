"""What a response does next: run steps, wait for people, end the case, or stop; decided from the record alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from playbooks.authority import EVERYBODY, Authority
from playbooks.gates import satisfied
from playbooks.incident import Incident
from playbooks.milestones import finished, recovered
from playbooks.plans import Phase, Step


@dataclass(frozen=True, slots=True)
class NextMove:
    """``run`` comes with the ready steps of one phase; the others with none.

    ``blocked``: a step failed for good, or containment could not be proven; a person has to look.
    """

    kind: Literal["run", "wait", "close", "closed", "blocked"]
    steps: tuple[Step, ...] = ()


def next_move(incident: Incident, *, tried: frozenset[str] = frozenset(), authority: Authority = EVERYBODY) -> NextMove:
    """Decide; ``tried`` are steps that this run has already retried in vain."""
    if incident.closed is not None:
        return NextMove("closed")
    ready = [step for step in ready_steps(incident, authority) if step.id not in tried]
    if ready:
        return NextMove("run", tuple(step for step in ready if step.phase is ready[0].phase))
    if finished(incident) and recovered(incident):
        return NextMove("close")
    return NextMove("wait" if waiting_steps(incident, authority) else "blocked")


def ready_steps(incident: Incident, authority: Authority = EVERYBODY) -> list[Step]:
    """Steps that may run now; while containment is known not to hold, only containing and telling goes on."""
    return [step for step in _offered(incident) if gate_open(incident, step, authority)]


def waiting_steps(incident: Incident, authority: Authority = EVERYBODY) -> list[Step]:
    """Steps that only an approval holds back."""
    return [step for step in _offered(incident) if not gate_open(incident, step, authority)]


def gate_open(incident: Incident, step: Step, authority: Authority = EVERYBODY) -> bool:
    """Is the step's gate satisfied by the approvals of the current plan?"""
    return at_gate(incident, step, authority)[0]


def at_gate(incident: Incident, step: Step, authority: Authority = EVERYBODY) -> tuple[bool, str]:
    """Do the approvals of the current plan satisfy the step's gate, and if not, why."""
    if incident.plan is None:
        return False, "there is no plan"
    return satisfied(
        step,
        incident.plan,
        incident.approvals,
        requested_by=incident.requested_by,
        denied=incident.denials,
        authority=authority,
    )


def _offered(incident: Incident) -> list[Step]:
    stuck = bool(incident.not_contained) and incident.contained_at is None
    return [step for step in incident.next_steps() if not stuck or step.phase in (Phase.CONTAIN, Phase.NOTIFY)]
