"""Where people see a case and are called: boards that show it, pagers that ring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from playbooks.card import Card
from playbooks.incident import Incident
from playbooks.record import Event
from playbooks.roster import Person


@dataclass(frozen=True, slots=True)
class CaseView:
    """Everything a surface may show of one incident, read at one moment.

    ``events`` are all events in order; ``people`` are those who should see it (responders on duty and owners).
    ``links`` are the ids that this surface returned earlier, empty at first.
    """

    incident: Incident
    events: Sequence[Event]
    card: Card
    people: Sequence[Person]
    links: Mapping[str, str]


@runtime_checkable
class Shows(Protocol):
    """Mirrors an incident: creates what it needs, brings it up to date, and returns ids to remember.

    Calling it again with the same view changes nothing; calling it after a crash with old ``links`` doubles nothing.
    Raises Throttled, Unreachable or Refused; the caller comes back with a newer view, never sooner than
    ``interval_seconds`` after the last call for the same incident.
    """

    interval_seconds: float

    def show(self, view: CaseView) -> Mapping[str, str]: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PagerWord:
    """What somebody did in the pager: ``event_id`` deduplicates, ``user`` is the pager's user id ("" for a machine)."""

    event_id: str
    incident: str
    act: Literal["acknowledged", "resolved", "reopened", "escalated", "noted"]
    user: str


@runtime_checkable
class HearsPager(Protocol):
    """Takes the pager's webhooks; ``headers`` have lower-case names.

    Raises Refused when the signature is not the pager's, InvalidInput when the signed body is malformed.  Words about
    incidents that are not ours are left out.
    """

    def words(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[PagerWord]: ...


@runtime_checkable
class Pages(Protocol):
    """Calls people.  ``page`` with the same incident and level rings once; ``ids`` in the result are remembered.

    ``person`` None means whoever is on call by the pager's own schedule.
    """

    def page(self, view: CaseView, *, level: int, person: Person | None) -> Mapping[str, str]: ...
    def acknowledge(self, view: CaseView) -> None: ...
    def resolve(self, view: CaseView) -> None: ...
    def close(self) -> None: ...
