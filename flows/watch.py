"""Polls the detectors, opens incidents and contains them at once; the flow that follows adopts what was done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.engine import contain_now
from flows.intake import ingest
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.errors import KeyquellError
from playbooks.exposures import Signal
from playbooks.ports import Detects

Trouble = Callable[[str, KeyquellError], None]
"""Takes the name of what is in trouble (a detector, an incident) and why."""


def watch(
    wiring: Wiring,
    *,
    on_incident: Callable[[str], None],
    on_trouble: Trouble,
    stop: threading.Event,
) -> None:
    """Poll until ``stop``; ``on_incident`` is called after containment was tried, ``on_trouble`` when a detector fails.

    Each detector's cursor is kept in the state folder, written after its signals are in the record: a crash in between
    reads them again, and they are recognised.  A detector that breaks, or a signal that cannot be taken in, is tried
    again with the next round, and the others go on.  Each incident is contained in a thread of its own, so that a
    backend that hangs delays no other.
    """
    detectors = wiring.detectors()
    containing: dict[str, threading.Thread] = {}

    def contain(incident_id: str) -> None:
        with _reporting(incident_id, on_trouble):
            contain_now(wiring, incident_id)
            on_incident(incident_id)

    def take(name: str, detector: Detects) -> None:
        place = wiring.settings.state / "cursors" / name
        signals, cursor = detector.poll(cursor=_read(place))
        taken = [_take(wiring, signal, name, on_trouble) for signal in signals]
        for incident_id in {each for each in taken if each}:
            if incident_id not in containing or not containing[incident_id].is_alive():
                containing[incident_id] = threading.Thread(target=contain, args=(incident_id,), daemon=True)
                containing[incident_id].start()
        if None not in taken:
            _keep(place, cursor)

    while not stop.is_set():
        for name, detector in detectors.items():
            with _reporting(name, on_trouble):
                take(name, detector)
        stop.wait(wiring.settings.policy.poll_seconds)
    for thread in containing.values():
        thread.join(timeout=wiring.settings.policy.containment_deadline_seconds)


def _take(wiring: Wiring, signal: Signal, name: str, on_trouble: Trouble) -> str | None:
    """The incident of a signal, "" when nothing in the estate matches, None when it could not be taken in."""
    with _reporting(name, on_trouble):
        return ingest(wiring, signal) or ""
    return None


@contextmanager
def _reporting(name: str, on_trouble: Trouble) -> Iterator[None]:
    """Report a fault instead of raising it: the watch must outlive any.  An unforeseen one's text may hold a secret."""
    try:
        yield
    except KeyquellError as error:
        on_trouble(name, error)
    except Exception as error:  # noqa: BLE001 - reported by its type
        on_trouble(name, KeyquellError(f"unexpected {type(error).__name__}"))


def _read(place: Path) -> str:
    return place.read_text(encoding="utf-8") if place.exists() else ""


def _keep(place: Path, cursor: str) -> None:
    if _read(place) != cursor:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_secret(f"file:{place}", cursor)
