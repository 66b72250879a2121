"""The long-lived process: detectors, responses and drill schedules, on one local Prefect server."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from flows.intake import open_incidents
from flows.prefect_server import default_home, prefect_server
from flows.schedules import schedules
from flows.watch import watch
from flows.wiring import Wiring
from playbooks.errors import KeyquellError

Say = Callable[[str], None]
"""Where a sentence for people goes."""

APPROVAL_PATIENCE_SECONDS = 7 * 24 * 3600.0


def serve(config: Path, *, say: Say, until_closed: bool, drill_command: list[str]) -> str:
    """Watch, respond and keep schedules until stopped, or until the first response ends (``until_closed``).

    Incidents that were open when an earlier process died are taken up again.  ``drill_command`` is the argument list
    that runs a drill, to which a scheduled run appends the scenario.  Returns how the last response ended, or "".
    """
    with Wiring.from_file(config) as wiring:
        watching = _Watching(wiring, say)
        with prefect_server(default_home()):
            return asyncio.run(_serve(config, wiring, watching, say, until_closed=until_closed, command=drill_command))


class _Watching:
    """The detectors' thread.  It starts before Prefect is up: containment waits for nothing."""

    def __init__(self, wiring: Wiring, say: Say) -> None:
        self.stop = threading.Event()
        self.found: list[str] = []
        self.arrived = threading.Event()
        self._say = say
        self._thread = threading.Thread(target=self._run, args=(wiring,), daemon=True, name="watch")
        self._thread.start()
        say("Watching the detectors.")

    def _run(self, wiring: Wiring) -> None:
        watch(wiring, on_incident=self._on_incident, on_trouble=self._on_trouble, stop=self.stop)

    def _on_incident(self, incident_id: str) -> None:
        if incident_id not in self.found:
            self.found.append(incident_id)
            self._say(f"{incident_id} is open.")
        self.arrived.set()

    def _on_trouble(self, name: str, error: KeyquellError) -> None:
        self._say(f"The detector {name} failed: {error}")

    def end(self) -> None:
        """Stop polling and wait for the poll under way."""
        self.stop.set()
        self._thread.join(timeout=10)


async def _serve(
    config: Path, wiring: Wiring, watching: _Watching, say: Say, *, until_closed: bool, command: list[str]
) -> str:
    from flows.respond import respond

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    scheduled = asyncio.create_task(_keep_schedules(command, say))
    say("Ready.")
    running: dict[str, asyncio.Task[str]] = {}
    ended: dict[str, str] = {}
    try:
        while not stop.is_set() and not (until_closed and ended):
            for incident in await asyncio.to_thread(open_incidents, wiring):
                if incident.id not in running and incident.id not in ended:
                    patience = APPROVAL_PATIENCE_SECONDS
                    running[incident.id] = asyncio.create_task(
                        respond(str(config), incident.id, wait_for_approval_seconds=patience)
                    )
            for incident_id in [each for each, task in running.items() if task.done()]:
                ended[incident_id] = _outcome(running.pop(incident_id))
                say(f"The response to {incident_id} is {ended[incident_id]}.")
            await asyncio.sleep(wiring.settings.policy.poll_seconds)
        return next(reversed(ended.values()), "")
    finally:
        watching.end()
        scheduled.cancel()
        for task in running.values():
            task.cancel()
        await asyncio.gather(scheduled, *running.values(), return_exceptions=True)


def _outcome(response: asyncio.Task[str]) -> str:
    """How a response ended; one that broke ends neither the watch nor the other responses."""
    error = response.exception()
    if error is None:
        return response.result()
    reason = str(error) if isinstance(error, KeyquellError) else f"unexpected {type(error).__name__}"
    return f"broken off: {reason} Go on with `keyquell run`"


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
