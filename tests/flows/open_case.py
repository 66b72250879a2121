"""An open case on a real record, with surfaces and pagers of the test's own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from written_case import ESTATE, ID, Case

from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.ports import Delivers, Message
from playbooks.record import EventKind
from playbooks.surfaces import CaseView, Pages, Shows


class ClockOfTheTest:
    """Real time, and whatever the test adds to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class OpenedByHand(Wiring):
    """The composition root, with boards, pagers and messengers given by the test."""

    def __init__(self, settings: Any, *, clock: ClockOfTheTest) -> None:
        super().__init__(settings, clock=clock)
        self.time = clock
        self.boards: dict[str, Shows] = {}
        self.rings: dict[str, Pages] = {}
        self.channels: dict[str, Delivers] = {}

    def surfaces(self) -> dict[str, Shows]:
        return self.boards

    def pagers(self) -> dict[str, Pages]:
        return self.rings

    def messengers(self) -> dict[str, Delivers]:
        return self.channels or super().messengers()

    @property
    def case(self) -> Incident:
        """The case as the record tells it."""
        return self.incident(ID)

    def kinds(self) -> list[EventKind]:
        """What is in the record, in order."""
        return [event.kind for event in self.records.events(ID)]


def wired(root: Path, case: Case, *, roster: Mapping[str, Any] | None = None, **settings: Any) -> OpenedByHand:
    """Settings, estate and roster as files, and the case's record in a database."""
    given: dict[str, Any] = {"state": "state", "estate": "estate.yaml", "policy": {"poll_seconds": 0.02}, **settings}
    if roster is not None:
        given["roster"] = "./roster.yaml"
        (root / "roster.yaml").write_text(yaml.safe_dump(dict(roster)), encoding="utf-8")
    (root / "estate.yaml").write_text(yaml.safe_dump(ESTATE.model_dump(mode="json")), encoding="utf-8")
    (root / "keyquell.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    loaded = load_settings(root / "keyquell.yaml")
    loaded.state.mkdir(exist_ok=True)
    wiring = OpenedByHand(loaded, clock=ClockOfTheTest())
    case.write_to(wiring.records)
    return wiring


def add_case(wiring: Wiring, name: str, *, closed: bool = False) -> None:
    """Another case, just opened, and closed when that is wanted."""
    opened = {"codename": name.lower(), "severity": "high", "exercise": False, "requested_by": "alice"}
    body = body_of(EventKind.INCIDENT_OPENED, **opened, playbook="kms-key-leak")
    wiring.records.append_next(name, kind=EventKind.INCIDENT_OPENED, body=body)
    if closed:
        close_case(wiring, name)


def close_case(wiring: Wiring, name: str) -> None:
    """The end of a case."""
    body = body_of(EventKind.CLOSED, by="alice", outcome="recovered")
    wiring.records.append_next(name, kind=EventKind.CLOSED, body=body)


def sql(wiring: Wiring, statement: str) -> None:
    """Somebody at the record's database."""
    with wiring.records.engine.connect() as connection:
        connection.exec_driver_sql(statement)


class Running:
    """Something with ``run(stop)`` in a thread, for the time of a block; troubles are kept."""

    def __init__(self, make: Callable[[Callable[[str, KeyquellError], None]], Any]) -> None:
        self.troubles: list[tuple[str, str]] = []
        self._stop = threading.Event()
        work = make(lambda name, error: self.troubles.append((name, error.message)))
        self._thread = threading.Thread(target=work.run, args=(self._stop,), daemon=True)

    def __enter__(self) -> Running:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


def eventually(holds: Callable[[], object], *, seconds: float = 5.0) -> None:
    """Wait until it holds; fail with what it last was."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.01)


class Board:
    """A surface that keeps what it was shown, and is in trouble as often as it is told to be."""

    def __init__(self, *troubles: Exception, interval_seconds: float = 0.0) -> None:
        self.interval_seconds = interval_seconds
        self.troubles = list(troubles)
        self.views: list[CaseView] = []
        self.moments: list[float] = []
        self.ids: dict[str, str] = {"channel": "C1"}
        self.hold: threading.Event | None = None

    def show(self, view: CaseView) -> Mapping[str, str]:
        self.moments.append(time.monotonic())
        if self.troubles:
            raise self.troubles.pop(0)
        self.views.append(view)
        if self.hold is not None:
            self.hold.wait(5)
        return self.ids

    def close(self) -> None:
        """Nothing to give back."""


class Bell:
    """A pager that recognises a level it has rung, as pagers do."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.rung: list[tuple[int, str]] = []
        self.told: list[str] = []

    def page(self, view: CaseView, *, level: int, person: Any) -> Mapping[str, str]:
        if self.troubles:
            raise self.troubles.pop(0)
        call = (level, person.name if person else "on-call")
        if call not in self.rung:
            self.rung.append(call)
        return {f"level-{level}": view.incident.id}

    def acknowledge(self, view: CaseView) -> None:
        self._hear("acknowledge")

    def resolve(self, view: CaseView) -> None:
        self._hear("resolve")

    def close(self) -> None:
        """Nothing to give back."""

    def _hear(self, what: str) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.told.append(what)


class Channel:
    """A messenger that keeps what it gets, and refuses as often as it is told to."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.got: list[Message] = []

    def deliver(self, message: Message) -> None:
        if self.troubles:
            raise self.troubles.pop(0)
        self.got.append(message)

    def close(self) -> None:
        """Nothing to give back."""
