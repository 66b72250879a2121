"""Checkpoints are signed when they are due and laid down off this host; no response waits for it.

What was laid down stands in the record, and nowhere else: a process that was killed in between lays it down again where
the place cannot be asked, and finds it where it can.  Of several checkpoints that a place lacks it gets the latest,
which covers the others.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from flows.anchor_entries import surface_of
from flows.background import Trouble, log_trouble
from flows.checkpoints import checkpoint, due, signer_of
from flows.feeds import Feed, keep_telling
from flows.settings import name_of
from flows.wiring import Wiring
from playbooks.errors import IntegrityFailure, KeyquellError, NotFound, RecordError, Refused, Unavailable
from playbooks.event_bodies import CheckpointAnchored, CheckpointSigned, body_of
from playbooks.evidence.anchors import Anchors, sealed_of
from playbooks.oversight import Oversight
from playbooks.record import Event, EventKind

_ROOM = "anchors"
_SIGNING = "checkpoints"
_OF_ONE_CASE = (RecordError, Refused, NotFound, Unavailable, IntegrityFailure)


@dataclass(frozen=True, slots=True)
class Laid:
    """How laying a checkpoint down at one place went: where it is, or why it is not there."""

    anchor: str
    reference: str = ""
    error: str = ""

    @property
    def failed(self) -> bool:
        """Is it missing there although the case has a place there?"""
        return bool(self.error)


class Anchoring:
    """The part of ``serve`` that signs and lays down."""

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; the signer and each place have a thread of their own and cost each other nothing."""
        feeds: dict[str, Callable[[], Feed]] = {_SIGNING: lambda: signing_feed(self._wiring)}
        for name, opened in self._wiring.parts(_ROOM).items():
            feeds[f"anchor {name}"] = partial(anchoring_feed, self._wiring, name, opened)
        keep_telling(self._wiring, feeds, stop, on_trouble=self._on_trouble)


def signing_feed(wiring: Wiring) -> Feed:
    """Signs each case after a milestone, once."""

    def signs(events: Sequence[Event], seq: int) -> Iterator[int]:
        del seq  # the record says what is signed
        if due(events):
            checkpoint(wiring, events[0].incident, signer=signer_of(wiring))
            yield events[-1].seq

    return Feed(wiring, _SIGNING, "signed", signs)


def anchoring_feed(wiring: Wiring, name: str, opened: Callable[[], Anchors]) -> Feed:
    """Lays the latest checkpoint of each case down at one place."""

    def lays(events: Sequence[Event], seq: int) -> Iterator[int]:
        del seq  # the record says what was laid down
        if lay_down(wiring, events[0].incident, name, opened()):
            yield events[-1].seq

    return Feed(wiring, _ROOM, name, lays, of_one_case=_OF_ONE_CASE)


def lay_everywhere(wiring: Wiring, incident_id: str) -> tuple[Laid, ...]:
    """Lay the latest checkpoint of a case down at every place of the settings; a place's error is in the result."""
    return tuple(_tried(wiring, incident_id, name, opened) for name, opened in wiring.parts(_ROOM).items())


def lay_down(wiring: Wiring, incident_id: str, name: str, anchor: Anchors) -> str:
    """Lay the latest checkpoint of a case down at one place, unless the record says that it is there.

    Returns where it is; "" when nothing is signed yet or the case has no place there.  Raises what the place raises.
    """
    incident = wiring.incident(incident_id)
    signed = incident.oversight.checkpoints[-1] if incident.oversight.checkpoints else None
    if signed is None:
        return ""
    if known := _known(incident.oversight, signed, name):
        return known
    entry = next(each for each in wiring.settings.anchors if name_of(each) == name)
    links = incident.people.links.get(surface_of(wiring.settings, entry), {})
    found = anchor.anchor(sealed_of(incident, signed, links))
    if found is None:
        return ""
    body = CheckpointAnchored(
        seq=signed.seq,
        head=signed.head,
        place=anchor.place,
        reference=found.reference,
        proof=base64.b64encode(found.proof).decode(),
        anchor=name,
    )
    kind = EventKind.CHECKPOINT_ANCHORED
    wiring.records.append_next(incident_id, kind=kind, body=body_of(kind, **body.model_dump()))
    return found.reference


def _known(oversight: Oversight, signed: CheckpointSigned, name: str) -> str:
    """Where the record says that the checkpoint is, at this place."""
    for each in oversight.anchors:
        if (each.anchor, each.head) == (name, signed.head):
            return each.reference
    return ""


def _tried(wiring: Wiring, incident_id: str, name: str, opened: Callable[[], Anchors]) -> Laid:
    try:
        return Laid(name, lay_down(wiring, incident_id, name, opened()))
    except KeyquellError as error:
        return Laid(name, error=str(error))
