"""How a long-lived process ends: in order at the first signal, within a bound; at once at the second."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopping:
    """Sets ``stop`` at the first SIGINT or SIGTERM.

    A second signal, or an end in order that takes longer than ``seconds``, ends the process where it stands, after
    ``let_go`` (which must be quick and must not raise).  What was begun is in the record either way.
    """

    def __init__(
        self, stop: asyncio.Event, *, seconds: float, say: Callable[[str], None], let_go: Callable[[], None]
    ) -> None:
        self._stop = stop
        self._seconds = seconds
        self._say = say
        self._let_go = let_go

    def listen(self) -> None:
        """Take the signals over; called in the main thread, inside the running loop."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._first)

    def hurry(self) -> None:
        """From now on the process has ``seconds`` to end."""
        watchdog = threading.Timer(self._seconds, self._too_long)
        watchdog.daemon = True
        watchdog.start()

    def _first(self) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, self._second)  # not the loop's: it must work while the loop is stuck, too
        self._stop.set()
        self.hurry()
        self._say("Stopping: what is under way ends first. A second signal ends it at once.")

    def _second(self, number: int, _frame: FrameType | None) -> None:
        self._let_go()
        os._exit(128 + number)

    def _too_long(self) -> None:
        self._say(
            f"Something did not end within {self._seconds:g} s and is broken off; the record knows how far it was."
        )
        self._let_go()
        os._exit(1)
