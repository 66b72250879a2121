"""The REST API v2 of the fake PagerDuty: the paths that a response needs, and nothing that the real one retired."""

from __future__ import annotations

import re
from typing import Any

from fakes.pagerduty_account import Account, Incident, Refusal, User, invalid, not_found, reference

Query = dict[str, list[str]]
_WRITES = ("POST", "PUT", "DELETE")


def answer(account: Account, method: str, path: str, query: Query, headers: dict[str, str], body: Any) -> Any:
    """The (status, body) of a request; raises Refusal."""
    if headers.get("authorization") != f"Token token={account.token}":
        raise Refusal(401, {"error": {"message": "Unauthorized", "code": 2006}})
    author = next((user for user in account.users if user.email == headers.get("from")), None)
    if method in _WRITES and author is None:
        raise invalid("Requester User Not Found" if headers.get("from") else "Header 'From' is required")
    for wanted, pattern, serve in _ROUTES:
        if wanted == method and (match := re.fullmatch(pattern, path)):
            return serve(account, match.groups(), query, body, author)
    raise not_found()


def shown(account: Account, incident: Incident) -> dict[str, Any]:
    """An incident as REST and webhooks show it."""
    return {
        "id": incident.id,
        "type": "incident",
        "incident_number": incident.number,
        "title": incident.title,
        "status": incident.status,
        "incident_key": incident.alert.key if account.keys_on_incidents else None,
        "created_at": incident.created_at,
        "service": reference("service", incident.service, account.services[incident.service]),
        "escalation_policy": reference("escalation_policy", account.policy),
        "incidents_responders": list(incident.responders),
        "urgency": "high",
    }


def _incidents(account: Account, _: tuple[str, ...], query: Query, *__: Any) -> Any:
    found = account.search(query.get("incident_key", [""])[0])
    statuses = query.get("statuses[]", [])
    listed = [shown(account, each) for each in found if not statuses or each.status in statuses]
    return 200, {"incidents": listed, "limit": 100, "offset": 0, "more": False, "total": None}


def _incident(account: Account, ids: tuple[str, ...], *_: Any) -> Any:
    return 200, {"incident": shown(account, account.incident(ids[0]))}


def _alerts(account: Account, ids: tuple[str, ...], *_: Any) -> Any:
    alert = account.incident(ids[0]).alert
    return 200, {"alerts": [{"id": alert.id, "alert_key": alert.key, "status": alert.status, "type": "alert"}]}


def _note(account: Account, ids: tuple[str, ...], _: Query, body: Any, author: User) -> Any:
    content = ((body or {}).get("note") or {}).get("content")
    if not isinstance(content, str) or not content:
        raise invalid("Content cannot be empty.")
    notes = account.incident(ids[0]).notes
    note = {"id": f"PNOTE{len(notes) + 1}", "content": content, "user": reference("user", author.id, author.name)}
    notes.append(note)
    return 201, {"note": note}


def _notes(account: Account, ids: tuple[str, ...], *_: Any) -> Any:
    return 200, {"notes": list(account.incident(ids[0]).notes)}


def _request(account: Account, ids: tuple[str, ...], _: Query, body: Any, author: User) -> Any:
    incident = account.incident(ids[0])
    targets = (body or {}).get("responder_request_targets") or []
    if (body or {}).get("requester_id") != author.id or not body.get("message") or not targets:
        raise invalid("Requester, message and targets are required")
    for each in targets:
        target = each.get("responder_request_target") or {}
        if target.get("type") != "user_reference":
            raise invalid("Responder request targets are invalid")
        account.request(incident, str(target.get("id")))
    incident.requests.append(body)
    return 200, {"responder_request": {"requester": reference("user", author.id), "message": body["message"]}}


def _start(account: Account, ids: tuple[str, ...], _: Query, body: Any, __: User) -> Any:
    if ids[0] not in account.workflows:
        raise not_found()
    target = ((body or {}).get("incident_workflow_instance") or {}).get("incident") or {}
    if target.get("type") != "incident_reference":
        raise invalid("Incident is required")
    account.incident(str(target.get("id"))).workflows.append(ids[0])
    instance = {"id": "PINSTA1", "type": "incident_workflow_instance", "incident": target}
    return 201, {"incident_workflow_instance": instance}


def _on_calls(account: Account, _: tuple[str, ...], query: Query, *__: Any) -> Any:
    policies, schedules = query.get("escalation_policy_ids[]", []), query.get("schedule_ids[]", [])
    if (policies and account.policy not in policies) or (schedules and account.schedule not in schedules):
        return 200, {"oncalls": []}
    full = "users" in query.get("include[]", [])
    on_call = sorted((user for user in account.users if user.level), key=lambda user: -user.level)
    return 200, {"oncalls": [{"escalation_level": each.level, "user": _user(each, full)} for each in on_call]}


def _users(account: Account, _: tuple[str, ...], query: Query, *__: Any) -> Any:
    wanted = query.get("query", [""])[0].lower()
    return 200, {
        "users": [_user(each, True) for each in account.users if wanted in f"{each.name} {each.email}".lower()]
    }


def _services(account: Account, *_: Any) -> Any:
    return 200, {"services": [{"id": each, "name": name} for each, name in account.services.items()]}


def _service(account: Account, ids: tuple[str, ...], *_: Any) -> Any:
    if ids[0] not in account.services:
        raise not_found()
    return 200, {"service": {"id": ids[0], "name": account.services[ids[0]]}}


def _user(user: User, full: bool) -> dict[str, Any]:
    plain = reference("user", user.id, user.name)
    return {**plain, "type": "user", "name": user.name, "email": user.email} if full else plain


_ID = r"([A-Za-z0-9]+)"
_ROUTES = (
    ("GET", "/incidents", _incidents),
    ("GET", f"/incidents/{_ID}", _incident),
    ("GET", f"/incidents/{_ID}/alerts", _alerts),
    ("GET", f"/incidents/{_ID}/notes", _notes),
    ("POST", f"/incidents/{_ID}/notes", _note),
    ("POST", f"/incidents/{_ID}/responder_requests", _request),
    ("POST", f"/incident_workflows/{_ID}/instances", _start),
    ("GET", "/oncalls", _on_calls),
    ("GET", "/users", _users),
    ("GET", "/services", _services),
    ("GET", f"/services/{_ID}", _service),
)
