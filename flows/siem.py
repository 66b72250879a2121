"""Findings to the receivers outside: at least once, in each incident's order, and never in the way of a response.

Every receiver has a thread and a remembered place of its own (``STATE/siem/NAME.json``: incident → number of the last
event that it was told of).  The place is written after a finding has arrived, so that a crash tells one twice, never
none; its ``metadata.uid`` is the same both times.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import orjson

from flows.background import Trouble, log_trouble
from flows.boards import pause_after
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.errors import KeyquellError
from playbooks.ocsf import TakesFindings, findings_after

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")
_LEAST_PAUSE_SECONDS = 1.0


class Feeds:
    """All receivers of the settings."""

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; a receiver that fails is tried again and costs the others nothing."""
        threads = [
            threading.Thread(target=self._feed, args=(name, opened, stop), daemon=True, name=f"siem {name}")
            for name, opened in self._wiring.parts("siem").items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _feed(self, name: str, opened: Callable[[], TakesFindings], stop: threading.Event) -> None:
        failures = 0
        pause = max(_LEAST_PAUSE_SECONDS, self._wiring.settings.policy.poll_seconds)
        feed: Feed | None = None
        while not stop.is_set():
            wait = pause
            try:
                feed = feed or Feed(self._wiring, name, opened())
                feed.round(stop)
                failures = 0
            except Exception as error:  # noqa: BLE001 - whatever breaks here, the response goes on
                failures += 1
                known = error if isinstance(error, KeyquellError) else KeyquellError(f"{type(error).__name__}.")
                wait = max(pause, pause_after(known, failures))
                self._on_trouble(f"siem {name}", known)
            stop.wait(wait)


class Feed:
    """One receiver and its place.  Not safe for threads.

    One that was never told anything begins with the cases that are open then; what was over before is not told.
    """

    def __init__(self, wiring: Wiring, name: str, receiver: TakesFindings) -> None:
        self._wiring = wiring
        self._receiver = receiver
        self._file = wiring.settings.state / "siem" / f"{_file_name(name)}.json"
        self._page = wiring.settings.web.url
        self._version = version("keyquell")
        self._seqs = self._remembered()

    def round(self, stop: threading.Event) -> int:
        """Tell all that is new; returns how many findings arrived.  Raises what the receiver raises, and goes on there
        the next time."""
        count = 0
        for incident, head in sorted(self._wiring.records.heads().items()):
            if self._seqs.get(incident, -1) < head and not stop.is_set():
                count += self._tell(incident)
        return count

    def _tell(self, incident: str) -> int:
        after_the_urgent()
        after_the_proofs()
        events = self._wiring.records.events(incident)
        found = findings_after(events, self._seqs.get(incident, -1), product_version=self._version, page=self._page)
        for number, each in enumerate(found):
            self._receiver.send(each)
            if number < len(found) - 1:
                metadata = each["metadata"]
                assert isinstance(metadata, dict)  # noqa: S101 - for the type checker
                self._remember(incident, int(str(metadata["sequence"])))
        self._remember(incident, events[-1].seq)
        return len(found)

    def _remembered(self) -> dict[str, int]:
        if self._file.exists():
            return dict(orjson.loads(self._file.read_bytes()))
        heads = self._wiring.records.heads()
        over = {each: seq for each, seq in heads.items() if self._wiring.incident(each).closed is not None}
        self._write(over)
        return over

    def _remember(self, incident: str, seq: int) -> None:
        self._seqs[incident] = seq
        self._write(self._seqs)

    def _write(self, seqs: dict[str, int]) -> None:
        Path(self._file.parent).mkdir(parents=True, exist_ok=True)
        write_secret(f"file:{self._file}", orjson.dumps(seqs).decode())


def _file_name(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else hashlib.sha256(name.encode()).hexdigest()
