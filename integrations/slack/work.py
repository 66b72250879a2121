"""Work that follows an acknowledgement: the desk's slow calls in threads, bounded, and watched until they end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class Work:
    """Jobs that run beside the listener: at most ``most`` at once, their blocking calls on ``threads`` threads.

    A job never raises into the listener: what it did not foresee is logged by its type, because its text may quote
    what a person wrote.
    """

    def __init__(self, name: str, *, threads: int, most: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = most
        self._lock = threading.Lock()
        self._count = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def full(self) -> bool:
        """Is there no room for another job?"""
        return self._count >= self._most

    def start(self, job: Callable[[], Awaitable[None]]) -> bool:
        """Run the job on the loop of the moment; False, without starting it, when there is no room."""
        with self._lock:
            if self.full:
                return False
            self._count += 1
        task = asyncio.get_running_loop().create_task(self._run(job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def call(self, function: Callable[..., T], *args: Any, **more: Any) -> T:
        """The result of a blocking call, made on a thread of this pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: function(*args, **more))

    async def end(self, *, seconds: float) -> None:
        """Wait so long for the jobs under way; what was acknowledged should be done."""
        deadline = time.monotonic() + seconds
        while self._count and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if self._count:
            _log.warning("slack: %d acknowledged requests were still at work when the listener ended", self._count)
        self._pool.shutdown(wait=False)

    async def _run(self, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await job()
        except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold a secret
            _log.warning("slack: unexpected %s", type(error).__name__)
        finally:
            with self._lock:
                self._count -= 1
