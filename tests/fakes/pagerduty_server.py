"""A PagerDuty over https on this machine: Events API v2, REST API v2 and signed webhooks v3, with faults on demand."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import itertools
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import trustme
from fakes.pagerduty_account import Account, Incident, Refusal, reference
from fakes.pagerduty_rest import answer, shown

Fault = Literal["", "down", "hang", "throttled", "broken", "nonsense", "forbidden"]
_MOST_BYTES = 512 * 1024
_DELIVERIES = 5
_CLICKS = {
    "acknowledge": "incident.acknowledged",
    "resolve": "incident.resolved",
    "reopen": "incident.reopened",
    "escalate": "incident.escalated",
    "annotate": "incident.annotated",
    "delegate": "incident.delegated",
    "priority": "incident.priority_updated",
}


@dataclass(frozen=True)
class Webhook:
    """One delivery: headers with lower-case names, and the raw body."""

    headers: dict[str, str]
    body: bytes


class FakePagerDuty:
    """Serves an Account at ``url`` until it is closed; ``ca`` is the path of its CA certificate, for ``verify``.

    ``fault`` befalls every request of ``faulty`` (``events``, ``rest``, or both) until it is "" again; ``hang`` ends
    with it.  ``per_minute`` are the rate limits.  ``subscriber`` is the URL to which clicks are posted, "" for none.
    """

    def __init__(self, folder: Path) -> None:
        self._released = threading.Event()
        self._ids = itertools.count(1)
        self.reset()
        self.ca = folder / "pagerduty-ca.pem"
        self._server = _serve(self, self.ca)
        self.url = f"https://localhost:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), name="pagerduty", daemon=True).start()

    def reset(self) -> None:
        """An empty account without faults or limits used up, at the same address."""
        self.account = Account()
        self.webhook_secrets = ["whsec-" + "w" * 26]
        self.subscriber = ""
        self.fault: Fault = ""
        self.faulty: Sequence[str] = ("events", "rest")
        self.per_minute = {"events": 120, "rest": 960}
        self.requests: list[tuple[str, str]] = []
        self.delivered: list[int] = []
        self._calls: dict[str, deque[float]] = defaultdict(deque)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def routing_key(self) -> str:
        """The one routing key, unless a test added others."""
        return next(iter(self.account.routing_keys))

    def close(self) -> None:
        """Stop listening, and let hanging requests go."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    # --- what people do in PagerDuty ------------------------------------------------------------

    def click(self, incident: Incident, act: str, *, user: str = "PASHA01", note: str = "") -> Webhook:
        """Acknowledge, resolve, reopen, escalate, annotate, delegate or re-prioritise; posted to the subscriber."""
        status = {"acknowledge": "acknowledged", "resolve": "resolved", "reopen": "triggered"}.get(act)
        if status:
            self.account.change(incident, status)
        data: dict[str, Any] = self._webhook_incident(incident)
        if act == "annotate":
            about = reference("incident", incident.id, incident.title)
            data = {"id": "PNOTE9", "type": "incident_note", "content": note, "incident": about, "trimmed": False}
        return self.send(_CLICKS[act], data, agent=reference("user", user) if user else None)

    def reply(self, incident: Incident, *, user: str, state: str) -> Webhook:
        """A person who was called answers: ``joined`` or ``declined``."""
        about, who = reference("incident", incident.id, incident.title), reference("user", user)
        data = {"type": "incident_responder", "incident": about, "user": who, "message": "", "state": state}
        return self.send("incident.responder.replied", data, agent=who)

    def triggered(self, incident: Incident) -> Webhook:
        """The webhook of a new incident."""
        agent = {**reference("service", incident.service), "type": "inbound_integration_reference"}
        return self.send("incident.triggered", self._webhook_incident(incident), agent=agent)

    def ping(self) -> Webhook:
        """The test button of a webhook subscription."""
        return self.send("pagey.ping", {"type": "ping", "message": "Hello from your friend Pagey!"}, agent=None)

    def send(self, event_type: str, data: dict[str, Any], *, agent: dict[str, Any] | None) -> Webhook:
        """Sign an event with every secret and post it to the subscriber, if there is one, again after a 5xx."""
        event = {
            "id": f"01EVENT{next(self._ids):06}",
            "event_type": event_type,
            "resource_type": event_type.split(".")[0],
            "occurred_at": "2026-11-23T12:00:00.000Z",
            "agent": agent,
            "client": None,
            "data": data,
        }
        webhook = self.signed(json.dumps({"event": event}).encode())
        for _ in range(_DELIVERIES if self.subscriber else 0):
            if self.deliver(webhook) < 500:
                break
        return webhook

    def signed(self, body: bytes, *, secrets: Sequence[str] = ()) -> Webhook:
        """The body with PagerDuty's signatures, or with those of other secrets."""
        given = [
            "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            for secret in (secrets or self.webhook_secrets)
        ]
        headers = {"content-type": "application/json", "x-pagerduty-signature": ", ".join(given)}
        return Webhook(headers, body)

    def deliver(self, webhook: Webhook) -> int:
        """Post it (again, when called again); the status is kept in ``delivered``."""
        request = urllib.request.Request(self.subscriber, webhook.body, webhook.headers)  # noqa: S310  a test's own URL
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310
                status = response.status
        except urllib.error.HTTPError as error:
            status = error.code
            error.close()
        self.delivered.append(status)
        return int(status)

    def _webhook_incident(self, incident: Incident) -> dict[str, Any]:
        full = shown(self.account, incident)
        renamed = {"number": full.pop("incident_number"), "assignees": [], "teams": [], "priority": None}
        full.pop("incidents_responders")
        return {**full, **renamed, "resolve_reason": None}

    # --- answering ------------------------------------------------------------------------------

    def serve(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, dict[str, str]]:
        """The answer to one request: status, JSON body, further headers; ConnectionError drops the connection."""
        place = urlsplit(target)
        api = "events" if place.path.startswith("/v2/") else "rest"
        self.requests.append((method, place.path))
        if self.fault and api in self.faulty:
            return self._faulty(api)
        if limited := self._limited(api, headers, body):
            return limited
        try:
            if api == "rest":
                query = parse_qs(place.query)
                return (*answer(self.account, method, place.path, query, headers, _json(body)), {})
            if (method, place.path) != ("POST", "/v2/enqueue"):
                return 404, {"status": "not found"}, {}
            if len(body) > _MOST_BYTES:
                return 413, {"status": "invalid event", "message": "Payload too large"}, {}
            return 202, self.account.enqueue(_json(body)), {}
        except Refusal as refusal:
            return refusal.status, refusal.body, {}

    def _faulty(self, api: str) -> tuple[int, Any, dict[str, str]]:
        match self.fault:
            case "down":
                raise ConnectionError
            case "hang":
                while self.fault == "hang" and not self._released.wait(0.02):
                    pass
                raise ConnectionError
            case "throttled":
                return _throttled(api)
            case "forbidden":
                return 403, {"error": {"message": "Forbidden", "code": 2010}}, {}
            case "nonsense":
                return 202, ["<html>"], {}
            case _:
                return 500, {"error": {"message": "Internal Server Error", "code": 2000}}, {}

    def _limited(self, api: str, headers: dict[str, str], body: bytes) -> tuple[int, Any, dict[str, str]] | None:
        sent = _json(body) if api == "events" else None
        whose = sent.get("routing_key", "") if isinstance(sent, dict) else headers.get("authorization", "")
        calls, now = self._calls[f"{api} {whose}"], time.monotonic()
        while calls and calls[0] < now - 60:
            calls.popleft()
        if len(calls) >= self.per_minute[api]:
            return _throttled(api)
        calls.append(now)
        return None


def _throttled(api: str) -> tuple[int, Any, dict[str, str]]:
    if api == "events":
        return 429, {"status": "throttle exceeded", "message": "Requests for this key are arriving too quickly."}, {}
    headers = {"ratelimit-limit": "960", "ratelimit-remaining": "0", "ratelimit-reset": "17"}
    return 429, {"error": {"message": "Rate Limit Exceeded", "code": 2020}}, headers


def _json(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _serve(fake: FakePagerDuty, ca_file: Path) -> ThreadingHTTPServer:
    """A server that handshakes in each connection's own thread, so that a silent client stops nobody."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                status, answered, more = fake.serve(self.command, self.path, headers, body)
            except ConnectionError:
                self.close_connection = True
                return
            content = json.dumps(answered).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **more}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = _any  # noqa: N815  the names that http.server looks for

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: Any) -> None:
            """A connection that broke is no news."""

    server = Quiet(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server
