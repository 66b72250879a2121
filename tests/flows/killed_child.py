"""Responding processes that die by SIGKILL on order (run by the tests).

``python killed_child.py CONFIG INCIDENT`` has everything imported already and forks one responder for each line that it
reads; it answers with the responder's exit code (-9 when it was killed).  A line is one of

- ``before N`` or ``after N``: die just before, or just after, the N-th write to the record;
- ``within SECONDS``: be killed from outside after this time, wherever it is then;
- ``never``: run as far as it gets.

A responder exits with 0 when the incident is closed and with 3 when it waits or is blocked.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from flows import intake
from flows.engine import StepFailed, reach_milestones, step_once
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.progress import next_move

PRELOADED = (
    "flows.actions",
    "integrations.keys.aws_kms",
    "integrations.keys.openbao",
    "integrations.keys.pkcs11",
    "integrations.credentials.aws_iam",
    "integrations.credentials.openbao_token",
    "integrations.credentials.pkcs11_pin",
    "integrations.credentials.postgres_role",
    "integrations.certificates.openbao_pki",
    "integrations.data.files",
    "integrations.data.postgres",
    "integrations.consumers.config_dir",
)


def die_around_append(moment: str, number: int) -> None:
    """Let the record's own append run N-1 times, then die just before or just after the N-th."""
    real, count, lock = SqlRecords.append, 0, threading.Lock()

    def append(self: SqlRecords, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        with lock:  # shards write from several threads: one write at a time has a number
            if moment == "before" and count + 1 == number:
                os.kill(os.getpid(), signal.SIGKILL)
            event = real(self, *arguments, **options)
            count += 1
            if moment == "after" and count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return event

    SqlRecords.append = append  # type: ignore[method-assign]  # the point of this process


def drive(wiring: Wiring, incident_id: str) -> int:
    """The response's own decisions and steps, one after the other, without Prefect."""
    tried: frozenset[str] = frozenset()
    while True:
        reach_milestones(wiring, incident_id)
        move = next_move(wiring.incident(incident_id), tried=tried)
        if move.kind == "run":
            tried |= {move.steps[0].id}
            try:
                step_once(wiring, incident_id, move.steps[0].id)
            except StepFailed as failure:
                print(failure, file=sys.stderr)
        elif move.kind == "close":
            intake.close(wiring, incident_id, by="keyquell", outcome="recovered")
        else:
            return 0 if move.kind == "closed" else 3


def respond(config: str, incident_id: str, moment: str, argument: str) -> int:
    """One responder, in a process of its own."""
    try:
        if moment in ("before", "after"):
            die_around_append(moment, int(argument))
        with Wiring.from_file(Path(config)) as wiring:
            return drive(wiring, incident_id)
    except BaseException:  # noqa: BLE001 - a fork must never run on in the parent's code
        traceback.print_exc()
        return 1


def main(config: str, incident_id: str) -> None:
    """Fork a responder for each order and say how it ended."""
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        moment, _, argument = line.strip().partition(" ")
        pid = os.fork()
        if pid == 0:
            code = respond(config, incident_id, moment, argument)
            sys.stderr.flush()
            os._exit(code)
        if moment == "within":
            time.sleep(float(argument))
            os.kill(pid, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
