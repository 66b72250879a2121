"""Findings to the receivers of the settings; a receiver drops what it gets twice by the finding's ``metadata.uid``."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version

from flows.background import Trouble, log_trouble
from flows.feeds import Feed, keep_telling
from flows.wiring import Wiring
from playbooks.ocsf import TakesFindings, findings_after
from playbooks.record import Event


class Feeds:
    """All receivers of findings."""

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; a receiver that fails is tried again and costs the others nothing."""
        feeds = {
            f"siem {name}": partial(self._open, name, opened) for name, opened in self._wiring.parts("siem").items()
        }
        keep_telling(self._wiring, feeds, stop, on_trouble=self._on_trouble)

    def _open(self, name: str, opened: Callable[[], TakesFindings]) -> Feed:
        return findings_feed(self._wiring, name, opened())


def findings_feed(wiring: Wiring, name: str, receiver: TakesFindings) -> Feed:
    """The feed of one receiver, one finding at a time."""
    product_version, page = version("keyquell"), wiring.settings.web.url

    def tells(events: Sequence[Event], seq: int) -> Iterator[int]:
        for each in findings_after(events, seq, product_version=product_version, page=page):
            receiver.send(each)
            metadata = each["metadata"]
            assert isinstance(metadata, dict)  # noqa: S101 - for the type checker
            yield int(str(metadata["sequence"]))

    return Feed(wiring, "siem", name, tells)
