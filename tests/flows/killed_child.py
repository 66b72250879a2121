"""A responding process that kills itself with SIGKILL around a chosen write to the record (run by the tests).

``python killed_child.py CONFIG INCIDENT before|after N``: dies just before, or just after, its N-th append.  Exits with 0
when the incident is closed, 3 when it waits or is blocked.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from flows import intake
from flows.engine import StepFailed, reach_milestones, step_once
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.progress import next_move


def die_around_append(moment: str, number: int) -> None:
    """Let the record's own append run N-1 times, then die just before or just after the N-th."""
    real, count = SqlRecords.append, 0

    def append(self: SqlRecords, *arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        event = real(self, *arguments, **options)
        if count == number:
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


if __name__ == "__main__":
    config, incident_id, moment, number = sys.argv[1:]
    die_around_append(moment, int(number))
    with Wiring.from_file(Path(config)) as opened:
        sys.exit(drive(opened, incident_id))
