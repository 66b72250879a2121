"""Keeps every surface (the chat's channel, say) and the outbox up to date with the record; nothing waits for them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from flows.background import Trouble, log_trouble
from flows.cases import Cases
from flows.messages import deliver
from flows.outbox import pending
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from playbooks.card_of import card_of
from playbooks.errors import InvalidInput, KeyquellError, Throttled
from playbooks.escalation import concerned
from playbooks.estate import Estate
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.record import Event, EventKind
from playbooks.surfaces import CaseView, Shows

_WORKERS = 4
_LONGEST_PAUSE_SECONDS = 60.0
_LONGEST_OUTBOX_PAUSE_SECONDS = 600.0
_REOPEN_SECONDS = 30.0
_REFRESH_SECONDS = 60.0
"""An open case is shown again after so long even when its record did not grow: roles expire and deadlines pass."""
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*s(?:econds?)?\b")
_BOOKKEEPING = frozenset({EventKind.LINKED, EventKind.MESSAGE_DELIVERED, EventKind.MESSAGE_FAILED})

_OUTBOX = ""
"""Stands for the outbox where boards have names."""


@dataclass(slots=True)
class _Post:
    """One incident on one surface: what it has seen, and when it may be called again (monotonic seconds)."""

    shown: int = -1
    shown_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    work: Future[int] | None = field(default=None, repr=False)


class Boards:
    """One round looks at the heads of all records, and calls only surfaces that lack something.

    A surface is called for one incident once at a time, never sooner than its ``interval_seconds``; what comes
    meanwhile is shown together.  One that fails waits as long as it asked, else longer each time; the others go on.
    """

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble
        self._cases = Cases(wiring, on_trouble)
        self._posts: dict[tuple[str, str], _Post] = {}
        self._surfaces: dict[str, Shows] = {}
        self._opened_at: float | None = None
        self._pools: dict[str, ThreadPoolExecutor] = {}

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; what is under way is then waited for.  Never raises."""
        try:
            while not stop.is_set():
                self._guarded("boards", self._round)
                stop.wait(self._wiring.settings.policy.poll_seconds)
        finally:
            for pool in self._pools.values():
                pool.shutdown(wait=True, cancel_futures=True)

    def _round(self) -> None:
        self._open_surfaces()
        self._cases.refresh()
        for incident_id, (incident, events) in self._cases.found.items():
            for name, surface in self._surfaces.items():
                self._maybe_show(name, surface, incident, events)
            self._maybe_deliver(incident_id, incident)
        for place in [each for each in self._posts if each[1] not in self._cases.found]:
            del self._posts[place]

    def _open_surfaces(self) -> None:
        """Open them once; settings that do not open are reported and tried again, while messages go out."""
        if self._opened_at is not None and (self._surfaces or time.monotonic() < self._opened_at + _REOPEN_SECONDS):
            return
        self._opened_at = time.monotonic()
        self._guarded("boards", lambda: self._surfaces.update(self._wiring.surfaces()))

    def _maybe_show(self, name: str, surface: Shows, incident: Incident, events: list[Event]) -> None:
        post = self._posts.setdefault((name, incident.id), _Post())
        if not self._free(post):
            return
        stale = incident.closed is None and time.monotonic() >= post.shown_at + _REFRESH_SECONDS
        news = any(event.kind not in _BOOKKEEPING for event in events[post.shown + 1 :])
        if incident.closed is not None and post.shown < 0 and name not in incident.people.links:
            news = False  # closed before this process, and never shown: nobody looks for it here
        if news or (stale and post.shown >= 0):
            post.work = self._pool(name).submit(self._show_in_turn, post, name, surface, incident.id)

    def _show_in_turn(self, post: _Post, name: str, surface: Shows, incident_id: str) -> int:
        """The surface rests after a showing, not from its start: one that waited long must not be followed at once."""
        try:
            return self._show(name, surface, incident_id)
        finally:
            post.not_before = time.monotonic() + surface.interval_seconds

    def _show(self, name: str, surface: Shows, incident_id: str) -> int:
        """Show the case as it is now, once containment had its turn; the number of the last event that was shown."""
        after_the_urgent()
        after_the_proofs()
        incident = self._wiring.incident(incident_id)
        events = self._wiring.records.events(incident_id)[: incident.events]
        links = incident.people.links.get(name, {})
        found = surface.show(view_of(self._wiring, incident, events, name))
        if news := {key: value for key, value in found.items() if links.get(key) != value}:
            remember(self._wiring, incident_id, name, news)
        return events[-1].seq

    def _maybe_deliver(self, incident_id: str, incident: Incident) -> None:
        post = self._posts.setdefault((_OUTBOX, incident_id), _Post())
        configured = [str(each.get("name", each.get("type"))) for each in self._wiring.settings.messengers]
        if not configured or not self._free(post):
            return
        waiting = pending(incident, configured, self._wiring.fallbacks())
        if not waiting:
            return
        tries = min((max(each.failures.values(), default=0) for each in waiting), default=0)
        pause = min(2.0**tries, _LONGEST_OUTBOX_PAUSE_SECONDS) if tries else self._wiring.settings.policy.poll_seconds
        post.not_before = time.monotonic() + pause
        post.work = self._pool(_OUTBOX).submit(self._deliver, incident_id)

    def _deliver(self, incident_id: str) -> int:
        deliver(self._wiring, incident_id)
        return 0

    def _free(self, post: _Post) -> bool:
        """Settle the work that has ended; may the next call be made?"""
        if post.work is not None:
            if not post.work.done():
                return False
            work, post.work = post.work, None
            self._settle(post, work)
        return time.monotonic() >= post.not_before

    def _settle(self, post: _Post, work: Future[int]) -> None:
        name = next(
            (f"{place[0] or 'outbox'} of {place[1]}" for place, each in self._posts.items() if each is post), ""
        )
        error = work.exception()
        if error is None:
            post.shown, post.shown_at, post.failures = work.result(), time.monotonic(), 0
            return
        post.failures += 1
        known = error if isinstance(error, KeyquellError) else KeyquellError(f"unexpected {type(error).__name__}")
        post.not_before = max(post.not_before, time.monotonic() + pause_after(known, post.failures))
        self._on_trouble(name, known)

    def _pool(self, name: str) -> ThreadPoolExecutor:
        """A few threads for each surface, so that one that hangs leaves the others theirs."""
        if name not in self._pools:
            self._pools[name] = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix=f"board-{name or 'outbox'}")
        return self._pools[name]

    def _guarded(self, name: str, work: Callable[[], object]) -> None:
        try:
            work()
        except KeyquellError as error:
            self._on_trouble(name, error)
        except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold a secret
            self._on_trouble(name, KeyquellError(f"unexpected {type(error).__name__}"))


