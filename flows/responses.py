"""The Prefect flows of all open incidents in one process: started, taken up again, and their endings told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from flows.saying import Sayings
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
_LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a response ended: what it has surely seen, and the last event that it may have written itself.

    One that broke is tried again, ``again_at`` (monotonic seconds).
    """

    outcome: str
    seq: int
    own: int = -1
    again_at: float | None = None


class Responses:
    """Keeps one flow running for each open incident, until ``stop``.

    What has changed is seen with one query; an incident is read only when it has.  A response that ended without
    closing its case is started again once the record holds a reason to go on; one that broke (Prefect was gone, say)
    is tried again with growing pauses.  While an incident is ``busy`` (the hot
    path contains it), its flow waits: it would only wait for the same steps, at the cost of the others' first calls.
    Nor does a flow start while another incident is being proven dead, for a moment at most.
    """

    def __init__(self, wiring: Wiring, respond: Respond, *, sayings: Sayings, busy: Callable[[str], bool]) -> None:
        self._wiring = wiring
        self._respond = respond
        self._sayings = sayings
        self._busy = busy
        self._broke: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[str]] = {}
        self._ended: dict[str, _Ended] = {}
        self.last_outcome = ""

    async def run(self, stop: asyncio.Event, *, until_closed: bool) -> None:
        """Look every ``poll_seconds``; with ``until_closed`` return when the first response has ended."""
        try:
            while not stop.is_set() and not (until_closed and self.last_outcome):
                try:
                    await self._look()
                except KeyquellError as error:
                    self._sayings.trouble("responses", error)
                except Exception as error:  # noqa: BLE001 - said by its type; its text may hold a secret
                    self._sayings.trouble("responses", KeyquellError(f"unexpected {type(error).__name__}."))
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
        if done := [each for each, task in self._running.items() if task.done()]:
            later = await asyncio.to_thread(self._wiring.records.heads)
            for incident_id in done:
                self._settle(incident_id, self._running.pop(incident_id), heads.get(incident_id, 0), later)

    def _settle(self, incident_id: str, response: asyncio.Task[str], seq: int, later: dict[str, int]) -> None:
        """Note how a response ended; one that broke ends neither the watch nor the other responses."""
        error = None if response.cancelled() else response.exception()
        if error is None:
            self.last_outcome = "cancelled" if response.cancelled() else response.result()
            self._broke.pop(incident_id, None)
            self._ended[incident_id] = _Ended(self.last_outcome, seq, later.get(incident_id, seq))
            self._sayings.news(f"The response to {incident_id} is {self.last_outcome}.")
            return
        reason = str(error) if isinstance(error, KeyquellError) else f"unexpected {type(error).__name__}."
        self.last_outcome = f"broken off: {reason}"
        times = self._broke[incident_id] = self._broke.get(incident_id, 0) + 1
        pause = min(2.0 ** min(times - 1, 10), _LONGEST_PAUSE_SECONDS)
        self._ended[incident_id] = _Ended(self.last_outcome, seq, again_at=time.monotonic() + pause)
        told = KeyquellError(f"broken off, and tried again: {reason}", hint="What was done is in the record.")
        self._sayings.trouble(f"response of {incident_id}", told)

    def _wanted(self, incident_id: str, seq: int) -> bool:
        """Is there a case to go on with?  A record that cannot be read is said so, and costs the others nothing."""
        try:
            return self._goes_on(incident_id, seq)
        except KeyquellError as error:
            self._sayings.trouble(f"response of {incident_id}", error)
            return False

    def _goes_on(self, incident_id: str, seq: int) -> bool:
        """What is seen once not to go on is remembered until its record grows."""
        ended = self._ended.get(incident_id)
        if ended is not None and ended.again_at is not None:
            if time.monotonic() < ended.again_at:
                return False
            ended = None
        if ended is not None and seq <= ended.seq:
            return False
        incident = self._wiring.incident(incident_id)
        if incident.closed is not None:
            self._ended[incident_id] = _Ended("closed", seq)
            return False
        if ended is None:
            return True
        news = self._wiring.records.events_after(incident_id, ended.seq)
        news = [each for each in news if each.kind is not EventKind.STEP_FINISHED or each.seq > ended.own]
        if any(event.kind in _REASONS_TO_GO_ON for event in news):
            return True
        self._ended[incident_id] = _Ended(ended.outcome, seq, ended.own)
        return False
