"""A TCP door before a real backend that can hang, reset, or throttle."""

from __future__ import annotations

import json
import socket
import struct
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit

Mood = Literal["pass", "hang", "reset", "throttle"]


class HostileDoor:
    """Listens on loopback and passes requests on to ``backend_url``, as its mood allows.

    ``hang`` accepts and never answers, ``reset`` ends every connection, ``throttle`` answers the next ``refusals``
    requests with a ThrottlingException and then passes; ``seen`` counts connections or requests.
    """

    def __init__(self, backend_url: str) -> None:
        self.mood: Mood = "pass"
        self.refusals = 0
        self.seen = 0
        self._backend = urlsplit(backend_url)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __enter__(self) -> HostileDoor:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def turned_away(self) -> bool:
        """Is this request one of those to be throttled?"""
        with self._lock:
            self.seen += 1
            if self.mood != "throttle" or self.refusals <= 0:
                return False
            self.refusals -= 1
            return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        door = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                if door.mood == "reset":
                    door.seen += 1
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.connection.close()
                    self.close_connection = True
                    return
                if door.mood == "hang":
                    door.seen += 1
                    door._closing.wait(60)
                    self.close_connection = True
                    return
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                if door.turned_away():
                    self._answer(400, {"content-type": "application/x-amz-json-1.1"}, self._throttling())
                    return
                connection = HTTPConnection(door._backend.hostname or "", door._backend.port or 80, timeout=10)
                connection.request("POST", self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                self._answer(answer.status, dict(answer.getheaders()), answer.read())
                connection.close()

            def _throttling(self) -> bytes:
                if "x-amz-target" in self.headers:
                    return json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"}).encode()
                return (
                    b"<ErrorResponse><Error><Type>Sender</Type><Code>Throttling</Code>"
                    b"<Message>Rate exceeded</Message></Error></ErrorResponse>"
                )

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler
