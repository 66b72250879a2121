"""Answers that take seconds to make: shown as they were last made, while newer ones are made beside."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from flows.background import log_trouble
from playbooks.errors import KeyquellError

Q = TypeVar("Q")
A = TypeVar("A")

FRESH_SECONDS = 20.0
OLDEST_SECONDS = 600.0
_MOST = 64


@dataclass(frozen=True, slots=True)
class _Kept(Generic[A]):
    answer: A
    at: float


class KeptAnswers(Generic[Q, A]):
    """One for each question.  An answer that is ``slow`` to make is kept; any other is made anew each time.

    A kept one is shown for ``OLDEST_SECONDS`` at most; from ``FRESH_SECONDS`` on it is made anew beside the request
    that gets it, so that nobody waits and whoever looks again sees the new one.  Safe for threads.
    """

    def __init__(
        self, make: Callable[[Q], A], *, slow: Callable[[A], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._make = make
        self._slow = slow
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[Q, _Kept[A]] = OrderedDict()
        self._making: dict[Q, threading.Thread] = {}

    def __call__(self, question: Q) -> A:
        """The answer; raises what making it raises, when there is none to show."""
        with self._lock:
            kept = self._kept.get(question)
            age = self._clock() - kept.at if kept else OLDEST_SECONDS
            if kept and age < OLDEST_SECONDS:
                if age >= FRESH_SECONDS and question not in self._making:
                    self._making[question] = threading.Thread(target=self._renew, args=(question,), daemon=True)
                    self._making[question].start()
                return kept.answer
        return self._made(question)

    def _made(self, question: Q) -> A:
        begun = self._clock()
        answer = self._make(question)
        with self._lock:
            newer = self._kept.get(question)
            if newer is None or newer.at <= begun:
                self._kept.pop(question, None)
                if self._slow(answer):
                    self._kept[question] = _Kept(answer, begun)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
        return answer

    def _renew(self, question: Q) -> None:
        """What cannot be renewed stays as it was until it is too old; then whoever asks is told why."""
        try:
            self._made(question)
        except KeyquellError as error:
            log_trouble("pages", error)
        finally:
            with self._lock:
                self._making.pop(question, None)
