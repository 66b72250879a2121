"""The loop that Prefect's flows run in: what runs at its end is cancelled, and nothing keeps it from ending."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from flows.flow_loop import FlowLoop


def _left_after_it_began(work: Callable[[threading.Event], Coroutine[Any, Any, None]], *, patience: float) -> None:
    """Enter a loop, leave it while the work runs."""

    async def stay() -> None:
        begun = threading.Event()
        async with FlowLoop(patience=patience) as flows:
            running = asyncio.create_task(flows.run(work(begun)))
            assert await asyncio.to_thread(begun.wait, 20)
        running.cancel()

    asyncio.run(stay())


def test_what_still_runs_at_the_end_is_cancelled() -> None:
    """In the loop's own thread, with its own clean-up done."""
    ended: list[str] = []

    async def work(begun: threading.Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(threading.current_thread().name)

    _left_after_it_began(work, patience=20)
    assert ended == ["flows"]


def test_a_flow_that_will_not_be_cancelled_keeps_nobody_from_leaving() -> None:
    """Whoever leaves has more to put in order: the server that the flows need, for one."""
    go = threading.Event()

    async def work(begun: threading.Event) -> None:
        begun.set()
        while not go.is_set():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    _left_after_it_began(work, patience=0.2)
    go.set()


@pytest.mark.filterwarnings("ignore:coroutine 'FlowLoop._cancel_all' was never awaited:RuntimeWarning")
def test_a_flow_that_blocks_the_loop_keeps_nobody_from_leaving() -> None:
    """It holds the thread itself."""
    go = threading.Event()

    async def work(begun: threading.Event) -> None:
        begun.set()
        while not go.is_set():
            time.sleep(0.01)

    _left_after_it_began(work, patience=0.2)
    go.set()
    for thread in threading.enumerate():
        if thread.name == "flows":
            thread.join(timeout=20)
    gc.collect()  # what was left behind in that loop warns here, and not in another test
