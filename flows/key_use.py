"""What is known of the use of keys: the detectors' last readings, and their findings in the record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flows.wiring import Wiring
from integrations.detectors.key_usage import KeyUsageOptions, readings
from playbooks.errors import InvalidInput
from playbooks.event_bodies import DetectorSilent, SignalReceived, SignalUnmatched, read_body
from playbooks.exposures import Signal
from playbooks.key_use import Anomaly, KeyUse, key_use, urgency
from playbooks.record import INSTALLATION, Event, EventKind
from playbooks.summary import Summary

LOOKED_BACK = timedelta(days=90)
"""How far back findings are looked for."""
_TYPE = "key-usage"
_LEAST_HOURS = float(KeyUsageOptions.model_fields["min_history_hours"].default)


@dataclass(frozen=True, slots=True)
class KeyUses:
    """``keys`` are those that the ``detectors`` watch; ``unread`` says of each reading that failed why.

    ``anomalies`` are what detectors found within ``LOOKED_BACK``, the most urgent first.
    """

    detectors: tuple[str, ...]
    keys: tuple[KeyUse, ...]
    unread: tuple[str, ...]
    anomalies: tuple[Anomaly, ...]


def key_uses(wiring: Wiring, cases: Iterable[Summary]) -> KeyUses:
    """Read from the state folder and the record; no backend is asked."""
    watching = {str(each.get("name", _TYPE)): each for each in wiring.settings.detectors if each.get("type") == _TYPE}
    keys: list[KeyUse] = []
    unread: list[str] = []
    for name, entry in watching.items():
        try:
            keys += _read(wiring, name, entry)
        except InvalidInput as error:
            unread.append(f"{name}: {error.message}")
    unread += [f"{name} is silent: {reason}" for name, reason in _silent(wiring).items() if name in watching]
    anomalies = sorted(_anomalies(wiring, frozenset(watching), {each.id: each for each in cases}), key=urgency)
    ordered = sorted(keys, key=lambda each: (not each.unusual, each.read_at is not None, -each.uses, each.key))
    return KeyUses(tuple(watching), tuple(ordered), tuple(unread), tuple(anomalies))


def _read(wiring: Wiring, name: str, entry: Mapping[str, Any]) -> list[KeyUse]:
    place = wiring.settings.state / "cursors" / name
    try:
        known = readings(place.read_text(encoding="utf-8") if place.exists() else "")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("what the detector kept of its readings cannot be read.") from error
    least = timedelta(hours=float(entry.get("min_history_hours", _LEAST_HOURS)))
    found = []
    for key in map(str, entry.get("keys", ())):
        reading = known.get(key)
        if reading is None:
            found.append(KeyUse(key, name))
        else:
            found.append(key_use(key, name, reading.baseline, reading.read_at, least=least))
    return found


def _silent(wiring: Wiring) -> dict[str, str]:
    """The detectors that are silent now, with the reason, by the latest event of each."""
    events = [
        *wiring.records.of_kind(EventKind.DETECTOR_SILENT, incident=INSTALLATION),
        *wiring.records.of_kind(EventKind.DETECTOR_HEARD, incident=INSTALLATION),
    ]
    latest = {str(each.body["detector"]): each for each in sorted(events, key=lambda each: each.seq)}
    said = {name: read_body(each) for name, each in latest.items()}
    return {name: body.reason for name, body in said.items() if isinstance(body, DetectorSilent)}


def _anomalies(wiring: Wiring, watching: frozenset[str], cases: Mapping[str, Summary]) -> Iterable[Anomaly]:
    """Findings about use, and whatever was found in a case after it had been contained."""
    since = wiring.clock() - LOOKED_BACK
    for event in wiring.records.of_kind(EventKind.SIGNAL_RECEIVED, since=since):
        case, signal = cases.get(event.incident), _signal(event)
        if case is None or signal is None:
            continue
        at = _began(signal, event)
        after = case.contained_at is not None and at > case.contained_at
        if after or signal.source in watching:
            yield Anomaly(at, signal, case.id, case.codename, case.exercise, case.open, after)
    for event in wiring.records.of_kind(EventKind.SIGNAL_UNMATCHED, incident=INSTALLATION, since=since):
        signal = _signal(event)
        if signal is not None and signal.source in watching:
            yield Anomaly(_began(signal, event), signal)


def _signal(event: Event) -> Signal | None:
    body = read_body(event)
    return body.signal if isinstance(body, SignalReceived | SignalUnmatched) else None


def _began(signal: Signal, event: Event) -> datetime:
    """A detector's clock may run ahead, so that nothing began after it was written down."""
    at = signal.first_seen or signal.observed_at
    return min(at if at.tzinfo else at.replace(tzinfo=UTC), event.at)
