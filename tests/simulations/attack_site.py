"""What the tests of adversary and workload share: a process started and ended, a loot handed over, a journal read."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from integrations.secrets import write_secret
from simulations.journals import AdversaryAttempt, AdversaryConfig, Loot, WorkloadConfig, WorkloadRequest, read_journal


@contextmanager
def running(module: str, config: BaseModel, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``python -m module --config …``; ended by SIGTERM, which must be a clean end."""
    path = folder / f"{module}.json"
    path.write_text(config.model_dump_json(), encoding="utf-8")
    child = subprocess.Popen([sys.executable, "-m", module, "--config", str(path)])
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        assert child.wait(15) == 0


def hand_over(config: AdversaryConfig, loot: Loot) -> None:
    """Detonate: the file with what leaked appears at once, whole."""
    write_secret(f"file:{config.loot}", loot.model_dump_json())


def attempts(config: AdversaryConfig) -> list[AdversaryAttempt]:
    """The adversary's tries so far."""
    return list(read_journal(config.journal, AdversaryAttempt))


def requests(config: WorkloadConfig) -> list[WorkloadRequest]:
    """The service's requests so far."""
    return list(read_journal(config.journal, WorkloadRequest))


def wait_for(what: Callable[[], bool], *, seconds: float = 20) -> None:
    """Return as soon as this is true."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
