"""The long-lived process: web, chat, detectors, boards, pagers, responses and drill schedules.

Detectors, web and chat listen before Prefect is up: containment waits for nothing.  A part that breaks is started again
and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol

import fasteners

from flows.background import Background
from flows.boards import Boards
from flows.escalation import Escalations
from flows.intake import open_incidents
from flows.prefect_server import default_home, prefect_server
from flows.responses import Responses
from flows.schedules import schedules
from flows.watch import watch
from flows.wiring import Wiring
from playbooks.errors import InvalidInput, KeyquellError

Say = Callable[[str], None]
"""Where a sentence for people goes."""

APPROVAL_PATIENCE_SECONDS = 7 * 24 * 3600.0
_LONGEST_PAUSE_SECONDS = 30.0


class Service(Protocol):
    """Something that listens until ``stop``: the web page, a chat.  One that raises is started again."""

    name: str

    async def run(self, stop: asyncio.Event) -> None: ...


Services = Callable[[Wiring, Background, Say], Sequence[Service]]
"""Makes what listens beside the detectors."""


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
    that runs a drill, to which a scheduled run appends the scenario.  Returns how the last response ended, or "".
    Raises InvalidInput when another process serves the same state folder.
    """
    with Wiring.from_file(config) as wiring, ExitStack() as held:
        _be_the_only_one(wiring, held)
        return asyncio.run(_Serving(config, wiring, say, drill_command).run(services, until_closed=until_closed))


def _be_the_only_one(wiring: Wiring, held: ExitStack) -> None:
    place = wiring.settings.state / "serve.lock"
    lock = fasteners.InterProcessLock(place)
    if not lock.acquire(blocking=False):
        raise InvalidInput(
            f"another process serves {wiring.settings.source} already.",
            hint=f"Stop it first; `fuser {place}` names it.",
        )
    held.callback(lock.release)


class _Serving:
    """One run of ``serve``: threads that watch and tell, services that listen, and the responses."""

    def __init__(self, config: Path, wiring: Wiring, say: Say, drill_command: list[str]) -> None:
        self._config = config
        self._wiring = wiring
        self._say = say
        self._drill_command = drill_command
        self._found: set[str] = set()
        self._threads_stop = threading.Event()
        self._background = Background(wiring, on_done=self._on_incident, on_trouble=self._on_trouble)

    async def run(self, services: Services, *, until_closed: bool) -> str:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        threads = self._start_threads()
        listening = [
            asyncio.create_task(_keep_up(each, stop, self._say))
            for each in services(self._wiring, self._background, self._say)
        ]
        responding = asyncio.create_task(self._respond(stop, until_closed=until_closed))
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({responding, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            return await responding
        finally:
            stop.set()
            await self._end(threads, [*listening, stopped])

    def _start_threads(self) -> list[threading.Thread]:
        wiring, stop = self._wiring, self._threads_stop
        work: dict[str, Callable[[], None]] = {
            "watch": lambda: watch(wiring, self._background, on_trouble=self._on_trouble, stop=stop),
            "boards": lambda: Boards(wiring, on_trouble=self._on_trouble).run(stop),
            "escalations": lambda: Escalations(wiring, on_trouble=self._on_trouble).run(stop),
        }
        threads = [threading.Thread(target=each, daemon=True, name=name) for name, each in work.items()]
        for thread in threads:
            thread.start()
        self._say("Watching the detectors.")
        for incident in open_incidents(wiring):
            self._background.contain(incident.id)
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

    async def _respond(self, stop: asyncio.Event, *, until_closed: bool) -> str:
        """Bring Prefect up, keep the schedules, and drive every open incident."""
        with ExitStack() as held:
            while not stop.is_set():
                try:
                    await asyncio.to_thread(held.enter_context, prefect_server(default_home()))
                    break
                except KeyquellError as error:
                    self._say(f"Containment works, what follows it waits: {error}")
                    await _pause(stop, _LONGEST_PAUSE_SECONDS)
            if stop.is_set():
                return ""
            from flows.respond import respond

            async def drive(incident_id: str) -> str:
                return str(await respond(str(self._config), incident_id, APPROVAL_PATIENCE_SECONDS))

            responses = Responses(self._wiring, drive, say=self._say, busy=self._background.busy)
            scheduled = asyncio.create_task(_keep_schedules(self._drill_command, self._say))
            self._say("Ready.")
            try:
                await responses.run(stop, until_closed=until_closed)
            finally:
                scheduled.cancel()
                await asyncio.gather(scheduled, return_exceptions=True)
            return responses.last_outcome

    def _on_incident(self, incident_id: str) -> None:
        if incident_id not in self._found:
            self._found.add(incident_id)
            self._say(f"{incident_id} is open.")

    def _on_trouble(self, name: str, error: KeyquellError) -> None:
        self._say(f"{name}: {error}")


async def _keep_up(service: Service, stop: asyncio.Event, say: Say) -> None:
    """Run a service until ``stop``; start it again, with growing pauses, when it breaks."""
    pause = 1.0
    while not stop.is_set():
        try:
            await service.run(stop)
        except KeyquellError as error:
            say(f"{service.name}: {error}")
        except Exception as error:  # noqa: BLE001 - said by its type; its text may hold a secret
            say(f"{service.name}: unexpected {type(error).__name__}; it is started again.")
        if not stop.is_set():
            await _pause(stop, pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until ``stop``."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _keep_schedules(command: list[str], say: Say) -> None:
    """Serve the stored schedules as Prefect cron deployments, until cancelled."""
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
