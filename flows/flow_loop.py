"""An event loop in a thread of its own for Prefect's flows.

In the main thread a running flow takes SIGTERM over (Prefect 3, ``capture_sigterm``) and raises out of whatever runs
there; here it cannot, so that the process ends as it decides to.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

_T = TypeVar("_T")
_THREADS = 64
"""Steps of many incidents at once, of which some hang; asyncio's own choice is six threads on two cores."""


class FlowLoop:
    """``async with FlowLoop() as flows: await flows.run(coroutine)``; what still runs at the end is cancelled.

    What does not end within ``patience`` (seconds) after that is left behind, and ends with the process.
    """

    def __init__(self, *, patience: float = 10.0) -> None:
        self._patience = patience
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_THREADS, thread_name_prefix="steps"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="flows", daemon=True)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._end)

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What the coroutine returns, or raises; cancelled when the caller is."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def _end(self) -> None:
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self._cancel_all(), self._loop).result(timeout=self._patience)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=self._patience)
        if not self._thread.is_alive():
            self._loop.close()

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for each in others:
            each.cancel()
        await asyncio.gather(*others, return_exceptions=True)
