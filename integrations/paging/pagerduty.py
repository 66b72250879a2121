"""PagerDuty rings people, and what they do there is heard here.

One incident is one alert: its id is the deduplication key, so triggering twice rings once.  A later level rings again:
a person who is known to PagerDuty is called into the same PagerDuty incident (REST, ``api_token`` and ``from_email``);
else a further alert, ``ID#LEVEL``, rings whoever is on call.  A routing key takes about 120 events a minute.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from integrations.options import read_options
from integrations.secrets import read_secret
from integrations.vendors.pagerduty import (
    ID,
    PagerDutyAccount,
    PagerDutyClients,
    check_secrets,
    translated,
)
from integrations.vendors.pagerduty_alert import alert_key, alert_of, summary_of
from integrations.vendors.pagerduty_hooks import WebhookEvent, open_webhook
from integrations.vendors.pagerduty_incidents import PagerDutyIncidents
from playbooks.errors import BackendError, InvalidInput, Unavailable, Unreachable
from playbooks.escalation import again_of
from playbooks.ports import Clock
from playbooks.roster import Person
from playbooks.surfaces import CaseView, PagerWord

_OURS = re.compile(r"(KQ-\d{8}-[0-9a-z]{4,8})(?:#\d{1,4})?")
_ROUTING_KEY = r"[A-Za-z0-9]{32}"
_LEVEL = "level-"
_REMEMBERED = 10_000
_ACTS: Mapping[str, Literal["acknowledged", "resolved", "reopened", "escalated", "noted"]] = {
    "incident.acknowledged": "acknowledged",
    "incident.resolved": "resolved",
    "incident.reopened": "reopened",
    "incident.escalated": "escalated",
    "incident.annotated": "noted",
    "incident.responder.replied": "acknowledged",
}
_JOINED = ("joined", "accepted")
_log = logging.getLogger(__name__)

Severity = Literal["critical", "error", "warning", "info"]


class PagerDutyOptions(PagerDutyAccount):
    """Options of a pager of type ``pagerduty``.

    ``workflows`` are started on the first page.  ``link`` is the address of an incident's page; ``{id}`` is its id.
    """

    service: str = Field(default="", description="Id of our service; webhooks of others are left out.")
    workflows: tuple[str, ...] = ()
    escalation_policies: tuple[str, ...] = Field(default=(), description="Ids, to ask who is on call.")
    schedules: tuple[str, ...] = Field(default=(), description="Ids, to ask who is on call.")
    severities: Mapping[str, Severity] = {"critical": "critical", "high": "error", "medium": "warning", "low": "info"}
    link: str = Field(default="", pattern=r"^(https?://\S+)?$")

    @field_validator("service", "workflows", "escalation_policies", "schedules")
    @classmethod
    def _ids(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        given = (value,) if isinstance(value, str) and value else value
        if any(not re.fullmatch(ID, each) for each in given):
            raise ValueError("must be ids of PagerDuty (letters and digits)")
        return value


class PagerDuty:
    """Implements Pages and HearsPager for one service of a PagerDuty account."""

    def __init__(self, name: str, options: PagerDutyOptions) -> None:
        self._name = name
        self._options = options
        self._clients = PagerDutyClients(options)
        self._rest = PagerDutyIncidents(self._clients, from_email=options.from_email)
        self._known: dict[str, str] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate ``PagerDutyOptions``; nothing is sent.  Raises InvalidInput naming the pager and the field."""
        del clock  # PagerDuty stamps its own times
        place = f"pagers.{name}"
        checked = read_options(PagerDutyOptions, place, options)
        references = {"routing_key": checked.routing_key, "api_token": checked.api_token}
        references |= {f"webhook_secrets.{index}": each for index, each in enumerate(checked.webhook_secrets)}
        check_secrets(place, {field: reference for field, reference in references.items() if reference})
        return cls(name, checked)

    def __repr__(self) -> str:
        return f"PagerDuty({self._name!r})"

    def check(self) -> str:
        """Has the routing key its form, does the REST token work, is the service there, is anybody on call?

        Whether PagerDuty knows a routing key is seen only by ringing.  Raises InvalidInput for a key of another form,
        Refused, NotFound or Unreachable for what REST answers, Unavailable when the schedules name nobody.
        """
        place, options = f"pagers.{self._name}", self._options
        if not re.fullmatch(_ROUTING_KEY, read_secret(options.routing_key)):
            hint = "Copy it from the Events API v2 integration of the service."
            raise InvalidInput(f"{place}: routing_key: it is not 32 letters and digits.", hint=hint)
        if not self._clients.has_rest:
            return "rings by the Events API; without api_token nobody can be called by name"
        name = f" for {self._rest.service(options.service)}" if options.service else ""
        people = self.on_call()
        if not people:
            hint = "Fill the schedule, or name the right one."
            raise Unavailable("nobody is on call in PagerDuty now.", subject=place, hint=hint)
        return f"the REST token works{name}; {len(people)} on call now"

    def page(self, view: CaseView, *, level: int, person: Person | None) -> Mapping[str, str]:
        """Ring; the result has ``level-N``: the deduplication key of the alert, or ``user:ID`` of the person called.

        A level that stands in ``view.links`` does not ring again, and a closed incident rings nobody.  A person without
        a PagerDuty id, or without REST, cannot be called by name: whoever is on call is rung.  Raises Unreachable,
        Throttled, Refused or Unavailable; the same call can then be made again, and rings nobody twice.
        """
        mark = f"{_LEVEL}{level}"
        if mark in view.links or view.incident.closed is not None:
            return {}
        first = not any(link.startswith(_LEVEL) for link in view.links)
        key = alert_key(view.incident.id, 0 if first else level)
        user = person.pagerduty[0] if person is not None and person.pagerduty else ""
        self._trigger(view, alert_key(view.incident.id))
        if user and self._clients.has_rest:
            return {mark: f"user:{user}", **self._call(view, user, otherwise=key, again=again_of(level) > 0)}
        if person is not None:
            _log.warning("%s cannot call %s by name, so whoever is on call is rung", self._name, person.name)
        if not first:
            self._trigger(view, key)
        return {mark: key, **self._started_if_possible(view)}

    def acknowledge(self, view: CaseView) -> None:
        """Somebody has taken the case: PagerDuty stops ringing.  Once it is resolved there, PagerDuty drops this."""
        self._send_to_all("acknowledge", view)

    def resolve(self, view: CaseView) -> None:
        """The case is over: every alert of it is resolved."""
        self._send_to_all("resolve", view)

    def note(self, view: CaseView, text: str) -> None:
        """Add a note to the PagerDuty incident, marked when it is an exercise; Unavailable without REST."""
        mark = "[EXERCISE] " if view.incident.exercise else ""
        self._rest.note(self._incident(view)["id"], f"{mark}{text}")

    def on_call(self) -> dict[str, str]:
        """Who is on call now, names by PagerDuty user id, first to be called first; Unavailable without REST."""
        return self._rest.on_call(policies=self._options.escalation_policies, schedules=self._options.schedules)

    def words(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[PagerWord]:
        """What the signed webhook says about an incident of ours; nothing for other incidents and other news.

        Raises Refused and InvalidInput, and Unreachable or Throttled when the REST API must be asked whose incident it
        is and does not say (PagerDuty delivers a webhook again that was answered with 5xx).
        """
        event = open_webhook(
            headers=headers, body=body, secrets=self._options.webhook_secrets, subject=f"pagers.{self._name}"
        )
        act = _ACTS.get(event.event_type)
        if act is None or not self._of_our_service(event) or _is_a_refusal(event):
            return ()
        incident = self._ours(event)
        return (PagerWord(event_id=event.id, incident=incident, act=act, user=event.user),) if incident else ()

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    # --- ringing --------------------------------------------------------------------------------

    def _trigger(self, view: CaseView, key: str) -> None:
        severity = self._options.severities.get(view.incident.severity, "critical")
        alert = alert_of(view, severity=severity, link=self._options.link)
        with translated(f"the alert {key}"):
            self._clients.events().send_event("trigger", dedup_key=key, **alert)

    def _send_to_all(self, action: Literal["acknowledge", "resolve"], view: CaseView) -> None:
        incident = view.incident.id
        paged = sorted({page.level for page in view.incident.people.pages} - {0})
        further = [
            key for mark, key in view.links.items() if mark.startswith(_LEVEL) and key.startswith(f"{incident}#")
        ]
        keys = [alert_key(incident), *further, *(alert_key(incident, level) for level in paged)]
        for key in dict.fromkeys(keys):
            with translated(f"the alert {key}"):
                self._clients.events().send_event(action, dedup_key=key)

    def _call(self, view: CaseView, user: str, *, otherwise: str, again: bool) -> dict[str, str]:
        """Call the person, unless PagerDuty says that they were called already; returns ids to remember.

        When that fails, the alert ``otherwise`` rings whoever is on call before the error is raised; so it does
        ``again`` for a person who was called in vain, because PagerDuty calls nobody twice into one incident.
        """
        try:
            incident = self._incident(view)
            called = [each.get("user") for each in incident.get("incidents_responders") or ()]
            if not any(isinstance(each, dict) and each.get("id") == user for each in called):
                self._rest.request(incident["id"], user=user, message=summary_of(view))
            elif again:
                self._trigger(view, otherwise)
        except BackendError:
            self._trigger(view, otherwise)
            raise
        return self._started(view, incident["id"])

    def _incident(self, view: CaseView) -> Mapping[str, Any]:
        """PagerDuty's incident; it appears a moment after its first event was accepted."""
        if not self._clients.has_rest:
            hint = "Give api_token and from_email."
            raise Unavailable("the PagerDuty REST API is not configured.", subject=view.incident.id, hint=hint)
        found = self._rest.find(alert_key(view.incident.id))
        if found is None or not re.fullmatch(ID, str(found.get("id"))):
            message = f"PagerDuty has not opened its incident for {view.incident.id} yet."
            raise Unreachable(message, subject=view.incident.id, code="not-yet", hint="Try again in a moment.")
        self._remember(str(found["id"]), view.incident.id)
        return found

    def _started(self, view: CaseView, incident: str) -> dict[str, str]:
        """Start the workflows that were not started yet; a failure costs the page nothing, and is tried next time."""
        ids = {"incident": incident}
        for workflow in self._options.workflows:
            if f"workflow-{workflow}" in view.links:
                continue
            try:
                self._rest.start(incident, workflow=workflow)
                ids[f"workflow-{workflow}"] = "started"
            except BackendError as error:
                _log.warning("%s: the workflow %s was not started: %s", self._name, workflow, error)
        return ids

    def _started_if_possible(self, view: CaseView) -> dict[str, str]:
        """After a page by alert alone, which has rung: REST adds what it can."""
        if not self._clients.has_rest:
            return {}
        try:
            return self._started(view, self._incident(view)["id"])
        except BackendError as error:
            _log.warning("%s: %s", self._name, error)
            return {}

    # --- hearing --------------------------------------------------------------------------------

    def _of_our_service(self, event: WebhookEvent) -> bool:
        service = event.text("service", "id")
        return not self._options.service or not service or service == self._options.service

    def _ours(self, event: WebhookEvent) -> str:
        """Our incident's id: by the key, from memory, or asked for; "" when it is not ours."""
        within = ("incident",) if isinstance(event.data.get("incident"), dict) else ()
        theirs = event.text(*within, "id")
        if found := _OURS.fullmatch(event.text(*within, "incident_key")):
            self._remember(theirs, found[1])
            return found[1]
        if not re.fullmatch(ID, theirs):
            return ""
        with self._lock:
            known = self._known.get(theirs)
        if known is not None or not self._clients.has_rest:
            return known or ""
        keys = [found[1] for key in self._keys(theirs) if (found := _OURS.fullmatch(key))]
        self._remember(theirs, keys[0] if keys else "")
        return keys[0] if keys else ""

    def _keys(self, theirs: str) -> list[str]:
        """Ask for the incident's keys; a refused token is not a refused signature, so it is Unreachable here."""
        try:
            return self._rest.keys(theirs)
        except BackendError as error:
            if error.retryable:
                raise
            message = f"whose incident {theirs} is could not be asked: {error.message}"
            raise Unreachable(message, subject=theirs, code=error.code, hint=error.hint) from error

    def _remember(self, theirs: str, ours: str) -> None:
        with self._lock:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[theirs] = ours


def _is_a_refusal(event: WebhookEvent) -> bool:
    """A person who was called declined: nobody has taken the case by that."""
    return event.event_type == "incident.responder.replied" and event.text("state") not in _JOINED
