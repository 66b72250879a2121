"""The local Prefect server of the serving process: brought up, brought up again when it dies, and left in order."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import ExitStack, suppress
from pathlib import Path

from flows.prefect_server import has_died, prefect_server
from flows.saying import Sayings
from playbooks.errors import KeyquellError

_LONGEST_PAUSE_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_NAME = "Prefect"


def hush_prefect() -> None:
    """Keep Prefect's own log off the terminal, once it is imported; KEYQUELL_DEBUG lets it speak.

    It prints whole events, parameters included, whenever its server is away, and calls each stop in order a crash.
    How responses end is said by ourselves.
    """
    if os.environ.get("KEYQUELL_DEBUG"):
        return
    for name in ["prefect", *logging.root.manager.loggerDict]:
        if name.partition(".")[0] == "prefect":
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class PrefectCare:
    """Containment never waits for it, and whatever befalls it ends nothing else."""

    def __init__(self, home: Path, sayings: Sayings, stop: asyncio.Event) -> None:
        self._home = home
        self._sayings = sayings
        self._stop = stop
        self._held = ExitStack()

    async def bring_up(self) -> bool:
        """Start or join the server; tries until it is up (True) or ``stop`` is set (False)."""
        pause = 1.0
        while not self._stop.is_set():
            try:
                await asyncio.to_thread(self._enter)
                self._sayings.over(_NAME)
                return True
            except Exception as error:  # noqa: BLE001 - its database's own errors, a full disk: none may end the watch
                known = (
                    error if isinstance(error, KeyquellError) else KeyquellError(f"unexpected {type(error).__name__}.")
                )
                if not self._stop.is_set():
                    told = KeyquellError(f"containment works, what follows it waits: {known}")
                    self._sayings.trouble(_NAME, told)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
        return False

    async def keep_up(self) -> None:
        """Until ``stop``: see every two seconds whether it still lives, and bring it up again."""
        while not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _LOOK_SECONDS)
            if self._stop.is_set() or not await asyncio.to_thread(has_died, self._home):
                continue
            self._sayings.news("Prefect has died; it is started again. Containment works meanwhile.")
            if await self.bring_up():
                self._sayings.news("Prefect is back.")

    async def leave(self) -> None:
        """Give the server up; the last of its users ends it."""
        await asyncio.to_thread(self._held.close)

    def _enter(self) -> None:
        self._held.enter_context(prefect_server(self._home, given_up=self._stop.is_set))
