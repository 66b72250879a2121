"""The chain of what belongs to no incident, as far as detection writes it: each fact once, whoever comes first.

The chain is read once and then followed, so that asking whether something stands in it costs one small query.
"""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any
from weakref import WeakKeyDictionary

from flows.wiring import Wiring
from playbooks.errors import Conflict
from playbooks.event_bodies import DetectorHeard, DetectorSilent, SignalUnmatched, body_of, read_body
from playbooks.exposures import Signal
from playbooks.matching import evidence_of
from playbooks.record import GENESIS, INSTALLATION, EventKind


def note_unmatched(wiring: Wiring, signal: Signal) -> bool:
    """Write down a finding that nothing in the estate matches; False when it stands there already."""
    return _chain(wiring).write(evidence_of(signal), EventKind.SIGNAL_UNMATCHED, signal=signal)


def note_silent(wiring: Wiring, detector: str, *, last_heard: datetime | None, reason: str) -> bool:
    """Write down that a detector is silent; False when that is known."""
    heard = last_heard.isoformat() if last_heard else None
    return _chain(wiring).write(detector, EventKind.DETECTOR_SILENT, detector=detector, last_heard=heard, reason=reason)


def note_heard(wiring: Wiring, detector: str) -> bool:
    """Write down that a silent detector speaks again; False when it was not silent."""
    return _chain(wiring).write(detector, EventKind.DETECTOR_HEARD, detector=detector)


class _Chain:
    """What was read of the chain so far."""

    def __init__(self, wiring: Wiring) -> None:
        self._records = wiring.records
        self._lock = threading.Lock()
        self._seq, self._head = -1, GENESIS
        self._unmatched: set[str] = set()
        self._silent: set[str] = set()

    def write(self, mark: str, kind: EventKind, **fields: Any) -> bool:
        """Write unless the chain says so already; decided again whenever another writer comes first."""
        body = body_of(kind, **fields)
        with self._lock:
            while True:
                self._read_on()
                if self._stands(mark, kind):
                    return False
                try:
                    self._records.append(INSTALLATION, kind=kind, body=body, expected_head=self._head)
                except Conflict:
                    continue
                return True

    def _stands(self, mark: str, kind: EventKind) -> bool:
        if kind is EventKind.SIGNAL_UNMATCHED:
            return mark in self._unmatched
        return (mark in self._silent) is (kind is EventKind.DETECTOR_SILENT)

    def _read_on(self) -> None:
        for event in self._records.events_after(INSTALLATION, self._seq):
            self._seq, self._head = event.seq, event.hash
            match read_body(event):
                case SignalUnmatched(signal=signal):
                    self._unmatched.add(evidence_of(signal))
                case DetectorSilent(detector=detector):
                    self._silent.add(detector)
                case DetectorHeard(detector=detector):
                    self._silent.discard(detector)


_CHAINS: WeakKeyDictionary[Wiring, _Chain] = WeakKeyDictionary()
_CHAINS_LOCK = threading.Lock()


def _chain(wiring: Wiring) -> _Chain:
    with _CHAINS_LOCK:
        return _CHAINS.setdefault(wiring, _Chain(wiring))
