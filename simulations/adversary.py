"""The adversary of a drill: ``python -m simulations.adversary --config adversary.json``.

It idles until what leaks is handed over as a file, then tries at its set rate until SIGTERM, and journals every try.
It knows nothing of the response and never believes it: a refused way in is tried again for as long as it runs.
"""

from __future__ import annotations

import argparse
import heapq
import signal
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from simulations.journals import AdversaryAttempt, AdversaryConfig, Journal, read_config
from simulations.techniques.lane import Finding, Lane, find_technique

_POLL_SECONDS = 0.02


class OrderedLines:
    """Writes tries to the journal in the order in which they *started*, although lanes finish out of order.

    A line waits until every try that started earlier has ended.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._begun: set[datetime] = set()
        self._ended: list[tuple[datetime, str, AdversaryAttempt]] = []

    def begin(self) -> datetime:
        """The time at which a try starts; no two are equal."""
        with self._lock:
            at = datetime.now(UTC)
            while at in self._begun:
                at += timedelta(microseconds=1)
            self._begun.add(at)
            return at

    def end(self, at: datetime, line: AdversaryAttempt | None) -> None:
        """Take the line of the try that began at ``at`` (None: it does not count) and write what may be written."""
        with self._lock:
            self._begun.discard(at)
            if line is not None:
                heapq.heappush(self._ended, (at, line.detail, line))
            while self._ended and (not self._begun or self._ended[0][0] < min(self._begun)):
                self._journal.write(heapq.heappop(self._ended)[2])


class Adversary:
    """Runs a technique's lanes side by side, each at its share of the rate, until ``stop`` is set.

    A hanging backend costs one lane a timeout; the other lanes go on.
    """

    def __init__(self, config: AdversaryConfig, *, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self._lanes = [Lane(config, name) for name in find_technique(config.technique).lanes]

    def run(self) -> None:
        """Warm up, wait for the loot, attack until stopped."""
        for lane in self._lanes:
            lane.ready()
        try:
            while not self._config.loot.exists():
                if self._stop.wait(_POLL_SECONDS):
                    return
            with Journal.open(self._config.journal) as journal:
                self._attack(OrderedLines(journal))
        finally:
            for lane in self._lanes:
                lane.end()

    def _attack(self, lines: OrderedLines) -> None:
        threads = [
            threading.Thread(target=self._keep_trying, args=(lane, offset, lines), name=lane.name)
            for offset, lane in enumerate(self._lanes)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _keep_trying(self, lane: Lane, offset: int, lines: OrderedLines) -> None:
        interval = len(self._lanes) / self._config.rate_per_second
        due = time.monotonic() + offset / self._config.rate_per_second
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + interval, time.monotonic() - interval)
            if not lane.ready():
                continue
            at = lines.begin()
            finding = lane.attempt()
            ended_with_us = self._stop.is_set() and finding.code == "unreachable"
            lines.end(at, None if ended_with_us else self._line(at, finding))

    def _line(self, at: datetime, finding: Finding) -> AdversaryAttempt:
        return AdversaryAttempt(
            at=at,
            finished_at=datetime.now(UTC),
            technique=self._config.technique,
            ok=finding.ok,
            code=finding.code,
            detail=finding.detail,
        )


def main() -> None:
    """Read ``--config`` and attack until SIGTERM."""
    parser = argparse.ArgumentParser(description="The adversary of a drill.")
    parser.add_argument("--config", type=Path, required=True, help="adversary.json")
    config = read_config(parser.parse_args().config, AdversaryConfig)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Adversary(config, stop=stop).run()


if __name__ == "__main__":
    main()
