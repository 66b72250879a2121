"""Work that nobody waits for: one thread for each incident, nothing missed, and whatever breaks leaves the way free."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows import background as module
from flows.background import Background
from flows.settings import Settings
from flows.wiring import Wiring
from playbooks.errors import KeyquellError, Unreachable


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    """An installation that knows nothing."""
    settings = Settings.model_validate({"source": tmp_path / "k", "state": tmp_path, "estate": tmp_path / "e"})
    with Wiring.open(settings) as opened:
        yield opened


@pytest.fixture
def contain(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], Any]], None]:
    """Choose what containing an incident is."""

    def choose(work: Callable[[str], Any]) -> None:
        monkeypatch.setattr(module, "_contain", lambda wiring, incident_id, stop: work(incident_id))

    return choose


def test_what_is_asked_for_meanwhile_is_done_once_more(wiring: Wiring, contain: Any) -> None:
    """Ten further calls while it runs are one further run: nothing that was added is missed, nothing piles up."""
    runs, under_way, go = [], threading.Event(), threading.Event()

    def work(incident_id: str) -> None:
        runs.append(incident_id)
        under_way.set()
        assert go.wait(20)

    contain(work)
    background = Background(wiring)
    background.contain("KQ-1")
    assert under_way.wait(20)
    for _ in range(10):
        background.contain("KQ-1")
    go.set()
    background.wait(seconds=20)
    assert runs == ["KQ-1", "KQ-1"]


def test_an_incident_that_hangs_delays_no_other(wiring: Wiring, contain: Any) -> None:
    """Each has a thread of its own."""
    go, done = threading.Event(), threading.Event()
    contain(lambda incident_id: go.wait(20) if incident_id == "KQ-1" else done.set())
    background = Background(wiring)
    background.contain("KQ-1")
    background.contain("KQ-2")
    assert done.wait(20)
    go.set()
    background.wait(seconds=20)


def test_many_that_hang_are_waited_for_together(wiring: Wiring, contain: Any) -> None:
    """The patience is one for all: a hundred incidents must not multiply it."""
    go = threading.Event()
    contain(lambda _: go.wait(60))
    background = Background(wiring)
    for number in range(100):
        background.contain(f"KQ-{number}")
    waiting = threading.Thread(target=background.wait, kwargs={"seconds": 0.5}, daemon=True)
    waiting.start()
    waiting.join(timeout=20)
    still_waiting = waiting.is_alive()
    go.set()
    assert not still_waiting


@pytest.mark.parametrize("error", [Unreachable("no answer."), ValueError("canary"), KeyError("canary")])
def test_work_that_breaks_is_told_and_can_be_asked_for_again(wiring: Wiring, contain: Any, error: Exception) -> None:
    """By its own words when it is foreseen, by its type when it is not."""
    told, done = list[str](), list[str]()

    def work(incident_id: str) -> None:
        raise error

    def on_trouble(name: str, trouble: KeyquellError) -> None:
        told.append(f"{name}: {trouble.message}")

    contain(work)
    background = Background(wiring, on_done=done.append, on_trouble=on_trouble)
    for _ in range(2):
        background.contain("KQ-1")
        background.wait(seconds=20)
    foreseen = isinstance(error, KeyquellError)
    assert told == [f"KQ-1: {error.message if foreseen else f'unexpected {type(error).__name__}'}"] * 2  # type: ignore[attr-defined]
    assert done == ["KQ-1", "KQ-1"]


def test_listeners_that_break_do_not_block_the_incident_for_ever(wiring: Wiring, contain: Any) -> None:
    """A terminal that is gone must not keep the next finding from being contained."""
    runs: list[str] = []

    def broken(*_: Any) -> None:
        raise BrokenPipeError

    contain(runs.append)
    background = Background(wiring, on_done=broken, on_trouble=broken)
    for _ in range(2):
        background.contain("KQ-1")
        background.wait(seconds=20)
    assert runs == ["KQ-1", "KQ-1"]
