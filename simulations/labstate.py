"""What state a lab is in, on disk and synced *before* anything is done, so that the next start knows what to undo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import psutil
from pydantic import AwareDatetime, BaseModel, ConfigDict

from playbooks.ports import Clock
from simulations.lab.processes import sweep

STATE_FILE = "state.json"


class DrillState(StrEnum):
    """How far a drill is.  ``dirty``: something half-failed, and nothing may be concluded from the run."""

    COLD = "cold"
    WARM = "warm"
    DETONATED = "detonated"
    SCORED = "scored"
    DIRTY = "dirty"


class LabNote(BaseModel):
    """The content of ``state.json``.

    ``doing`` is the move that was begun from ``state`` and has not ended; the owner is the harness's process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    seed: int
    state: DrillState
    doing: str = ""
    faults: tuple[str, ...] = ()
    changed_at: AwareDatetime
    owner_pid: int
    owner_created: float

    @property
    def owner_alive(self) -> bool:
        """Does the harness that wrote this still run?"""
        try:
            return abs(psutil.Process(self.owner_pid).create_time() - self.owner_created) < 1.0
        except psutil.Error:
            return False


class LabState:
    """The state of one lab directory, written by its harness alone."""

    def __init__(self, directory: Path, *, scenario: str, seed: int, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        owner = psutil.Process()
        self.note = LabNote(
            scenario=scenario,
            seed=seed,
            state=DrillState.COLD,
            changed_at=clock(),
            owner_pid=owner.pid,
            owner_created=owner.create_time(),
        )
        self._write()

    @contextmanager
    def moving(self, to: DrillState, doing: str) -> Iterator[None]:
        """Note the move, let it happen, note the new state; ``dirty`` when it raises, whatever it raises."""
        self._change(doing=doing)
        try:
            yield
        except BaseException as error:
            self.soil(f"{doing}: {type(error).__name__}")
            raise
        self._change(state=DrillState.DIRTY if self.note.faults else to, doing="")

    def soil(self, fault: str) -> None:
        """Something half-failed: the drill is dirty from now on and stays so."""
        self._change(state=DrillState.DIRTY, faults=(*self.note.faults, fault))

    def _change(self, **values: object) -> None:
        self.note = self.note.model_copy(update={**values, "changed_at": self._clock()})
        self._write()

    def _write(self) -> None:
        beside = self._directory / f".{STATE_FILE}"
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(self.note.model_dump_json())
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self._directory / STATE_FILE)
        folder = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_note(directory: Path) -> LabNote | None:
    """What is noted of a lab; None when there is nothing, or nothing whole."""
    try:
        return LabNote.model_validate_json((directory / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def sweep_labs(root: Path, *, on_swept: Callable[[Path, list[str]], None] = lambda *_: None) -> list[Path]:
    """End and remove every lab below ``root`` whose harness is gone; returns the folders that were removed.

    A folder without a whole note is left alone while it may be one that is just being made.
    """
    removed: list[Path] = []
    for directory in sorted(root.iterdir()) if root.is_dir() else []:
        note = read_note(directory)
        if note is None or note.owner_alive:
            continue
        on_swept(directory, sweep(directory))
        shutil.rmtree(directory, ignore_errors=True)
        removed.append(directory)
    return removed
