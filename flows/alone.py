"""One serving process for each state folder: a lock that ends with its holder, and a note on who that is."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import fasteners

from playbooks.errors import InvalidInput


@contextmanager
def alone(state: Path, source: Path) -> Iterator[None]:
    """Hold the state folder until the block ends.  Raises InvalidInput that says who holds it already.

    The operating system gives the lock back when its holder dies, however it dies.
    """
    lock, note = fasteners.InterProcessLock(state / "serve.lock"), state / "serve.holder.json"
    try:
        taken = lock.acquire(blocking=False)
    except OSError as error:
        hint = "Serve as a user who may write there, or set another state folder."
        raise InvalidInput(f"the state folder {state} cannot be locked ({error.strerror}).", hint=hint) from error
    if not taken:
        hint = "Stop that one first, or give this one a state folder of its own."
        raise InvalidInput(f"{_holder(note)} serves {source} already.", hint=hint)
    try:
        with suppress(OSError):
            note.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        lock.release()


def _holder(note: Path) -> str:
    try:
        found = json.loads(note.read_text(encoding="utf-8"))
        return f"process {int(found['pid'])} on {found['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
