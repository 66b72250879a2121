"""A server on loopback that answers as GitHub's REST API does: alerts by pages, one alert, the public keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "github_pat_11TESTTOKEN0000000000"


@dataclass
class Hub:
    """What the server knows, and what it was asked."""

    url: str = ""
    alerts: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    failure: tuple[int, dict[str, str]] | None = None
    page_size: int = 2
    elsewhere: str = ""


@contextmanager
def github_server() -> Iterator[Hub]:
    """A running server on a free port."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hub.asked.append(self.path)
            status, headers, body = _answer(hub, self.path, self.headers.get("Authorization", ""))
            raw = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def _answer(hub: Hub, path: str, authorization: str) -> tuple[int, dict[str, str], Any]:
    parts, query = urlsplit(path), {name: value[0] for name, value in parse_qs(urlsplit(path).query).items()}
    if hub.failure is not None:
        return hub.failure[0], hub.failure[1], {"message": "no"}
    if parts.path == "/meta/public_keys/secret_scanning":
        return 200, {}, {"public_keys": hub.keys}
    if authorization != f"Bearer {TOKEN}":
        return 401, {}, {"message": "Bad credentials"}
    *_, last = parts.path.split("/")
    if last.isdigit():
        found = [each for each in hub.alerts if each["number"] == int(last)]
        return (200, {}, found[0]) if found else (404, {}, {"message": "Not Found"})
    if last != "alerts":
        return 404, {}, {"message": "Not Found"}
    alerts = [each for each in hub.alerts if each["state"] == query.get("state", each["state"])]
    alerts.sort(key=lambda each: str(each["updated_at"]), reverse=query.get("direction", "desc") == "desc")
    if query.get("hide_secret") == "true":
        alerts = [{**each, "secret": None} for each in alerts]
    size, page = min(hub.page_size, int(query.get("per_page", 30))), int(query.get("page", 1))
    more = {}
    if len(alerts) > page * size:
        base = hub.elsewhere or hub.url
        kept = "&".join(f"{name}={value}" for name, value in query.items() if name != "page")
        more = {"Link": f'<{base}{parts.path}?{kept}&page={page + 1}>; rel="next"'}
    return 200, more, alerts[(page - 1) * size : page * size]
