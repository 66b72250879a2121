"""The drills whose results are kept in keyquell's home: their records and scores, each read once."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from integrations.records.export import read_export
from playbooks.errors import KeyquellError
from playbooks.summary import Summary, summary_of

_RESULT = "result.json"  # as ``simulations.harness`` writes it, which brings the whole lab along when it is imported
_MOST_READ = 300
"""So many of the newest folders are read."""


@dataclass(frozen=True, slots=True)
class KeptDrill:
    """One drill; ``folder`` is its folder's name.  Nothing of it goes on: what it did not reach, it never will."""

    folder: str
    scenario: str
    passed: bool
    summary: Summary


class _Score(BaseModel):
    """What is read of a result; whatever else stands in it may change."""

    scenario: str
    valid: bool
    passed: bool


class KeptDrills:
    """Reads what is new in a folder of drills; safe for threads.  A damaged or unfinished drill is left out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, KeptDrill | None] = {}
        self._lock = threading.Lock()

    def all(self) -> list[KeptDrill]:
        """The latest first."""
        with self._lock:
            places = sorted(self._folder.glob(f"*/{_RESULT}"), reverse=True)[:_MOST_READ]
            for place in places:
                if place.parent.name not in self._read:
                    self._read[place.parent.name] = _read(place.parent)
            found = [self._read[place.parent.name] for place in places]
        kept = [each for each in found if each is not None]
        return sorted(kept, key=lambda each: each.summary.opened_at, reverse=True)


def _read(folder: Path) -> KeptDrill | None:
    try:
        result = _Score.model_validate_json((folder / _RESULT).read_bytes())
        summary = summary_of(read_export(folder / "record.ndjson"))
    except (OSError, ValidationError, KeyquellError):
        return None
    over = tuple(each.model_copy(update={"since": None}) for each in summary.measures)
    phases = tuple(each.model_copy(update={"since": None}) for each in summary.phases)
    update = {"measures": over, "phases": phases, "exercise": True, "scenario": result.scenario}
    return KeptDrill(folder.name, result.scenario, result.valid and result.passed, summary.model_copy(update=update))
