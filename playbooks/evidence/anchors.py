"""What is laid down off the host of a signed checkpoint, and what a place for it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from playbooks.event_bodies import CheckpointSigned
from playbooks.evidence.statement import sealed
from playbooks.incident import Incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """One checkpoint as it is laid down: ``content`` is statement and signature, public all of it.

    ``seq`` is the last event that it covers and ``head`` that event's hash.  ``links`` are the ids that the surface or
    pager behind the place keeps of the case, empty when the case is not there.
    """

    incident: str
    codename: str
    exercise: bool
    seq: int
    head: str
    content: bytes
    links: Mapping[str, str]

    @property
    def words(self) -> str:
        """One sentence for people, marked when the case is an exercise."""
        mark = "EXERCISE. " if self.exercise else ""
        return f"{mark}Checkpoint of {self.codename} ({self.incident}): events 0 to {self.seq} are signed."


@dataclass(frozen=True, slots=True)
class Anchored:
    """Where a checkpoint lies (no secret in it), and the proof that the place gave, if it gives one."""

    reference: str
    proof: bytes = b""


class Anchors(Protocol):
    """A place for checkpoints off this host; ``place`` is its kind.

    ``anchor`` converges: what lies there already is found and not laid down again, where the place can be asked.  None
    means that the case has no place there (it was not shown or paged).  Raises the errors of a backend.
    """

    place: str

    def anchor(self, checkpoint: Sealed) -> Anchored | None: ...
    def close(self) -> None: ...


def sealed_of(incident: Incident, checkpoint: CheckpointSigned, links: Mapping[str, str]) -> Sealed:
    """The checkpoint of an incident as it is laid down."""
    return Sealed(
        incident=incident.id,
        codename=incident.codename,
        exercise=incident.exercise,
        seq=checkpoint.seq,
        head=checkpoint.head,
        content=sealed(checkpoint),
        links=links,
    )