def view_of(wiring: Wiring, incident: Incident, events: list[Event], surface: str) -> CaseView:
    """What a surface may show of the incident now; a broken estate or roster is said so, and hides nothing else."""
    now, estate, authority = wiring.clock(), _estate(wiring), wiring.authority()
    return CaseView(
        incident=incident,
        events=events,
        card=card_of(incident, estate=estate, authority=authority, now=now),
        people=concerned(incident, estate=estate or Estate(), roster=authority.roster, now=now),
        links=incident.people.links.get(surface, {}),
    )


def _estate(wiring: Wiring) -> Estate | None:
    try:
        return wiring.estate
    except InvalidInput:
        return None


def remember(wiring: Wiring, incident_id: str, surface: str, ids: dict[str, str]) -> None:
    """Write where a surface shows the incident."""
    body = body_of(EventKind.LINKED, surface=surface, ids=ids)
    wiring.records.append_next(incident_id, kind=EventKind.LINKED, body=body)


def pause_after(error: KeyquellError, failures: int) -> float:
    """Seconds to wait: what the error asks for, at most a minute; else twice as long with each failure."""
    asked = _SECONDS.search(f"{error.message} {error.hint}") if isinstance(error, Throttled) else None
    seconds = float(asked.group(1)) if asked else 2.0 ** min(failures - 1, 6)
    return min(seconds, _LONGEST_PAUSE_SECONDS)
