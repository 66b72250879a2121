"""What the record holds, told to receivers outside: at least once, in each incident's order, and never in the way of a
response.

Every receiver has a thread and a remembered place of its own (``STATE/ROOM/NAME.json``: incident → number of the last
event that it was told of).  The place is written after something has arrived, so that a crash tells it twice, never
none; what is told is computed from the record, so that it is the same both times.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import orjson

from flows.background import Trouble
from flows.boards import pause_after
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.errors import KeyquellError, RecordError
from playbooks.record import Event, EventKind

Tells = Callable[[Sequence[Event], int], Iterator[int]]
"""Hands over what the events of one incident behind a number bring; yields, whenever something has arrived, the number
of the event up to which the receiver was told.  Raises what the receiver raises."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_LEAST_PAUSE_SECONDS = 1.0
_BROKEN_SECONDS = 60.0


class Feed:
    """One receiver and its place.  Not safe for threads.

    One that was never told anything begins with the cases that are open then; what was over before is not told.
    ``room`` is the folder of the place, ``name`` tells the receivers of a room apart.  ``of_one_case`` are errors that
    say something of one case and not of the receiver: they keep no other case waiting.
    """

    def __init__(
        self,
        wiring: Wiring,
        room: str,
        name: str,
        tells: Tells,
        *,
        of_one_case: tuple[type[KeyquellError], ...] = (RecordError,),
    ) -> None:
        self._wiring = wiring
        self._tells = tells
        self._of_one_case = of_one_case
        self._file = wiring.settings.state / room / f"{_file_name(name)}.json"
        self._not_before: dict[str, float] = {}
        self._seqs = self._remembered()

    def round(self, stop: threading.Event) -> int:
        """Tell all that is new; returns how often something arrived.  Raises what the receiver raises, and goes on
        there the next time.

        A record that cannot be read, or whatever else is of one case, is left for a minute and hides no other: its
        error is raised after them.
        """
        count = 0
        broken: KeyquellError | None = None
        for incident, head in sorted(self._wiring.records.heads().items()):
            is_left = time.monotonic() < self._not_before.get(incident, 0)
            if self._seqs.get(incident, -1) < head and not is_left and not stop.is_set():
                try:
                    count += self._tell(incident)
                except self._of_one_case as error:
                    self._not_before[incident], broken = time.monotonic() + _BROKEN_SECONDS, error
        if broken is not None:
            raise broken
        return count

    def _tell(self, incident: str) -> int:
        after_the_urgent()
        after_the_proofs()
        events = self._wiring.records.events(incident)
        count = 0
        for seq in self._tells(events, self._seqs.get(incident, -1)):
            count += 1
            self._remember(incident, seq)
        if self._seqs.get(incident, -1) < events[-1].seq:
            self._remember(incident, events[-1].seq)
        return count

    def _remembered(self) -> dict[str, int]:
        if self._file.exists():
            return dict(orjson.loads(self._file.read_bytes()))
        closed = self._wiring.records.having(EventKind.CLOSED)
        over = {each: seq for each, seq in self._wiring.records.heads().items() if each in closed}
        self._write(over)
        return over

    def _remember(self, incident: str, seq: int) -> None:
        self._seqs[incident] = seq
        self._write(self._seqs)

    def _write(self, seqs: dict[str, int]) -> None:
        Path(self._file.parent).mkdir(parents=True, exist_ok=True)
        write_secret(f"file:{self._file}", orjson.dumps(seqs).decode())


def keep_telling(
    wiring: Wiring, feeds: Mapping[str, Callable[[], Feed]], stop: threading.Event, *, on_trouble: Trouble
) -> None:
    """Go on until ``stop``, each feed (opened on first use) on a thread of its own, named as ``feeds`` names it.

    One that fails is tried again after what it asks for, else after longer and longer, and costs the others nothing.
    """
    pause = max(_LEAST_PAUSE_SECONDS, wiring.settings.policy.poll_seconds)
    threads = [
        threading.Thread(target=_keep, args=(name, opened, stop, pause, on_trouble), daemon=True, name=name)
        for name, opened in feeds.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _keep(name: str, opened: Callable[[], Feed], stop: threading.Event, pause: float, on_trouble: Trouble) -> None:
    failures = 0
    feed: Feed | None = None
    while not stop.is_set():
        wait = pause
        try:
            feed = feed or opened()
            feed.round(stop)
            failures = 0
        except Exception as error:  # noqa: BLE001 - whatever breaks here, the response goes on
            failures += 1
            known = error if isinstance(error, KeyquellError) else KeyquellError(f"{type(error).__name__}.")
            wait = max(pause, pause_after(known, failures))
            on_trouble(name, known)
        stop.wait(wait)


def _file_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()
