"""The Prefect flows of all open incidents in one process: started, taken up again, and their endings told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flows.urgency import after_the_proofs
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.record import EventKind

Respond = Callable[[str], Awaitable[str]]
"""Drives one incident, given its id; returns how that ended."""

_REASONS_TO_GO_ON = frozenset(
    {
        EventKind.APPROVAL_GIVEN,
        EventKind.EXPOSURE_ADDED,
        EventKind.PLAN_MADE,
        EventKind.STEP_FINISHED,
        EventKind.STEP_UNDONE,
    }
)
"""What may let a response go on that had ended blocked or waiting."""


@dataclass(frozen=True, slots=True)
class _Ended:
    outcome: str
    seq: int


class Responses:
    """Keeps one flow running for each open incident, until ``stop``.

    What has changed is seen with one query; an incident is read only when it has.  A response that ended without
    closing its case is started again once the record holds a reason to go on.  While an incident is ``busy`` (the hot
    path contains it), its flow waits: it would only wait for the same steps, at the cost of the others' first calls.
    Nor does a flow start while another incident is being proven dead, for a moment at most.
    """

    def __init__(
        self, wiring: Wiring, respond: Respond, *, say: Callable[[str], None], busy: Callable[[str], bool]
    ) -> None:
        self._wiring = wiring
        self._respond = respond
        self._say = say
        self._busy = busy
        self._running: dict[str, asyncio.Task[str]] = {}
        self._ended: dict[str, _Ended] = {}
        self.last_outcome = ""

    async def run(self, stop: asyncio.Event, *, until_closed: bool) -> None:
        """Look every ``poll_seconds``; with ``until_closed`` return when the first response has ended."""
        try:
            while not stop.is_set() and not (until_closed and self.last_outcome):
                await self._look()
                await asyncio.sleep(self._wiring.settings.policy.poll_seconds)
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _look(self) -> None:
        await asyncio.to_thread(after_the_proofs)
        heads = await asyncio.to_thread(self._wiring.records.heads)
        for incident_id, seq in heads.items():
            if incident_id in self._running or self._busy(incident_id):
                continue
            if await asyncio.to_thread(self._wanted, incident_id, seq):
                self._ended.pop(incident_id, None)
                self._running[incident_id] = asyncio.ensure_future(self._respond(incident_id))
        for incident_id in [each for each, task in self._running.items() if task.done()]:
            self.last_outcome = _outcome(self._running.pop(incident_id))
            self._ended[incident_id] = _Ended(self.last_outcome, heads.get(incident_id, 0))
            self._say(f"The response to {incident_id} is {self.last_outcome}.")

    def _wanted(self, incident_id: str, seq: int) -> bool:
        """Is there a case to go on with?  What is seen once not to be is remembered until its record grows."""
        ended = self._ended.get(incident_id)
        if ended is not None and seq <= ended.seq:
            return False
        incident = self._wiring.incident(incident_id)
        if incident.closed is not None:
            self._ended[incident_id] = _Ended("closed", seq)
            return False
        if ended is None:
            return True
        news = self._wiring.records.events_after(incident_id, ended.seq)
        if any(event.kind in _REASONS_TO_GO_ON for event in news):
            return True
        self._ended[incident_id] = _Ended(ended.outcome, seq)
        return False


def _outcome(response: asyncio.Task[str]) -> str:
    """How a response ended; one that broke ends neither the watch nor the other responses."""
    if response.cancelled():
        return "cancelled"
    error = response.exception()
    if error is None:
        return response.result()
    reason = str(error) if isinstance(error, KeyquellError) else f"unexpected {type(error).__name__}"
    return f"broken off: {reason} Go on with `keyquell run`"
