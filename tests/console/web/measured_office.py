"""Cases with times of their own on the web page: the twelve, and responses that went through every phase."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime

from told import START, Told, at
from web_office import WebOffice
from written_case import CREDENTIAL, ESTATE, EXPOSURE

from playbooks.codenames import codename
from playbooks.exposures import Interval
from playbooks.planner import make_plan
from playbooks.plans import Phase
from playbooks.playbook import catalog
from playbooks.receipts import Census, Receipt
from playbooks.record import Event, EventKind

DATASET = "files:docs/invoices"
_PHASES = (Phase.CONTAIN, Phase.RENEW, Phase.REENCRYPT, Phase.REVOKE, Phase.VERIFY)


def record(office: WebOffice, cases: Iterable[list[Event]], *, now: datetime) -> None:
    """Write the events at their times; afterwards the office's clock shows ``now``."""
    for event in sorted((each for events in cases for each in events), key=lambda each: (each.at, each.seq)):
        office.ahead = event.at - datetime.now(UTC)
        office.wiring.records.append_next(event.incident, kind=event.kind, body=event.body)
    office.ahead = now - datetime.now(UTC)


def responded(
    name: str, *, exercise: bool = False, begins: float = 0, pace: float = 1, through: int = 5, failing: bool = False
) -> Told:
    """A credential that leaked ``begins`` minutes after nine, answered through so many phases at a pace in minutes."""
    told = Told(name, exercise=exercise, begins=begins, codename=codename(name))
    clock = begins + 0.3 * pace
    told.seen(clock, observed=begins + 0.1 * pace)
    told.add(clock, EventKind.EXPOSURE_ADDED, exposure=EXPOSURE.model_copy(update={"occurred": _since(begins, pace)}))
    chosen = catalog()["kms-credential-leak"]
    plan = make_plan(incident_id=name, exposures=[EXPOSURE], estate=ESTATE, facts={}, playbook=chosen)
    told.add(clock, EventKind.PLAN_MADE, plan=plan)
    told.add(clock + 0.2 * pace, EventKind.ACKNOWLEDGED, by="bob", via="slack")
    for number, phase in enumerate(_PHASES[:through]):
        for step in plan.in_phase(phase):
            if step.unavailable:
                continue
            clock = _run(told, step.id, clock + 0.2 * pace, pace, failing=failing and phase is Phase.REENCRYPT)
        if phase is Phase.CONTAIN:
            told.add(clock, EventKind.CONTAINED, probes=6)
        if phase is Phase.REENCRYPT:
            _moved(told, plan.in_phase(phase)[0].id, clock, pace)
        if number == len(_PHASES) - 1:
            told.add(clock, EventKind.RESTORED, consumers=("app",))
            told.add(clock + 5 * pace, EventKind.CLOSED, by="bob", outcome="recovered")
    return told


def many(count: int = 16, *, exercise: bool = False, seed: int = 4) -> list[Told]:
    """Responses of every pace, the last two still under way; the same for the same seed."""
    dice = random.Random(seed)
    found = []
    for number in range(count):
        pace = (0.02 if exercise else 1.0) * dice.lognormvariate(0.6, 0.8)
        through = 5 if number < count - 2 else number % 2
        name = f"KQ-{'D' if exercise else 'R'}{number}"
        begins = -40.0 * (count - number)
        found.append(responded(name, exercise=exercise, begins=begins, pace=pace, through=through, failing=number == 3))
    return found


def _since(begins: float, pace: float) -> Interval:
    return Interval(not_before=at(begins - 30 * pace), not_after=at(begins - 2 * pace))


def _run(told: Told, step: str, clock: float, pace: float, *, failing: bool) -> float:
    attempt = 1
    told.add(clock, EventKind.STEP_STARTED, step=step, attempt=attempt, owner="host/1/1.0")
    if failing:
        told.add(clock + pace, EventKind.STEP_FAILED, step=step, error="throttled", code="Throttled", retryable=True)
        told.add(clock + 2 * pace, EventKind.STEP_STARTED, step=step, attempt=2, owner="host/1/1.0")
        clock += 2 * pace
    end = clock + (1 + len(step) % 5) * 0.6 * pace
    receipt = Receipt(subject=CREDENTIAL, move=step, requested_at=at(clock), accepted_at=at(clock + 0.1 * pace))
    told.add(end, EventKind.STEP_FINISHED, step=step, outcome="proven", receipt=receipt)
    return end


def _moved(told: Told, step: str, clock: float, pace: float) -> None:
    objects = 200 + round(900 * pace)
    told.add(
        clock, EventKind.SHARD_FINISHED, step=step, shard=0, result={"rewritten": objects - 3, "bytes": 52_000_000}
    )
    census = Census(
        dataset=DATASET, objects=objects, bytes=53_000_000, on_new=objects - 3, on_old=0, failed=1, unreachable=2,
        taken_at=START,
    )  # fmt: skip
    told.add(clock, EventKind.CENSUS_TAKEN, census=census)
