"""Blocking work of the response beside the event loop, in two pools: senders of webhooks cannot crowd out people."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import anyio.to_thread

_P = ParamSpec("_P")
_T = TypeVar("_T")

_PLACES = 16


class Threads:
    """At most sixteen pieces of work at once; more wait in line."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_PLACES)

    async def run(self, work: Callable[_P, _T], *arguments: _P.args, **named: _P.kwargs) -> _T:
        """What the work returns, or raises."""
        return await anyio.to_thread.run_sync(partial(work, *arguments, **named), limiter=self._limiter)
