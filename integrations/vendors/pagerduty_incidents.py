"""PagerDuty's REST API v2, as far as a response needs it: find the incident, note, call people, start workflows.

https://developer.pagerduty.com/api-reference/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pagerduty

from integrations.vendors.pagerduty import PagerDutyClients, translated
from playbooks.errors import NotFound

_LONGEST_NOTE = 20_000
_OPEN = ("triggered", "acknowledged")


class PagerDutyIncidents:
    """Calls about incidents; each raises Refused, NotFound, Throttled, Unreachable or Unavailable."""

    def __init__(self, clients: PagerDutyClients, *, from_email: str) -> None:
        self._clients = clients
        self._from_email = from_email
        self._requester = ""

    def find(self, key: str) -> Mapping[str, Any] | None:
        """The open incident with this deduplication key, else the newest with it; None when there is none yet."""
        params = {"incident_key": key, "date_range": "all", "limit": 100}
        found = _dicts(self._call("GET", "/incidents", "incidents", params=params))
        found.sort(key=lambda each: (each.get("status") in _OPEN, str(each.get("created_at", ""))))
        return found[-1] if found else None

    def keys(self, incident: str) -> list[str]:
        """The deduplication keys of an incident: its own, or those of its alerts (it has none itself then)."""
        try:
            own = self._call("GET", f"/incidents/{incident}", "incident")
            if key := str(own.get("incident_key") or ""):
                return [key]
            alerts = self._call("GET", f"/incidents/{incident}/alerts", "alerts", params={"limit": 100})
        except NotFound:
            return []
        return [str(each.get("alert_key") or "") for each in _dicts(alerts)]

    def request(self, incident: str, *, user: str, message: str) -> None:
        """Call one more person to the incident."""
        target = {"responder_request_target": {"id": user, "type": "user_reference"}}
        body = {"requester_id": self._own_id(), "message": message, "responder_request_targets": [target]}
        self._call("POST", f"/incidents/{incident}/responder_requests", "responder_request", json=body)

    def note(self, incident: str, text: str) -> str:
        """Add a note, cut where PagerDuty would refuse it; its id."""
        body = {"note": {"content": text[:_LONGEST_NOTE]}}
        return str(self._call("POST", f"/incidents/{incident}/notes", "note", json=body).get("id", ""))

    def find_note(self, incident: str, text: str) -> str:
        """The id of a note with exactly this text, but for white space at its ends; "" when there is none."""
        for each in _dicts(self._call("GET", f"/incidents/{incident}/notes", "notes")):
            if str(each.get("content", "")).strip() == text[:_LONGEST_NOTE].strip():
                return str(each.get("id", ""))
        return ""

    def start(self, incident: str, *, workflow: str) -> None:
        """Start an incident workflow on the incident (response plays are gone from the API)."""
        body = {"incident_workflow_instance": {"incident": {"id": incident, "type": "incident_reference"}}}
        self._call("POST", f"/incident_workflows/{workflow}/instances", "incident_workflow_instance", json=body)

    def on_call(self, *, policies: Sequence[str], schedules: Sequence[str]) -> dict[str, str]:
        """Who is on call now: names by user id, those who are called first at the front."""
        params: dict[str, Any] = {"limit": 100, "include[]": ["users"]}
        params |= {"escalation_policy_ids[]": list(policies)} if policies else {}
        params |= {"schedule_ids[]": list(schedules)} if schedules else {}
        shifts = _dicts(self._call("GET", "/oncalls", "oncalls", params=params))
        shifts.sort(key=lambda each: int(each.get("escalation_level") or 0))
        users = [each["user"] for each in shifts if isinstance(each.get("user"), dict)]
        return {str(user.get("id")): str(user.get("name") or user.get("summary") or "") for user in users}

    def service(self, service: str) -> str:
        """The name of a service; NotFound when the account has none of this id, or the key may not see it."""
        return str(self._call("GET", f"/services/{service}", "service").get("name") or service)

    def _own_id(self) -> str:
        """The user id behind ``from_email``; a responder request must name it."""
        if not self._requester:
            wanted = self._from_email.lower()
            users = _dicts(self._call("GET", "/users", "users", params={"query": self._from_email}))
            own = [str(each.get("id")) for each in users if str(each.get("email", "")).lower() == wanted]
            if not own:
                hint = "Check from_email: it must be the login of a PagerDuty user."
                raise NotFound("PagerDuty has no user with this from_email.", subject="/users", hint=hint)
            self._requester = own[0]
        return self._requester

    def _call(self, method: str, path: str, wrapper: str, **sent: Any) -> Any:
        """One request; returns what stands under ``wrapper`` in the answer."""
        with translated(f"{method} {path}"):
            client = self._clients.rest()
            response = pagerduty.common.successful_response(client.request(method, path, **sent))
            body = pagerduty.try_decoding(response)
            if not isinstance(body, dict) or wrapper not in body:
                raise pagerduty.ServerHttpError("the answer is not in PagerDuty's form", response)
            return body[wrapper]


def _dicts(items: Any) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []
