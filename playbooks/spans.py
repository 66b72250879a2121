"""What a span of a trace is, and the ids that the record gives it; pure.

Source: the OpenTelemetry specification 1.x, Trace API ("Span", "SpanContext"), and its semantic conventions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from playbooks.record import Event

Value = str | bool | int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened within a span, at an aware time."""

    name: str
    at: datetime
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Something that took from ``begun`` to ``ended`` (aware).

    ``trace_id`` has 128 bits, ``span_id`` and ``parent_id`` have 64; ``parent_id`` is 0 for the root.  ``error`` is the
    kind of the failure, "" when there was none.  ``seq`` is the number of the event that ended it.
    """

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    begun: datetime
    ended: datetime
    attributes: Mapping[str, Value]
    seq: int
    moments: tuple[Moment, ...] = ()
    error: str = ""
    exercise: bool


class TakesSpans(Protocol):
    """A place outside to which traces go."""

    def send(self, spans: Sequence[Span]) -> int:
        """Hand spans over; what this returns from has arrived, but for so many that the other side will never take.

        Raises BackendError when they did not arrive.
        """

    def close(self) -> None:
        """Give back what is held."""


def trace_id_of(opening: Event) -> int:
    """The trace of the incident that this event opened: the same for ever, on whichever host it is computed."""
    return _number(f"keyquell trace {opening.incident} {opening.hash}", octets=16)


def span_id_of(trace_id: int, kind: str, seq: int) -> int:
    """The id of the span of this kind that event number ``seq`` named."""
    return _number(f"keyquell span {trace_id:032x} {kind} {seq}", octets=8)


def _number(text: str, *, octets: int) -> int:
    """So many octets of SHA-256; never 0, which is no id."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:octets]) or 1
