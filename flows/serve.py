"""The long-lived process: web, chat, detectors, boards, pagers, responses and drill schedules.

Detectors, web and chat listen before Prefect is up: containment waits for nothing.  A part that breaks is started again
and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from pathlib import Path
from typing import Protocol

from flows.alone import alone
from flows.anchoring import Anchoring
from flows.background import Background
from flows.boards import Boards
from flows.deadline_reminders import Reminders
from flows.escalation import Escalations
from flows.flow_loop import FlowLoop
from flows.prefect_care import PrefectCare, hush_prefect
from flows.prefect_server import default_home, end_at_once
from flows.responses import Responses
from flows.saying import Say, Sayings
from flows.schedules import schedules
from flows.siem import Feeds
from flows.soundness import refuse_mistakes
from flows.stopping import Stopping
from flows.traces import Traces
from flows.warming import warm
from flows.watch import watch
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.record import EventKind

__all__ = ["Say", "Service", "Services", "serve"]

APPROVAL_PATIENCE_SECONDS = 7 * 24 * 3600.0
_LONGEST_PAUSE_SECONDS = 30.0
_GOODBYE_SECONDS = 20.0
"""An end in order takes as long as containment may, and this."""
_THREADS = 64
"""For what the loop hands to threads: steps of many incidents at once, of which some hang."""


class Service(Protocol):
    """Something that listens until ``stop``: the web page, a chat.  One that raises is started again."""

    name: str

    async def run(self, stop: asyncio.Event) -> None: ...


Services = Callable[[Wiring, Background, Say], Sequence[Service]]
"""Makes what listens beside the detectors.  Raises InvalidInput for settings with which that cannot work."""


def serve(
    config: Path,
    *,
    say: Say,
    until_closed: bool,
    drill_command: list[str],
    services: Services = lambda wiring, background, say: (),
) -> str:
    """Watch, respond and keep schedules until stopped, or until the first response ends (``until_closed``).

    Incidents that were open when an earlier process died are taken up again.  ``drill_command`` is the argument list
    that runs a drill, to which a scheduled run appends the scenario.  Returns how the last response ended with
    ``until_closed``, else "".  Raises InvalidInput for a mistake in the settings, and when another process serves the
    same state folder; nothing is then begun.
    """
    with Wiring.from_file(config) as wiring, alone(wiring.settings.state, wiring.settings.source):
        refuse_mistakes(wiring)
        return asyncio.run(_Serving(config, wiring, say, drill_command).run(services, until_closed=until_closed))


class _Serving:
    """One run of ``serve``: threads that watch and tell, services that listen, and the responses."""

    def __init__(self, config: Path, wiring: Wiring, say: Say, drill_command: list[str]) -> None:
        self._config = config
        self._wiring = wiring
        self._sayings = Sayings(say)
        self._drill_command = drill_command
        self._home = default_home()
        self._found: set[str] = set()
        self._threads_stop = threading.Event()
        self._background = Background(
            wiring, on_done=self._on_incident, on_trouble=self._sayings.trouble, stop=self._threads_stop
        )

    async def run(self, services: Services, *, until_closed: bool) -> str:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="serve"))
        listeners = services(self._wiring, self._background, self._sayings.news)
        stop = asyncio.Event()
        seconds = self._wiring.settings.policy.containment_deadline_seconds + _GOODBYE_SECONDS
        stopping = Stopping(stop, seconds=seconds, say=self._sayings.news, let_go=lambda: end_at_once(self._home))
        stopping.listen()
        threads = self._start_threads()
        listening = [asyncio.create_task(self._keep_up(each, stop)) for each in listeners]
        responding = asyncio.create_task(self._respond(stop, until_closed=until_closed))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({responding, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not stop.is_set():
                stopping.hurry()
            stop.set()
            self._threads_stop.set()
            outcome = await responding
            return outcome if until_closed else ""
        finally:
            stop.set()
            await self._end(threads, [*listening, stopped])

    def _start_threads(self) -> list[threading.Thread]:
        wiring, stop = self._wiring, self._threads_stop
        work: dict[str, Callable[[], None]] = {
            "watch": lambda: watch(wiring, self._background, on_trouble=self._sayings.trouble, stop=stop),
            "warming": lambda: warm(wiring, stop, on_trouble=self._sayings.trouble),
            "boards": lambda: Boards(wiring, on_trouble=self._sayings.trouble).run(stop),
            "siem": lambda: Feeds(wiring, on_trouble=self._sayings.trouble).run(stop),
            "traces": lambda: Traces(wiring, on_trouble=self._sayings.trouble).run(stop),
            "anchoring": lambda: Anchoring(wiring, on_trouble=self._sayings.trouble).run(stop),
            "deadlines": lambda: Reminders(wiring, on_trouble=self._sayings.trouble).run(stop),
            "escalations": lambda: Escalations(wiring, on_trouble=self._sayings.trouble).run(stop),
        }
        threads = [threading.Thread(target=each, daemon=True, name=name) for name, each in work.items()]
        for thread in threads:
            thread.start()
        self._sayings.news("Watching the detectors.")
        self._take_up()
        return threads

    async def _end(self, threads: list[threading.Thread], tasks: list[asyncio.Task[object]]) -> None:
        self._threads_stop.set()
        await asyncio.wait(tasks, timeout=10)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        patience = self._wiring.settings.policy.containment_deadline_seconds
        await asyncio.to_thread(self._background.wait, seconds=patience)
        for thread in threads:
            await asyncio.to_thread(thread.join, 10)

    def _take_up(self) -> None:
        """Go on with what an earlier process left; a record that cannot be read costs the others nothing."""
        closed = self._wiring.records.having(EventKind.CLOSED)
        for incident_id in self._wiring.records.incidents():
            if incident_id in closed:
                continue
            try:
                if self._wiring.incident(incident_id).closed is None:
                    self._background.contain(incident_id)
            except KeyquellError as error:
                self._sayings.trouble(incident_id, error)

    async def _respond(self, stop: asyncio.Event, *, until_closed: bool) -> str:
        """Bring Prefect up, keep the schedules, and drive every open incident."""
        care = PrefectCare(self._home, self._sayings, stop)
        beside: list[asyncio.Task[None]] = []
        held = AsyncExitStack()
        try:
            if not await care.bring_up():
                return ""
            await asyncio.to_thread(import_module, "flows.respond")  # it takes seconds, and webhooks must be answered
            from flows.respond import respond

            hush_prefect()

            flows = await held.enter_async_context(FlowLoop())

            async def drive(incident_id: str) -> str:
                return str(await flows.run(respond(str(self._config), incident_id, APPROVAL_PATIENCE_SECONDS)))

            responses = Responses(self._wiring, drive, sayings=self._sayings, busy=self._background.busy)
            beside += [asyncio.create_task(care.keep_up()), asyncio.create_task(self._keep_schedules(stop))]
            self._sayings.news("Ready.")
            await responses.run(stop, until_closed=until_closed)
            return responses.last_outcome
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await held.aclose()
            await care.leave()

    async def _keep_schedules(self, stop: asyncio.Event) -> None:
        """Serve the stored schedules; what breaks is said and begun again."""
        while not stop.is_set():
            try:
                await _serve_schedules(self._drill_command, self._sayings.news)
                return
            except Exception as error:  # noqa: BLE001 - Prefect's own errors; a drill must cost nothing else
                self._sayings.trouble("schedules", _known(error))
            await _pause(stop, _LONGEST_PAUSE_SECONDS)

    async def _keep_up(self, service: Service, stop: asyncio.Event) -> None:
        """Run a service until ``stop``; start it again, with growing pauses, when it breaks."""
        pause = 1.0
        while not stop.is_set():
            try:
                await service.run(stop)
            except Exception as error:  # noqa: BLE001 - said by its type unless it is one of ours
                self._sayings.trouble(service.name, _known(error))
            await _pause(stop, pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def _on_incident(self, incident_id: str) -> None:
        if incident_id not in self._found:
            self._found.add(incident_id)
            self._sayings.news(f"{incident_id} is open.")


def _known(error: Exception) -> KeyquellError:
    """What may be said of an error: the text of one that is not ours may hold a secret."""
    return error if isinstance(error, KeyquellError) else KeyquellError(f"unexpected {type(error).__name__}.")


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until ``stop``."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _serve_schedules(command: list[str], say: Say) -> None:
    """Serve the stored schedules as Prefect cron deployments, until cancelled; return when there are none."""
    found = schedules(default_home())
    if not found:
        return
    from prefect.runner import Runner
    from prefect.schedules import Cron

    from flows.scheduled_drill import scheduled_drill

    runner = Runner(name="keyquell", pause_on_shutdown=False)
    for each in found:
        deployment = await scheduled_drill.ato_deployment(
            name=each.scenario,
            schedule=Cron(each.cron, timezone=each.timezone),
            parameters={"command": command, "scenario": each.scenario},
        )
        await runner.aadd_deployment(deployment)
        say(f"{each.scenario} runs at {each.cron} ({each.timezone}).")
    await runner.start()
