"""Traces of responses, to the receiver of the settings; it drops what it gets twice by trace and span id.

Without ``traces`` in the settings nothing of OpenTelemetry is imported.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from flows.background import Trouble, log_trouble
from flows.feeds import Feed, keep_telling
from flows.wiring import Wiring
from playbooks.errors import Refused
from playbooks.record import Event
from playbooks.spans import TakesSpans
from playbooks.traces import spans_after

_TROUBLE = "traces"
_AT_ONCE = 200
"""Spans of one request: receivers take a few MiB, and a span has a few KiB at most."""


class Traces:
    """The receiver of traces, if there is one."""

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; a receiver that fails is tried again."""
        feeds = {_TROUBLE: self._open} if self._wiring.settings.traces else {}
        keep_telling(self._wiring, feeds, stop, on_trouble=self._on_trouble)

    def _open(self) -> Feed:
        [opened] = self._wiring.parts("traces").values()
        return traces_feed(self._wiring, opened(), on_trouble=self._on_trouble)


def traces_feed(wiring: Wiring, receiver: TakesSpans, *, on_trouble: Trouble = log_trouble) -> Feed:
    """The feed of a receiver.  Its place is that of its address: another receiver is told of open cases anew.

    What a receiver says that it will never take is said once and not sent again; the record has it.
    """
    page = wiring.settings.web.url

    def tells(events: Sequence[Event], seq: int) -> Iterator[int]:
        spans = spans_after(events, seq, page=page)
        for number in range(0, len(spans), _AT_ONCE):
            sent, behind = spans[number : number + _AT_ONCE], spans[number + _AT_ONCE :]
            if lost := receiver.send(sent):
                on_trouble(_TROUBLE, Refused(f"the receiver will not take {lost} of {len(sent)} spans; they are left."))
            yield behind[0].seq - 1 if behind else sent[-1].seq

    return Feed(wiring, "traces", str(wiring.settings.traces.get("endpoint", "")), tells)
