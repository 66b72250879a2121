"""Polls the detectors, opens incidents and has them contained at once; notices when a detector falls silent."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from weakref import WeakKeyDictionary

from flows.background import Background, Trouble
from flows.installation import note_heard, note_silent
from flows.intake import take_in
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.exposures import Signal
from playbooks.heartbeat import Pulse, expected_every
from playbooks.ports import Detects

_LONGEST_PAUSE_SECONDS = 10.0
_GOODBYE_SECONDS = 5.0


def watch(wiring: Wiring, background: Background, *, on_trouble: Trouble, stop: threading.Event) -> None:
    """Poll until ``stop``; ``on_trouble`` is called when a detector fails or falls silent, once for each reason.

    Each detector has a thread of its own, so that one that hangs delays no other, and its cursor in the state folder,
    written after its signals are in the record: a crash in between reads them again, and they are recognised.  One that
    breaks, or whose signal cannot be taken in, is tried again with growing pauses.  One that cannot be polled is only
    listened to (``heard``).
    """
    names = [str(each.get("name", each.get("type"))) for each in wiring.settings.detectors]
    rounds = [_Rounds(wiring, background, name, on_trouble, stop) for name in names]
    vigils = [_Vigil(wiring, each, on_trouble) for each in rounds]
    threads = [threading.Thread(target=each.run, daemon=True, name=f"poll-{each.name}") for each in rounds]
    for thread in threads:
        thread.start()
    while not stop.wait(wiring.settings.policy.poll_seconds):
        for vigil in vigils:
            vigil.look()
    until = time.monotonic() + _GOODBYE_SECONDS
    for thread in threads:
        thread.join(timeout=max(0.0, until - time.monotonic()))


def heard(wiring: Wiring, name: str) -> None:
    """Note that a detector gave a sign of life by itself; kept on disk, because a restart must not forget it."""
    now = wiring.clock()
    before = _HEARD.setdefault(wiring, {}).get(name)
    _HEARD[wiring][name] = now
    if before is None or (now - before).total_seconds() >= 1:
        _keep(_heard_place(wiring, name), now.isoformat())


_HEARD: WeakKeyDictionary[Wiring, dict[str, datetime]] = WeakKeyDictionary()


class _Rounds:
    """One detector, polled again and again."""

    def __init__(
        self, wiring: Wiring, background: Background, name: str, on_trouble: Trouble, stop: threading.Event
    ) -> None:
        self.name = name
        self.polled = True
        self.last_polled: datetime | None = None
        self._wiring = wiring
        self._background = background
        self._on_trouble = on_trouble
        self._stop = stop
        self._said = ""
        self._failures = 0

    def run(self) -> None:
        """Until ``stop``, or until it turns out that this detector is not one to be polled."""
        while not self._stop.is_set():
            with self._reporting():
                detector = self._wiring.detector(self.name)
                if not isinstance(detector, Detects):
                    self.polled = False
                    return
                self._poll(detector)
            self._stop.wait(self._pause())

    def _poll(self, detector: Detects) -> None:
        place = self._wiring.settings.state / "cursors" / self.name
        signals, cursor = detector.poll(cursor=_read(place))
        self.last_polled = self._wiring.clock()
        taken = [self._take(signal) for signal in signals]
        if all(taken):
            _keep(place, cursor)
            self._failures, self._said = 0, ""

    def _take(self, signal: Signal) -> bool:
        """Have one signal taken in and its case contained; False when it must come again."""
        with self._reporting():
            taken = take_in(self._wiring, signal)
            if taken.open:
                self._background.contain(taken.incident)
            return True
        return False

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        """Report a fault instead of raising it: the watch outlives any.  An unforeseen one's text may hold a secret."""
        try:
            yield
        except KeyquellError as error:
            self._say(error)
        except Exception as error:  # noqa: BLE001 - reported by its type
            self._say(KeyquellError(f"unexpected {type(error).__name__}"))

    def _say(self, error: KeyquellError) -> None:
        self._failures += 1
        if self._said != str(error):
            self._said = str(error)
            with suppress(Exception):
                self._on_trouble(self.name, error)

    def _pause(self) -> float:
        """Longer with every failure in a row, up to ten seconds."""
        pause = self._wiring.settings.policy.poll_seconds
        return (
            pause
            if not self._failures
            else min(pause * 2 ** min(self._failures, 16), max(pause, _LONGEST_PAUSE_SECONDS))
        )


class _Vigil:
    """Watches over the life of one detector."""

    def __init__(self, wiring: Wiring, rounds: _Rounds, on_trouble: Trouble) -> None:
        self._wiring = wiring
        self._rounds = rounds
        self._on_trouble = on_trouble
        self._since = wiring.clock()
        self._limit: timedelta | None = None
        self._told = False
        self._silent: bool | None = None
        self._before = _last_heard(wiring, rounds.name)
        entry = next(each for each in wiring.settings.detectors if each.get("name", each.get("type")) == rounds.name)
        with suppress(InvalidInput):
            self._limit = expected_every(entry)

    def look(self) -> None:
        """Tell and write down, once, that the detector fell silent; write down that it speaks again."""
        pulse = Pulse(self._since, self._rounds.polled, self._limit, self._heard())
        reason = pulse.silence(self._wiring.clock())
        if reason and not self._told:
            self._told = True
            hint = "What it watches is not watched: see that it runs and reaches us."
            with suppress(Exception):
                self._on_trouble(self._rounds.name, KeyquellError(f"it is silent: {reason}.", hint=hint))
        self._told = bool(reason)
        with suppress(KeyquellError):  # a record that cannot be written now is written in the next round
            self._write(pulse, reason)

    def _write(self, pulse: Pulse, reason: str) -> None:
        name = self._rounds.name
        if reason and self._silent is not True:
            note_silent(self._wiring, name, last_heard=pulse.last_heard, reason=reason)
            self._silent = True
        elif not reason and self._silent is not False and pulse.last_heard != self._before:
            note_heard(self._wiring, name)
            self._silent = False

    def _heard(self) -> datetime | None:
        own = _HEARD.get(self._wiring, {}).get(self._rounds.name)
        times = [each for each in (self._before, self._rounds.last_polled, own) if each is not None]
        return max(times, default=None)


def _last_heard(wiring: Wiring, name: str) -> datetime | None:
    """What an earlier process heard; None when it kept nothing that can be read."""
    with suppress(OSError, ValueError):
        found = datetime.fromisoformat(_read(_heard_place(wiring, name)))
        return found if found.tzinfo is not None else None
    return None


def _heard_place(wiring: Wiring, name: str) -> Path:
    return wiring.settings.state / "heard" / name


def _read(place: Path) -> str:
    return place.read_text(encoding="utf-8") if place.exists() else ""


def _keep(place: Path, text: str) -> None:
    if _read(place) != text:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_secret(f"file:{place}", text)
