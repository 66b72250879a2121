"""The watch goes on: a detector that breaks in an unforeseen way stops neither itself nor the others."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from flows.settings import Settings
from flows.watch import watch
from flows.wiring import Wiring
from playbooks.errors import KeyquellError, Unreachable
from playbooks.exposures import Signal
from playbooks.ports import Detects


class Breaking:
    """A detector that fails at every poll, each time with the next of these errors; ends the watch after the last."""

    def __init__(self, errors: list[Exception], stop: threading.Event) -> None:
        self._errors = errors
        self._stop = stop

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Raise the next error, or find nothing."""
        if self._errors:
            raise self._errors.pop(0)
        self._stop.set()
        return (), cursor

    def close(self) -> None:
        """Nothing is open."""


class Watched(Wiring):
    """A wiring with the detectors that the test chooses."""

    chosen: dict[str, Detects]

    def detectors(self) -> dict[str, Detects]:
        """The chosen ones."""
        return self.chosen


def test_a_detector_that_breaks_is_reported_and_polled_again(tmp_path: Path) -> None:
    """Foreseen or not, a fault is said with its kind and never with its words, which may hold a secret."""
    settings = Settings.model_validate({
        "source": tmp_path / "keyquell.yaml", "state": tmp_path, "estate": tmp_path / "estate.yaml",
        "policy": {"poll_seconds": 0.01},
    })  # fmt: skip
    stop, troubles = threading.Event(), list[tuple[str, str]]()

    def trouble(name: str, error: KeyquellError) -> None:
        troubles.append((name, error.message))

    with Watched.open(settings) as wiring:
        assert isinstance(wiring, Watched)
        errors: list[Exception] = [OSError("canary"), TypeError("canary"), Unreachable("the trail does not answer.")]
        wiring.chosen = {"broken": Breaking(errors, stop)}
        watch(wiring, on_incident=lambda _: None, on_trouble=trouble, stop=stop)
    assert troubles == [
        ("broken", "unexpected OSError"),
        ("broken", "unexpected TypeError"),
        ("broken", "the trail does not answer."),
    ]
