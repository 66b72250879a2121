"""First calls before proofs, and proofs before boards: what matters more for other incidents goes first.

While any incident waits for its first containing calls, proofs of others hold back; while anything is being proven
dead, what only shows a case to people, or goes on with it, holds back.  One process has one interpreter.  When twenty
leaks arrive at once, the probes of the first would keep the last one's key open for seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PATIENCE_SECONDS = 2.0
"""A proof holds back for so long at most: a backend that hangs must not stop the others' proofs."""

_changed = threading.Condition()
_urgent: dict[int, float] = {}
_proving: set[int] = set()
_numbers = iter(range(2**62))


@contextmanager
def urgent() -> Iterator[Callable[[], None]]:
    """Mark work that must be done before proofs go on; the value ends it early."""
    with _changed:
        number = next(_numbers)
        _urgent[number] = time.monotonic()

    def done() -> None:
        with _changed:
            if _urgent.pop(number, None) is not None and not _urgent:
                _changed.notify_all()

    try:
        yield done
    finally:
        done()


def after_the_urgent() -> None:
    """Wait until nothing is urgent; what has been urgent for longer than the patience is not waited for."""
    with _changed:
        while _urgent:
            youngest = max(_urgent.values())
            patience = youngest + _PATIENCE_SECONDS - time.monotonic()
            if patience <= 0:
                return
            _changed.wait(min(patience, 0.05))


@contextmanager
def proving() -> Iterator[None]:
    """Mark the proof of a containing step, which may take longer than anybody should wait for it."""
    with _changed:
        number = next(_numbers)
        _proving.add(number)
    try:
        yield
    finally:
        with _changed:
            _proving.discard(number)
            if not _proving:
                _changed.notify_all()


def after_the_proofs() -> None:
    """Wait until nothing is being proven, for the patience at most."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with _changed:
        while _proving and (left := deadline - time.monotonic()) > 0:
            _changed.wait(left)
