"""What is derived from the one big thing that a process works with, kept until it works with another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Latest(Generic[S, T]):
    """Makes something from a source, once for as long as it is asked for no other; sources differ by identity.

    Indexes of an inventory with a million keys take seconds to make, and a process has one inventory.  Safe for
    threads.
    """

    def __init__(self, make: Callable[[S], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._kept: tuple[S, T] | None = None

    def of(self, source: S) -> T:
        """What was made from this source."""
        with self._lock:
            if self._kept is None or self._kept[0] is not source:
                self._kept = (source, self._make(source))
            return self._kept[1]
