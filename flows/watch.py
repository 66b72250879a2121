"""Polls the detectors, opens incidents and contains them at once; the flow that follows adopts what was done."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from flows.engine import contain_now
from flows.intake import ingest
from flows.wiring import Wiring
from integrations.secrets import write_secret
from playbooks.errors import KeyquellError


def watch(
    wiring: Wiring,
    *,
    on_incident: Callable[[str], None],
    on_trouble: Callable[[str, KeyquellError], None],
    stop: threading.Event,
) -> None:
    """Poll until ``stop``; ``on_incident`` is called after containment was tried, ``on_trouble`` when a detector fails.

    Each detector's cursor is kept in the state folder, written after its signals are in the record: a crash in between
    reads them again, and they are recognised.  A detector that breaks is tried again with the next round, and the
    others go on.
    """
    detectors = wiring.detectors()
    while not stop.is_set():
        for name, detector in detectors.items():
            place = wiring.settings.state / "cursors" / name
            try:
                signals, cursor = detector.poll(cursor=_read(place))
                for signal in signals:
                    incident_id = ingest(wiring, signal)
                    if incident_id is not None:
                        contain_now(wiring, incident_id)
                        on_incident(incident_id)
                _keep(place, cursor)
            except KeyquellError as error:
                on_trouble(name, error)
            except Exception as error:  # noqa: BLE001 - the watch must outlive any fault; its text may hold a secret
                on_trouble(name, KeyquellError(f"unexpected {type(error).__name__}"))
        stop.wait(wiring.settings.policy.poll_seconds)


def _read(place: Path) -> str:
    return place.read_text(encoding="utf-8") if place.exists() else ""


def _keep(place: Path, cursor: str) -> None:
    if _read(place) != cursor:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_secret(f"file:{place}", cursor)
