"""Calls people until somebody takes the case; what to do is decided from the record, so that a kill changes nothing."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor

from flows.background import Trouble, log_trouble
from flows.boards import pause_after, remember, view_of
from flows.cases import Cases
from flows.messages import deliver
from flows.outbox import queue
from flows.wiring import Wiring
from playbooks.briefing import briefing
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.escalation import GLASS_LEVEL, Call, CallPolicy, due, owed
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.ports import Message
from playbooks.record import EventKind
from playbooks.roster import Roster
from playbooks.surfaces import Pages
from playbooks.timings import rfc3339

_WORKERS = 8
_REOPEN_SECONDS = 30.0

OUTBOX = "messengers"
"""The channel in the record of a call that went out as a message, because no pager took it."""


class Escalations:
    """One round makes the calls that are due and tells pagers what happened here.

    Pagers are tried in the order of the settings; when none takes a call, a message goes out at once.  The record gets
    an event after each try, so that a kill in between calls again and the pager recognises the level.
    """

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble
        self._cases = Cases(wiring, on_trouble)
        policy = wiring.settings.policy
        self._rule = CallPolicy(from_severity=policy.page_from, exercises=policy.page_exercises)
        self._pagers: dict[str, Pages] = {}
        self._opened_at: float | None = None
        self._working: dict[str, Future[None]] = {}
        self._resting: dict[tuple[str, str], tuple[int, float]] = {}

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``; what is under way is then waited for.  Never raises."""
        with ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="escalation") as pool:
            while not stop.is_set():
                try:
                    self._round(pool)
                except KeyquellError as error:
                    self._on_trouble("escalation", error)
                except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold a secret
                    self._on_trouble("escalation", KeyquellError(f"unexpected {type(error).__name__}"))
                stop.wait(self._wiring.settings.policy.poll_seconds)

    def _round(self, pool: ThreadPoolExecutor) -> None:
        self._open_pagers()
        self._cases.refresh()
        roster = self._roster()
        for incident_id, (incident, _) in self._cases.found.items():
            under_way = self._working.get(incident_id)
            if under_way is not None and not under_way.done():
                continue
            calls = self._due(incident, roster)
            if calls or any(owed(incident, name, self._rule) for name in self._rested(incident_id)):
                self._working[incident_id] = pool.submit(self._work, incident_id)

    def _due(self, incident: Incident, roster: Roster | None) -> list[Call]:
        calls = due(incident, roster=roster, policy=self._rule, now=self._wiring.clock())
        settings = self._wiring.settings
        return [call for call in calls if settings.pagers or (call.person is not None and settings.messengers)]

    def _work(self, incident_id: str) -> None:
        """Everything that one incident needs now, decided afresh: the cache may be older than what we wrote."""
        try:
            for call in self._due(self._wiring.incident(incident_id), self._roster()):
                self._call(incident_id, call)
            for name in self._rested(incident_id):
                self._tell(incident_id, name, self._pagers[name])
        except KeyquellError as error:
            self._on_trouble(incident_id, error)
        except Exception as error:  # noqa: BLE001 - reported by its type
            self._on_trouble(incident_id, KeyquellError(f"unexpected {type(error).__name__}"))

    def _call(self, incident_id: str, call: Call) -> None:
        for name, pager in self._pagers.items():
            error = self._page(incident_id, name, pager, call)
            self._note(incident_id, call, name, error)
            if not error:
                return
        self._write_instead(incident_id, call)

    def _page(self, incident_id: str, name: str, pager: Pages, call: Call) -> str:
        """Ring; "" or why it did not."""
        events = self._wiring.records.events(incident_id)
        incident = Incident.of(events)
        links = incident.people.links.get(name, {})
        try:
            ids = pager.page(view_of(self._wiring, incident, events, name), level=call.level, person=call.person)
        except KeyquellError as error:
            self._on_trouble(name, error)
            return error.message
        except Exception as error:  # noqa: BLE001 - recorded by its type
            self._on_trouble(name, KeyquellError(f"unexpected {type(error).__name__}"))
            return type(error).__name__
        if news := {key: value for key, value in ids.items() if links.get(key) != value}:
            remember(self._wiring, incident_id, name, news)
        return ""

    def _write_instead(self, incident_id: str, call: Call) -> None:
        """No pager took the call, or there is none: every messenger gets it, fall-backs included."""
        if not self._wiring.settings.messengers:
            return
        incident = self._wiring.incident(incident_id)
        message = _message(incident, call)
        queue(self._wiring.records, incident_id, message)
        deliver(self._wiring, incident_id)
        if not self._pagers:
            taken = self._wiring.incident(incident_id).messages[message.id].delivered
            self._note(incident_id, call, OUTBOX, "" if taken else "no messenger has taken it yet")

    def _tell(self, incident_id: str, name: str, pager: Pages) -> None:
        """Acknowledge or resolve there what was acknowledged or closed here; the record says that it was done."""
        events = self._wiring.records.events(incident_id)
        incident = Incident.of(events)
        what = owed(incident, name, self._rule)
        if not what:
            return
        view = view_of(self._wiring, incident, events, name)
        try:
            (pager.acknowledge if what == "acknowledge" else pager.resolve)(view)
        except Exception as error:  # noqa: BLE001 - a pager that breaks rests, the others go on
            known = error if isinstance(error, KeyquellError) else KeyquellError(f"unexpected {type(error).__name__}")
            failures = self._resting.get((incident_id, name), (0, 0.0))[0] + 1
            self._resting[incident_id, name] = (failures, time.monotonic() + pause_after(known, failures))
            self._on_trouble(name, known)
            return
        self._resting.pop((incident_id, name), None)
        done = "acknowledged" if what == "acknowledge" else "resolved"
        remember(self._wiring, incident_id, name, {done: rfc3339(self._wiring.clock())})

    def _rested(self, incident_id: str) -> list[str]:
        """Pagers that need not be left alone for this incident."""
        now = time.monotonic()
        return [name for name in self._pagers if self._resting.get((incident_id, name), (0, 0.0))[1] <= now]

    def _note(self, incident_id: str, call: Call, channel: str, error: str) -> None:
        fields = {"level": call.level, "person": call.name, "channel": channel, "error": error, "again": call.again}
        body = body_of(EventKind.ESCALATED, **fields)
        self._wiring.records.append_next(incident_id, kind=EventKind.ESCALATED, body=body)

    def _open_pagers(self) -> None:
        """Open them once; settings that do not open are reported and tried again, while messages go out instead."""
        if self._opened_at is not None and (self._pagers or time.monotonic() < self._opened_at + _REOPEN_SECONDS):
            return
        self._opened_at = time.monotonic()
        try:
            self._pagers.update(self._wiring.pagers())
        except KeyquellError as error:
            self._on_trouble("pagers", error)

    def _roster(self) -> Roster | None:
        """The roster; a broken one escalates to nobody by name, and whoever is on call is still rung."""
        try:
            return self._wiring.roster
        except InvalidInput as error:
            self._on_trouble("roster", error)
            return None


def _message(incident: Incident, call: Call) -> Message:
    told = briefing(incident)
    whom = call.person.called if call.person else "whoever is on call"
    return Message(
        id=f"{incident.id}-call-{call.level}".lower(),
        audience=call.name,
        subject=f"{told['exercise']}{incident.codename}: call for {whom}",
        body=f"{told['summary']}\n\n{_why(incident, call)}",
        exercise=incident.exercise,
    )


def _why(incident: Incident, call: Call) -> str:
    if call.level >= GLASS_LEVEL:
        return f"{incident.people.glass[-1].by} broke the glass. You keep it: look whether that was justified."
    again = f"All were called {call.again} time{'s' if call.again > 1 else ''} in vain. " if call.again else ""
    return f"Nobody has taken this case. {again}Acknowledge it, so that nobody else is called."
