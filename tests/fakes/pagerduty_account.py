"""A PagerDuty account in memory: alerts, incidents, who was rung, and the rules by which events change them.

It refuses what the real one refuses.  Nothing here speaks HTTP; ``pagerduty_server`` does.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SEVERITIES = ("critical", "error", "warning", "info")


class Refusal(Exception):
    """An answer other than success: HTTP status and body."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


@dataclass
class User:
    """A user of the account; ``level`` is their place in the escalation policy, 0 for none."""

    id: str
    name: str
    email: str
    level: int = 0


@dataclass
class Alert:
    """One alert; ``events`` are the trigger events that it took in."""

    id: str
    key: str
    severity: str
    events: list[dict[str, Any]]
    status: str = "triggered"


@dataclass
class Incident:
    """One incident with its alert; ``reads_until_seen`` hides it, as the real one appears with a delay."""

    id: str
    number: int
    title: str
    service: str
    alert: Alert
    created_at: str
    status: str = "triggered"
    notes: list[dict[str, Any]] = field(default_factory=list)
    responders: list[dict[str, Any]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    workflows: list[str] = field(default_factory=list)
    reads_until_seen: int = 0


class Account:
    """The account: service ``PSERVIC`` behind ``routing_key``, and others that tests add.

    ``keys_on_incidents``: incidents from alerts usually have no key of their own, only their alerts do.
    ``rings`` holds (incident id, user id) for every notification.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.routing_keys = {"R" + "0" * 31: "PSERVIC"}
        self.token = "u+" + "t" * 18
        self.users = [
            User("PASHA01", "Asha Rao", "asha@example.com", level=1),
            User("PBENN02", "Ben Nowak", "ben@example.com", level=2),
            User("PCARL03", "Carla Diaz", "carla@example.com"),
        ]
        self.services = {"PSERVIC": "Keyquell"}
        self.policy = "PPOLICY"
        self.schedule = "PSCHEDU"
        self.workflows = {"PWORKF1"}
        self.keys_on_incidents = False
        self.appears_after_reads = 0
        self.incidents: list[Incident] = []
        self.rings: list[tuple[str, str]] = []
        self.events: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)

    # --- Events API v2 --------------------------------------------------------------------------

    def enqueue(self, event: Any) -> dict[str, Any]:
        """Take an event, or raise Refusal with the errors that PagerDuty would name."""
        if errors := _mistakes(event, self.routing_keys):
            body = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
            raise Refusal(400, body)
        with self.lock:
            self.events.append(event)
            key = str(event.get("dedup_key") or f"generated{next(self._numbers)}")
            open_one = self.open(key)
            if event["event_action"] == "trigger" and open_one is not None:
                open_one.alert.events.append(event)
            elif event["event_action"] == "trigger":
                self._new(self.routing_keys[event["routing_key"]], key, event)
            elif open_one is not None:
                self.change(open_one, {"acknowledge": "acknowledged", "resolve": "resolved"}[event["event_action"]])
            return {"status": "success", "message": "Event processed", "dedup_key": key}

    def open(self, key: str) -> Incident | None:
        """The open incident whose alert has this key."""
        return next((each for each in self.incidents if each.alert.key == key and each.status != "resolved"), None)

    def change(self, incident: Incident, status: str) -> None:
        """Set the status of the incident and its alert, as a click or an event does."""
        with self.lock:
            incident.status = status
            incident.alert.status = "resolved" if status == "resolved" else "triggered"

    def _new(self, service: str, key: str, event: dict[str, Any]) -> None:
        number = next(self._numbers)
        alert = Alert(f"PALERT{number}", key, event["payload"]["severity"], [event])
        title = event["payload"]["summary"]
        at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        incident = Incident(f"Q1INC{number:04}", number, title, service, alert, at)
        incident.reads_until_seen = self.appears_after_reads
        self.incidents.append(incident)
        self.rings += [(incident.id, user.id) for user in self.users if user.level == 1]

    # --- what REST changes ----------------------------------------------------------------------

    def incident(self, incident_id: str) -> Incident:
        """By id; Refusal 404 when there is none."""
        for each in self.incidents:
            if each.id == incident_id:
                return each
        raise not_found()

    def search(self, key: str) -> list[Incident]:
        """Incidents whose alert has this key, those that have appeared."""
        with self.lock:
            found = [each for each in self.incidents if not key or each.alert.key == key]
            seen = [each for each in found if each.reads_until_seen <= 0]
            for each in found:
                each.reads_until_seen -= 1
            return seen

    def request(self, incident: Incident, user_id: str) -> None:
        """Call one more person."""
        user = next((each for each in self.users if each.id == user_id), None)
        if user is None:
            raise invalid("Responder request targets are invalid")
        with self.lock:
            incident.responders.append({"state": "pending", "user": reference("user", user.id, user.name)})
            self.rings.append((incident.id, user.id))


def _mistakes(event: Any, routing_keys: dict[str, str]) -> list[str]:
    if not isinstance(event, dict):
        return ["Event must be an object"]
    errors = []
    if event.get("routing_key") not in routing_keys:
        errors.append("Invalid routing key")
    if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
        errors.append("'event_action' must be one of: trigger, acknowledge, resolve")
    key = event.get("dedup_key", "")
    if not isinstance(key, str) or len(key) > 255:
        errors.append("Length of 'dedup_key' is longer than the maximum of 255")
    if event.get("event_action") != "trigger":
        return errors if key else [*errors, "'dedup_key' is missing or blank"]
    payload = event.get("payload")
    if not isinstance(payload, dict):
        return [*errors, "'payload' is missing or blank"]
    errors += [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not payload.get(name)]
    if payload.get("severity") not in SEVERITIES:
        errors.append("'payload.severity' is invalid (must be one of: critical, error, warning, info)")
    if len(str(payload.get("summary", ""))) > 1024:
        errors.append("Length of 'payload.summary' is longer than the maximum of 1024")
    errors += ["'links' must have an href" for link in event.get("links") or () if not link.get("href")]
    return errors


def reference(kind: str, identity: str, summary: str = "") -> dict[str, Any]:
    """A reference as PagerDuty writes it."""
    address = f"https://api.pagerduty.example/{kind}s/{identity}"
    return {"id": identity, "type": f"{kind}_reference", "summary": summary, "self": address, "html_url": address}


def not_found() -> Refusal:
    """404 as the REST API answers it."""
    return Refusal(404, {"error": {"message": "Not Found", "code": 2100}})


def invalid(*errors: str) -> Refusal:
    """400 as the REST API answers it."""
    return Refusal(400, {"error": {"message": "Invalid Input Provided", "code": 2001, "errors": list(errors)}})
