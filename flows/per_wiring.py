"""What is kept for as long as a wiring is: one of a sort for each, made when it is first asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from flows.wiring import Wiring

T = TypeVar("T")


class PerWiring(Generic[T]):
    """Safe for threads.  What is made must not hold the wiring, or neither would ever go."""

    def __init__(self, make: Callable[[Wiring], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: WeakKeyDictionary[Wiring, T] = WeakKeyDictionary()

    def of(self, wiring: Wiring) -> T:
        """The one of this wiring."""
        with self._lock:
            if wiring not in self._made:
                self._made[wiring] = self._make(wiring)
            return self._made[wiring]
