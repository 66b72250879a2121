"""Reminders of deadlines, at 50, 80 and 100 % of the time: written into the record first, and told through the outbox.

What is owed is decided from the record, so that a restart tells nothing twice; after a pause only the latest percent is
told.
"""

from __future__ import annotations

import threading

from flows.background import Trouble, log_trouble
from flows.deadlines import Book, book
from flows.docket import docket
from flows.messages import deliver
from flows.outbox import queue
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from playbooks.briefing import briefing
from playbooks.deadlines.reminding import Reminder, owed
from playbooks.deadlines.words import NOT_ADVICE
from playbooks.errors import Conflict, KeyquellError
from playbooks.event_bodies import DeadlineReminded, body_of, read_body
from playbooks.incident import Incident
from playbooks.ports import Message
from playbooks.record import EventKind
from playbooks.timings import rfc3339

_PAUSE_SECONDS = 20.0


class Reminders:
    """One round tells of every deadline that has passed a mark; closed cases are no exception."""

    def __init__(self, wiring: Wiring, *, on_trouble: Trouble = log_trouble) -> None:
        self._wiring = wiring
        self._on_trouble = on_trouble

    def run(self, stop: threading.Event) -> None:
        """Go on until ``stop``.  Never raises."""
        while not stop.is_set():
            self.round()
            stop.wait(_PAUSE_SECONDS)

    def round(self) -> int:
        """Tell what is owed now; how many reminders that were.  What breaks in one case costs the others nothing."""
        after_the_urgent()
        after_the_proofs()
        count = 0
        try:
            rules, marked = book(self._wiring), docket(self._wiring).look()
        except KeyquellError as error:
            self._on_trouble("deadlines", error)
            return 0
        now = self._wiring.clock()
        for incident_id, marks in sorted(marked.items()):
            try:
                if rules.any_open(marks.oversight, now) and owed(rules.standings(marks.oversight, now), marks.reminded):
                    count += self._remind(incident_id, rules)
            except KeyquellError as error:
                self._on_trouble(incident_id, error)
            except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold a secret
                self._on_trouble(incident_id, KeyquellError(f"unexpected {type(error).__name__}"))
        return count

    def _remind(self, incident_id: str, rules: Book) -> int:
        """The message is queued before the event that says so: a kill in between queues the same id again, once."""
        count = 0
        while True:
            incident = self._wiring.incident(incident_id)
            reminders = self._owed(incident, rules)
            if not reminders:
                break
            message = _message(incident, reminders[0])
            if message.id not in incident.messages:
                queue(self._wiring.records, incident_id, message)
                continue  # the record has grown, perhaps by more than that
            count += self._noted(incident, reminders[0])
        if count:
            deliver(self._wiring, incident_id)
        return count

    def _noted(self, incident: Incident, reminder: Reminder) -> bool:
        """Write that people were told; False when another process wrote first."""
        rule, due = reminder.deadline.rule.id, reminder.deadline.due_at
        body = body_of(EventKind.DEADLINE_REMINDED, rule=rule, percent=reminder.percent, due_at=due)
        try:
            self._wiring.records.append(
                incident.id, kind=EventKind.DEADLINE_REMINDED, body=body, expected_head=incident.head
            )
        except Conflict:
            return False
        return True

    def _owed(self, incident: Incident, rules: Book) -> list[Reminder]:
        events = self._wiring.records.of_kind(EventKind.DEADLINE_REMINDED, incident=incident.id)
        told = [body for body in map(read_body, events) if isinstance(body, DeadlineReminded)]
        return owed(rules.standings(incident.oversight, self._wiring.clock()), told)


def _message(incident: Incident, reminder: Reminder) -> Message:
    """Names the rule, the recipient and the time, and no key; the id is the same for the same reminder."""
    deadline, rule = reminder.deadline, reminder.deadline.rule
    assert deadline.due_at is not None  # noqa: S101 - what has no end is never owed a reminder
    due = rfc3339(deadline.due_at)[:16].replace("T", " ") + " UTC"
    mark = briefing(incident)["exercise"]
    over = "its time is over" if reminder.percent == 100 else f"{reminder.percent} % of its time is used"
    return Message(
        id=f"{incident.id}-deadline-{rule.id}-{deadline.due_at:%Y%m%dT%H%M%S}-{reminder.percent}".lower(),
        audience="responders",
        subject=f"{mark}{incident.codename}: {rule.title}: {over}",
        body=(
            f"{rule.title} ({rule.regime}), to {rule.recipient}: due {due}, and {over}.\n\n"
            f"Record the filing with `keyquell deadline file {incident.id} {rule.id}`, or the decision that it is not "
            f"due with `keyquell deadline not-due {incident.id} {rule.id}`.\n\n"
            f"{rule.source.name} {rule.source.section}, read {rule.read_on}. {NOT_ADVICE}"
        ),
        exercise=incident.exercise,
    )
