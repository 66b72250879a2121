"""Slow answers are shown as they were last made, for a while, and made anew beside; quick ones are always new."""

from __future__ import annotations

import threading
import time

import pytest

from console.web.kept_answers import FRESH_SECONDS, OLDEST_SECONDS, KeptAnswers
from playbooks.errors import RecordError


class Bench:
    """Counts what is made, at a time that the test sets."""

    def __init__(self, *, slow: bool = True) -> None:
        self.now, self.count, self.broken = 0.0, 0, False
        self.gate = threading.Event()
        self.gate.set()
        self.answers = KeptAnswers[str, str](self.make, slow=lambda _: slow, clock=lambda: self.now)

    def make(self, question: str) -> str:
        self.gate.wait(10)
        if self.broken:
            raise RecordError("the database does not answer.")
        self.count += 1
        return f"{question} {self.count}"

    def soon(self, question: str, wanted: str) -> None:
        deadline = time.monotonic() + 10
        while self.answers(question) != wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_quick_answer_is_made_each_time() -> None:
    """Nothing is kept of it."""
    bench = Bench(slow=False)
    assert [bench.answers("a"), bench.answers("a")] == ["a 1", "a 2"]


def test_a_slow_answer_is_kept_while_it_is_fresh() -> None:
    """Each question has its own."""
    bench = Bench()
    assert [bench.answers("a"), bench.answers("b"), bench.answers("a")] == ["a 1", "b 2", "a 1"]


def test_one_that_is_not_fresh_is_shown_and_made_anew_once() -> None:
    """Nobody waits for the new one."""
    bench = Bench()
    bench.answers("a")
    bench.now = FRESH_SECONDS
    bench.gate.clear()
    assert [bench.answers("a") for _ in range(5)] == ["a 1"] * 5
    bench.gate.set()
    bench.soon("a", "a 2")
    assert bench.count == 2


def test_one_that_is_too_old_is_not_shown() -> None:
    """Whoever asks then waits for the new one, or is told why there is none."""
    bench = Bench()
    bench.answers("a")
    bench.now = OLDEST_SECONDS
    assert bench.answers("a") == "a 2"
    bench.now, bench.broken = 2 * OLDEST_SECONDS, True
    with pytest.raises(RecordError):
        bench.answers("a")


def test_one_that_cannot_be_renewed_stays_for_a_while() -> None:
    """A database that is away for a moment takes no page away; and it is tried again."""
    bench = Bench()
    bench.answers("a")
    bench.now, bench.broken = FRESH_SECONDS, True
    for _ in range(20):
        assert bench.answers("a") == "a 1"
        time.sleep(0.01)
    bench.broken = False
    bench.soon("a", "a 2")
