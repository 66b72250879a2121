"""After the drill: every object is read by the independent reader and compared with what it must hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from simulations.journals import WorkloadRequest
from simulations.seed import plaintext


@dataclass(slots=True)
class History:
    """The versions of one object that may be found: the last confirmed one, and any that was tried after it."""

    confirmed: int = 0
    tried: set[int] = field(default_factory=set)

    def allows(self, version: int) -> bool:
        """May the object hold this version?"""
        return version == self.confirmed or version in self.tried


def histories(requests: Iterable[WorkloadRequest]) -> Mapping[tuple[str, str], History]:
    """What each (dataset, object) may hold, from the service's own journal; untouched objects hold version 0."""
    found: dict[tuple[str, str], History] = defaultdict(History)
    for request in requests:
        if request.operation != "write":
            continue
        history = found[(request.dataset, request.object)]
        if request.ok:
            history.confirmed = request.plaintext_version
            history.tried.clear()
        else:
            history.tried.add(request.plaintext_version)
    return found


def holds(seed: int, dataset: str, object_id: str, content: bytes, history: History) -> bool:
    """Is this byte for byte a version that the object may hold?"""
    versions: Sequence[int] = (history.confirmed, *sorted(history.tried))
    return any(content == plaintext(seed, dataset, object_id, version) for version in versions)
