"""Key health from the estate on disk and from what the record knows of each key."""

from __future__ import annotations

from flows.wiring import Wiring
from playbooks.event_bodies import FactsRead, read_body
from playbooks.key_health import KeyHealth, health_of
from playbooks.keys import KeyFacts
from playbooks.record import EventKind
from playbooks.summary import Summary


def key_health(wiring: Wiring, cases: list[Summary]) -> list[KeyHealth]:
    """Every key of the estate, the most urgent first.  Raises InvalidInput when the estate cannot be read."""
    drilled = {target for case in cases if case.exercise for target in case.targets}
    return health_of(wiring.estate, _last_read(wiring), drilled)


def _last_read(wiring: Wiring) -> dict[str, KeyFacts]:
    """The latest facts of every key that any case has read; backends are not asked."""
    read: dict[str, KeyFacts] = {}
    for event in wiring.records.of_kind(EventKind.FACTS_READ):
        body = read_body(event)
        if isinstance(body, FactsRead):
            read |= body.facts
    return read
