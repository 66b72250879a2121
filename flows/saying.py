"""What a long-lived process says to people: each trouble once in a while, however often it happens."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from playbooks.errors import BackendError, KeyquellError

Say = Callable[[str], None]
"""Where a sentence for people goes."""

QUIET_SECONDS = 600.0
"""The same trouble is said again after so long, with how often it came meanwhile."""
_MOST_KINDS = 1000
_NUMBERS = re.compile(r"\d+(?:\.\d+)?")


@dataclass(slots=True)
class _Told:
    at: float
    unsaid: int = 0


class Sayings:
    """Takes news and troubles from any thread.  Never raises: a terminal that is gone must stop nothing."""

    def __init__(
        self, say: Say, *, quiet_seconds: float = QUIET_SECONDS, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._quiet_seconds = quiet_seconds
        self._now = now
        self._told: dict[tuple[str, ...], _Told] = {}
        self._lock = threading.Lock()

    def news(self, sentence: str) -> None:
        """Say it, on one line."""
        with suppress(Exception):
            self._say(" ".join(sentence.split()))

    def trouble(self, name: str, error: KeyquellError) -> None:
        """Say what is wrong with ``name``, unless that was said a short while ago.

        ``chat of INC-1`` and ``chat of INC-2`` have one trouble when the backend behind both gives the same answer.
        """
        with self._lock:
            kind, now = _kind(name, error), self._now()
            told = self._told.get(kind)
            if told is not None and now < told.at + self._quiet_seconds:
                told.unsaid += 1
                return
            if len(self._told) >= _MOST_KINDS:
                self._told.clear()
            self._told[kind] = _Told(now)
            often = f" ({told.unsaid} times more since it was last said)" if told is not None and told.unsaid else ""
        self.news(f"{name}: {error}{often}")

    def over(self, name: str) -> None:
        """Whatever ``name`` was in trouble with is over: the next one is said at once."""
        with self._lock:
            for kind in [each for each in self._told if each[0] == name]:
                del self._told[kind]


def _kind(name: str, error: KeyquellError) -> tuple[str, ...]:
    place = name.partition(" of ")[0]
    if isinstance(error, BackendError):
        return place, type(error).__name__, error.code
    return place, type(error).__name__, _NUMBERS.sub("#", error.message)
