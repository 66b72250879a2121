"""Incidents as OCSF incident findings (class 2005): create, update, close; pure, from the record alone.

Source: the Open Cybersecurity Schema Framework 1.3.0, class ``incident_finding``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import JsonValue

from playbooks.incident import Incident
from playbooks.record import Event, EventKind

VERSION = "1.3.0"
CATEGORY, CLASS = 2, 2005
CREATE, UPDATE, CLOSE = 1, 2, 3
NEW, IN_PROGRESS, RESOLVED, CLOSED = 1, 2, 4, 5
FALSE_POSITIVE, TRUE_POSITIVE, TEST = 1, 2, 6

REQUIRED = (
    "activity_id",
    "category_uid",
    "class_uid",
    "finding_info_list",
    "metadata",
    "severity_id",
    "status_id",
    "time",
    "type_uid",
)
"""What the class demands of every finding."""

Finding = dict[str, JsonValue]

_ACTIVITIES = {CREATE: "Create", UPDATE: "Update", CLOSE: "Close"}
_STATUSES = {NEW: "New", IN_PROGRESS: "In Progress", RESOLVED: "Resolved", CLOSED: "Closed"}
_SEVERITIES = {"low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High"), "critical": (5, "Critical")}
_TOLD = {
    EventKind.INCIDENT_OPENED: "A key compromise was declared.",
    EventKind.EXPOSURE_ADDED: "What is exposed became known.",
    EventKind.ACKNOWLEDGED: "Somebody took the case.",
    EventKind.CONTAINED: "Containment is proven by independent probes.",
    EventKind.NOT_CONTAINED: "Containment was found not to hold.",
    EventKind.RENEWED: "The key or credential is renewed.",
    EventKind.DATA_SAFE: "No object is left under the old key.",
    EventKind.RESTORED: "Every consumer works again.",
    EventKind.CLOSED: "The case was closed.",
}
"""The events that are told, and in which words."""


class TakesFindings(Protocol):
    """A place outside to which findings go, one at a time; what ``send`` took without raising has arrived."""

    def send(self, finding: Mapping[str, JsonValue]) -> None:
        """Hand one finding over.  Raises BackendError when it did not arrive."""

    def close(self) -> None:
        """Give back what is held."""


def findings_after(events: Sequence[Event], seq: int, *, product_version: str, page: str = "") -> list[Finding]:
    """What the events behind number ``seq`` bring, in order.

    ``events`` is the whole record of one incident; ``page`` is the address of the web page, "" when there is none.
    The same events always give the same findings: ``metadata.uid`` lets a receiver drop what it gets twice.
    """
    told = [number for number, each in enumerate(events) if each.seq > seq and each.kind in _TOLD]
    return [_finding(events[: number + 1], product_version, page) for number in told]


def _finding(events: Sequence[Event], product_version: str, page: str) -> Finding:
    last, incident = events[-1], Incident.of(events)
    activity = {EventKind.INCIDENT_OPENED: CREATE, EventKind.CLOSED: CLOSE}.get(last.kind, UPDATE)
    severity, severity_word = _SEVERITIES.get(incident.severity, (0, "Unknown"))
    status = _status(incident)
    found: Finding = {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": CATEGORY,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Incident Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Incident Finding: {_ACTIVITIES[activity]}",
        "time": _milliseconds(last.at),
        "start_time": _milliseconds(incident.opened_at),
        "severity_id": severity,
        "severity": severity_word,
        "status_id": status,
        "status": _STATUSES[status],
        "desc": _TOLD[last.kind],
        "message": f"{'[EXERCISE] ' if incident.exercise else ''}{incident.codename}: {_TOLD[last.kind]}",
        "finding_info_list": _infos(incident),
        "metadata": _metadata(incident, last, product_version),
        "unmapped": {
            "incident": incident.id,
            "codename": incident.codename,
            "exercise": incident.exercise,
            "phase": incident.phase,
            "playbook": incident.playbook,
        },
    }
    return {**found, **_when_known(incident, page)}


def _when_known(incident: Incident, page: str) -> Finding:
    found: Finding = {}
    if page:
        found["src_url"] = f"{page}/incidents/{incident.id}"
    if incident.people.acknowledged is not None:
        found["assignee"] = {"name": incident.people.acknowledged.by}
    if incident.closed is not None:
        found["end_time"] = _milliseconds(incident.closed.at)
        verdict = FALSE_POSITIVE if incident.closed.outcome == "false-alarm" else TRUE_POSITIVE
        verdict = TEST if incident.exercise else verdict
        found["verdict_id"] = verdict
        found["verdict"] = {FALSE_POSITIVE: "False Positive", TRUE_POSITIVE: "True Positive", TEST: "Test"}[verdict]
    return found


def _status(incident: Incident) -> int:
    if incident.closed is not None:
        return CLOSED
    if incident.contained_at and incident.restored_at:
        return RESOLVED
    is_worked_on = incident.people.acknowledged is not None or any(each.attempts for each in incident.steps.values())
    return IN_PROGRESS if is_worked_on or incident.contained_at else NEW


def _infos(incident: Incident) -> list[JsonValue]:
    opened = _milliseconds(incident.opened_at)
    sources: list[JsonValue] = [*dict.fromkeys(each.source for each in incident.signals)]
    infos: list[JsonValue] = []
    for each in incident.exposures:
        title = f"Exposed {each.kind.value.replace('-', ' ')}: {each.target}"
        uid = f"{incident.id}/{each.kind.value}/{each.target}"
        infos.append({"uid": uid, "title": title, "created_time": opened, "types": [each.kind.value]})
    if not infos:
        infos.append({"uid": incident.id, "title": f"Key compromise {incident.codename}", "created_time": opened})
    return [{**each, "data_sources": sources} if sources and isinstance(each, dict) else each for each in infos]


def _metadata(incident: Incident, event: Event, product_version: str) -> JsonValue:
    return {
        "version": VERSION,
        "uid": f"{incident.id}:{event.seq}",
        "sequence": event.seq,
        "correlation_uid": incident.id,
        "labels": ["exercise"] if incident.exercise else [],
        "product": {"name": "keyquell", "vendor_name": "keyquell", "version": product_version},
    }


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
