"""One request, one effect: what Slack delivers again gets the first answer again."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs

T = TypeVar("T")

REMEMBERED_SECONDS = 900.0
"""Longer than the ten minutes in which a signed request stays valid, counting both ends of Slack's window."""


class Deliveries:
    """Answers by delivery, for a while.  Belongs to one event loop.

    This keeps the ordinary repetition cheap; across restarts the record decides, by the form's id.
    """

    def __init__(self, *, most: int = 20_000) -> None:
        self._most = most
        self._answers: dict[str, tuple[float, asyncio.Task[Any]]] = {}
        self._named: dict[str, tuple[float, None]] = {}

    async def once(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The answer to this delivery: made the first time, repeated afterwards.  A failure is not remembered."""
        self._forget(self._answers)
        known = self._answers.get(key)
        if known is None:
            task: asyncio.Task[Any] = asyncio.ensure_future(_awaited(make))
            self._answers[key] = (time.monotonic(), task)
        else:
            task = known[1]
        try:
            answer: T = await asyncio.shield(task)
        except Exception:
            self._answers.pop(key, None)
            raise
        return answer

    def first(self, key: str) -> bool:
        """Is this the first time that this key is named?"""
        self._forget(self._named)
        if key in self._named:
            return False
        self._named[key] = (time.monotonic(), None)
        return True

    def _forget(self, entries: dict[str, tuple[float, T]]) -> None:
        """Drop what is old, or too much; the oldest stand first."""
        now = time.monotonic()
        while entries:
            oldest = next(iter(entries))
            if now - entries[oldest][0] < REMEMBERED_SECONDS and len(entries) <= self._most:
                return
            del entries[oldest]


def key_of(payload: Mapping[str, Any], otherwise: str) -> str:
    """What identifies an interaction however often it is delivered: its trigger, else the delivery's own id."""
    trigger = payload.get("trigger_id")
    return f"{payload.get('type', 'command')}:{trigger}" if isinstance(trigger, str) and trigger else otherwise


def payload_of(body: bytes) -> dict[str, Any]:
    """What the body of a signed request says.  Raises ValueError when it is neither a form nor a JSON object."""
    text = body.decode("utf-8")
    if not text.lstrip().startswith("{"):
        form = {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}
        if "payload" not in form:
            return dict(form)
        text = form["payload"]
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("the payload is not an object")
    return found


async def _awaited(make: Callable[[], Awaitable[T]]) -> T:
    return await make()
