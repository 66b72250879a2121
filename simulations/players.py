"""Simulated approvers: they read the record as people would, think for a while, and approve the plan they saw."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from flows.intake import approve
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.plans import Plan
from playbooks.record import EventKind
from simulations.scenario import Player

_POLL_SECONDS = 0.1


class Players:
    """Approvers at work in a thread of their own, from ``start`` to ``stop``."""

    def __init__(self, config: Path, players: tuple[Player, ...], *, on_approval: Callable[[str, str], None]) -> None:
        self._config = config
        self._players = players
        self._on_approval = on_approval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._play, name="players", daemon=True)
        self.faults: list[str] = []

    def start(self) -> None:
        """Begin to watch for plans."""
        self._thread.start()

    def stop(self) -> None:
        """Go home; returns when the thread has ended."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def _play(self) -> None:
        with Wiring.from_file(self._config) as wiring:
            waiting: dict[tuple[str, str], float] = {}
            while not self._stop.wait(_POLL_SECONDS):
                for incident_id in wiring.records.incidents():
                    self._look(wiring, incident_id, waiting)

    def _look(self, wiring: Wiring, incident_id: str, waited: dict[tuple[str, str], float]) -> None:
        plan, approvers = _newest_plan(wiring, incident_id)
        if plan is None:
            return
        gates = {step.gate for step in plan.steps if step.gate.people and not step.unavailable}
        needed = max((gate.people for gate in gates), default=0)
        for player in self._players:
            if len(approvers) >= needed:
                return
            if player.name in approvers or not gates.intersection(player.approves):
                continue
            place = (player.name, plan.digest)
            waited[place] = waited.get(place, 0.0) + _POLL_SECONDS
            if waited[place] >= player.delay_seconds:
                self._approve(wiring, incident_id, player.name, plan.digest)
                approvers.add(player.name)

    def _approve(self, wiring: Wiring, incident_id: str, name: str, digest: str) -> None:
        try:
            approve(wiring, incident_id, approver=name, digest=digest, method="drill")
        except KeyquellError as error:  # a newer plan, or a record that moved on: look again
            self.faults.append(f"{name}: {error}")
        else:
            self._on_approval(name, digest)


def _newest_plan(wiring: Wiring, incident_id: str) -> tuple[Plan | None, set[str]]:
    """The newest plan and who has approved it; None when there is no plan, or the case is closed."""
    plan: Plan | None = None
    approvers: set[str] = set()
    for event in wiring.records.events(incident_id):
        if event.kind is EventKind.PLAN_MADE and isinstance(event.body["plan"], dict):
            body = {name: part for name, part in event.body["plan"].items() if name != "digest"}
            plan, approvers = Plan.model_validate(body), set()
        elif event.kind is EventKind.APPROVAL_GIVEN and plan and event.body["digest"] == plan.digest:
            approvers.add(str(event.body["approver"]))
        elif event.kind is EventKind.CLOSED:
            return None, set()
    return plan, approvers
