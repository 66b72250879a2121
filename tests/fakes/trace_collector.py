"""A receiver of OTLP over https on this machine, which refuses what a collector refuses, and fails on demand."""

from __future__ import annotations

import ssl
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import trustme
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

PATH = "/v1/traces"
PROTOBUF = "application/x-protobuf"
_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """What the receiver says instead of taking a request."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


class TraceCollector:
    """Takes traces at ``endpoint`` until it is closed; ``ca`` is the path of its CA certificate.

    ``answers`` are given, one a request, before any is looked at; request number ``broken_at`` gets 503.
    ``requests`` are the bodies that came, in order; ``headers`` those of the last one.  ``taken`` counts how often each
    span came, by trace and span id; ``spans`` holds each as it came first.  ``token`` must be borne when it is set;
    ``most`` is how many spans a request may have before the rest is rejected.
    """

    def __init__(self, folder: Path, *, tls: bool = True) -> None:
        self.answers: deque[Answer] = deque()
        self.requests: list[bytes] = []
        self.headers: dict[str, str] = {}
        self.taken: dict[tuple[bytes, bytes], int] = {}
        self.spans: dict[tuple[bytes, bytes], Span] = {}
        self.resources: list[ResourceSpans] = []
        self.token = ""
        self.most = 10_000
        self.broken_at = -1
        self.ca = folder / "collector-ca.pem"
        self._server: Any = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.collector = self
        if tls:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(self.ca)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert("127.0.0.1").configure_cert(context)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.endpoint = f"{scheme}://127.0.0.1:{self._server.server_port}{PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take nothing any more."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def named(self, name: str) -> Span:
        """The only span of this name."""
        [found] = [each for each in self.spans.values() if each.name == name]
        return found

    def take(self, headers: dict[str, str], path: str, body: bytes) -> Answer:
        """What a collector does with a request."""
        self.headers = headers
        self.requests.append(body)
        if self.answers:
            return self.answers.popleft()
        if len(self.requests) - 1 == self.broken_at:
            return Answer(503, {})
        if path != PATH:
            return Answer(404, {})
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            return Answer(401, {})
        if headers.get("content-type") != PROTOBUF:
            return Answer(415, {})
        if len(body) > _MOST_BYTES:
            return Answer(413, {})
        try:
            request = ExportTraceServiceRequest.FromString(body)
        except DecodeError:
            return Answer(400, {})
        return self._keep(request)

    def _keep(self, request: ExportTraceServiceRequest) -> Answer:
        spans = [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]
        if not all(map(_is_sound, spans)):
            return Answer(400, {})
        self.resources += request.resource_spans
        for each in spans[: self.most]:
            place = (each.trace_id, each.span_id)
            self.taken[place] = self.taken.get(place, 0) + 1
            self.spans.setdefault(place, each)
        answer = ExportTraceServiceResponse()
        if len(spans) > self.most:
            answer.partial_success.rejected_spans = len(spans) - self.most
            answer.partial_success.error_message = "too many"
        return Answer(200, {"content-type": PROTOBUF}, answer.SerializeToString())


def _is_sound(span: Span) -> bool:
    """Ids of the right length that are not all zero, a name, and an end not before its beginning."""
    ids = [(span.trace_id, 16), (span.span_id, 8), *([(span.parent_span_id, 8)] if span.parent_span_id else [])]
    has_ids = all(len(value) == octets and any(value) for value, octets in ids)
    is_known = span.status.code in Status.StatusCode.values()
    return bool(has_ids and span.name and is_known and 0 < span.start_time_unix_nano <= span.end_time_unix_nano)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """One request."""
        server: Any = self.server
        body = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = server.collector.take(headers, self.path, body)
        self.send_response(answer.status)
        for name, value in {**answer.headers, "content-length": str(len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""
