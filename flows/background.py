"""Work that a click starts and that nobody waits for: one thread for each incident and kind of work."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from flows.engine import contain_now
from flows.intake import replan
from flows.undo import undo
from flows.wiring import Wiring
from playbooks.errors import KeyquellError

Trouble = Callable[[str, KeyquellError], None]
"""Takes the name of what is in trouble (a detector, an incident) and why."""

_log = logging.getLogger(__name__)


def log_trouble(name: str, error: KeyquellError) -> None:
    """Say it in the log, where nobody else listens."""
    _log.warning("%s: %s", name, error)


class Background:
    """Containment and undo at once, side by side; what became of them is in the record.

    Asked again while the same work of the same incident runs, it runs once more afterwards, so that nothing that was
    added meanwhile is missed.  ``on_done`` gets the incident's id after each run.  Once ``stop`` is set, containment
    tries nothing again (see ``contain_now``).
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        on_done: Callable[[str], None] = lambda _: None,
        on_trouble: Trouble = log_trouble,
        stop: threading.Event | None = None,
    ) -> None:
        self._wiring = wiring
        self._on_done = on_done
        self._on_trouble = on_trouble
        self._stop = stop or threading.Event()
        self._lock = threading.Lock()
        self._running: dict[tuple[str, str], threading.Thread] = {}
        self._again: set[tuple[str, str]] = set()

    def contain(self, incident_id: str) -> None:
        """Start every containing step whose gate is open."""
        self._start("contain", incident_id, lambda: _contain(self._wiring, incident_id, self._stop))

    def undo(self, incident_id: str, *, by: str) -> None:
        """Start taking back the reversible steps."""
        self._start("undo", incident_id, lambda: undo(self._wiring, incident_id, by=by))

    def busy(self, incident_id: str) -> bool:
        """Is anything of this incident under way?"""
        with self._lock:
            return any(name[1] == incident_id for name in self._running)

    def wait(self, *, seconds: float) -> None:
        """Wait for what runs now, for at most so long altogether."""
        until = time.monotonic() + seconds
        with self._lock:
            threads = list(self._running.values())
        for thread in threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))

    def _start(self, kind: str, incident_id: str, work: Callable[[], object]) -> None:
        name = (kind, incident_id)
        with self._lock:
            if name in self._running:
                self._again.add(name)
                return
            thread = threading.Thread(target=self._run, args=(name, work), daemon=True, name=f"{kind}-{incident_id}")
            self._running[name] = thread
        thread.start()

    def _run(self, name: tuple[str, str], work: Callable[[], object]) -> None:
        while True:
            self._guarded(name[1], work)
            self._guarded(name[1], lambda: self._on_done(name[1]))
            with self._lock:
                if name not in self._again:
                    del self._running[name]
                    return
                self._again.discard(name)

    def _guarded(self, incident_id: str, work: Callable[[], object]) -> None:
        """Whatever breaks is told and over: the next call for the same incident must find the way free."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - told by its type; its text may hold a secret
            told = error if isinstance(error, KeyquellError) else KeyquellError(f"unexpected {type(error).__name__}")
            try:
                self._on_trouble(incident_id, told)
            except Exception as silent:  # noqa: BLE001 - whoever listens has gone
                _log.warning("%s: nobody could be told (%s)", incident_id, type(silent).__name__)


def _contain(wiring: Wiring, incident_id: str, stop: threading.Event) -> None:
    """Contain, also when the process that opened the case died before it had planned."""
    incident = contain_now(wiring, incident_id, stop=stop)
    if incident.plan is None and incident.exposures and incident.closed is None:
        replan(wiring, incident_id)
        contain_now(wiring, incident_id, stop=stop)
