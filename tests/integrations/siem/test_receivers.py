"""Receivers of findings, each against a real server: what arrived arrived whole, and what did not is said."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme

from integrations.registry import open_adapter
from playbooks.errors import BackendError, InvalidInput, Refused, Throttled, Unreachable

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
FINDING: dict[str, Any] = {"class_uid": 2005, "severity_id": 5, "message": "zäh\nüber Zeilen"}
SECRET = "secret-of-the-collector"
MESSAGE = re.compile(rb"<(\d+)>1 2026-03-02T09:00:00\.000000Z \S+ keyquell \d+ ocsf-2005 - (.*)", re.DOTALL)


def receiver(kind: str, **options: object) -> Any:
    """An open adapter."""
    return open_adapter("siem", kind, name="r", options=options, clock=lambda: NOW)


class Collector(BaseHTTPRequestHandler):
    """Keeps what it was sent, and answers what the test wants."""

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        server.taken.append((dict(self.headers), body))
        self.send_response(server.status)
        for name, value in server.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def collector() -> Iterator[Any]:
    """An HTTP server on a free port."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.taken, server.status, server.headers = [], 202, {}
    server.url = f"http://127.0.0.1:{server.server_port}/in"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_signed_over_its_time_and_body(collector: Any, tmp_path: Path) -> None:
    """So that a collector can tell ours from anybody's, and an old one from a new one."""
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    reference = f"file:{tmp_path / 'secret'}"
    receiver("webhook", url=collector.url, secret=reference, token=reference).send(FINDING)
    [(headers, body)] = collector.taken
    assert json.loads(body) == FINDING
    at = headers["x-keyquell-timestamp"]
    assert int(at) == NOW.timestamp()
    expected = hmac.new(SECRET.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["x-keyquell-signature-256"] == f"sha256={expected}"
    assert headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    ("status", "headers", "error"),
    [
        (400, {}, Refused),
        (401, {}, Refused),
        (302, {"location": "http://127.0.0.1:1/elsewhere"}, Refused),
        (429, {"retry-after": "7"}, Throttled),
        (503, {}, Unreachable),
    ],
)
def test_what_a_collector_does_not_take_has_not_arrived(
    collector: Any, status: int, headers: dict[str, str], error: type[BackendError]
) -> None:
    """A redirect is not followed: the finding would go where nobody configured."""
    collector.status, collector.headers = status, headers
    with pytest.raises(error) as caught:
        receiver("webhook", url=f"{collector.url}?key=hidden").send(FINDING)
    assert "hidden" not in str(caught.value) + caught.value.subject
    assert len(collector.taken) == 1


def test_a_collector_that_is_away_is_unreachable() -> None:
    """Nobody listens on the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(Unreachable):
        receiver("webhook", url=url).send(FINDING)


def test_a_file_gets_one_line_each_and_a_torn_line_is_ended_first(tmp_path: Path) -> None:
    """Also when a collector renamed the file meanwhile."""
    path = tmp_path / "findings.ndjson"
    path.write_text('{"torn": ', encoding="utf-8")
    lines = receiver("file", path=str(path))
    lines.send(FINDING)
    lines.send(FINDING)
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[1:]] == [FINDING, FINDING]
    path.rename(tmp_path / "findings.1")
    lines.send(FINDING)
    assert json.loads(path.read_text(encoding="utf-8")) == FINDING
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_is_gone_is_unreachable(tmp_path: Path) -> None:
    """And named."""
    with pytest.raises(Unreachable, match="gone"):
        receiver("file", path=str(tmp_path / "gone" / "x")).send(FINDING)


def framed(stream: Any) -> bytes:
    """One octet-counted message of a connection."""
    digits = b""
    while (byte := stream.recv(1)) != b" ":
        digits += byte
    found = b""
    while len(found) < int(digits):
        found += stream.recv(int(digits) - len(found))
    return found


def checked(message: bytes) -> dict[str, Any]:
    """The finding of a message whose head is right: critical, of the security facility."""
    match = MESSAGE.fullmatch(message)
    assert match
    assert int(match[1]) == 10 * 8 + 2
    assert match[2].isascii()
    assert b"\n" not in match[2]
    return dict(json.loads(match[2]))


def test_syslog_over_udp_is_one_datagram() -> None:
    """And one that does not fit is refused, not cut."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5)
        sender = receiver("syslog", host="127.0.0.1", port=server.getsockname()[1], transport="udp")
        sender.send(FINDING)
        assert checked(server.recv(65536)) == FINDING
        with pytest.raises(Refused, match="too long"):
            sender.send({**FINDING, "desc": "x" * 70_000})
        sender.close()


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_syslog_over_a_connection_is_counted_and_a_closed_one_is_made_anew(transport: str, tmp_path: Path) -> None:
    """Several findings share a connection; one that the receiver ended is noticed before anything is lost in it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    taken: list[dict[str, Any]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)

        def serve() -> None:
            for count in (2, 1):
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) if transport == "tls" else plain as stream:
                    taken.extend(checked(framed(stream)) for _ in range(count))
                ended.set()

        ended = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        options = {"ca_file": str(tmp_path / "ca.pem")} if transport == "tls" else {}
        sender = receiver("syslog", host="127.0.0.1", port=listener.getsockname()[1], transport=transport, **options)
        sender.send(FINDING)
        sender.send(FINDING)
        assert ended.wait(10)
        sender.send(FINDING)
        thread.join(10)
        sender.close()
    assert taken == [FINDING] * 3


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing(tmp_path: Path) -> None:
    """TLS without a check would tell anybody."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            plain, _ = listener.accept()
            with pytest.raises(OSError), context.wrap_socket(plain, server_side=True) as stream:  # noqa: PT012
                stream.recv(1)
                raise OSError

        thread = threading.Thread(target=serve)
        thread.start()
        sender = receiver(
            "syslog", host="127.0.0.1", port=listener.getsockname()[1], ca_file=str(tmp_path / "other.pem")
        )
        with pytest.raises(Unreachable):
            sender.send(FINDING)
        thread.join(10)


@pytest.mark.parametrize(
    ("kind", "options", "field"),
    [
        ("webhook", {"url": "ftp://x"}, "url"),
        ("webhook", {"url": "https://user:pw@x/"}, "url"),
        ("webhook", {"url": "https://x/", "secret": "in clear"}, "secret"),
        ("file", {}, "path"),
        ("syslog", {"host": "x", "transport": "pigeon"}, "transport"),
        ("syslog", {"host": "x", "ca_file": "/nowhere"}, "ca_file"),
    ],
)
def test_a_wrong_option_is_named_and_not_repeated(kind: str, options: dict[str, str], field: str) -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(InvalidInput, match=rf"siem\.r: {field}: ") as caught:
        receiver(kind, **options)
    assert "in clear" not in str(caught.value)
    assert "pw@" not in str(caught.value)
