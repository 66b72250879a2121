"""Traces against a real receiver of OTLP over https: what arrived arrived whole, and what did not is said."""

from __future__ import annotations

import contextlib
import itertools
import logging
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from fakes.trace_collector import Answer, TraceCollector
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from integrations.registry import open_adapter
from playbooks.errors import BackendError, InvalidInput, Refused, Throttled, Unreachable
from playbooks.spans import Moment, Span

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
IN_NINE_SECONDS = format_datetime(NOW + timedelta(seconds=9), usegmt=True)
TOKEN = "token-of-the-receiver"
ROOT = Span(
    trace_id=2**127 + 1, span_id=2**63 + 1, parent_id=0, name="incident", begun=NOW, ended=NOW + timedelta(hours=2),
    attributes={"keyquell.incident.id": "KQ-1", "keyquell.exposure.kinds": ("credential", "policy")}, seq=9,
    error="not-contained", exercise=False,
)  # fmt: skip
CHILD = Span(
    trace_id=2**127 + 1, span_id=7, parent_id=2**63 + 1, name="cut-credential", begun=NOW,
    ended=NOW + timedelta(microseconds=1_000_001), attributes={"keyquell.exercise": True, "n": 3}, seq=4,
    moments=(Moment("probe", NOW + timedelta(milliseconds=3), {"keyquell.probe.outcome": "refused"}),), exercise=True,
)  # fmt: skip


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[TraceCollector]:
    """A receiver with a certificate of its own authority."""
    with TraceCollector(tmp_path) as running:
        yield running


def opened(collector: TraceCollector, **options: object) -> Any:
    """The adapter, which believes the receiver's authority."""
    given = {"endpoint": collector.endpoint, "ca_file": str(collector.ca), **options}
    return open_adapter("traces", "otlp", name="otlp", options=given, clock=lambda: NOW)


def secret(folder: Path, text: str) -> str:
    """A reference to a file that holds the text."""
    (folder / "headers").write_text(text + "\n", encoding="utf-8")
    return f"file:{folder / 'headers'}"


def test_a_receiver_gets_the_whole_span(collector: TraceCollector) -> None:
    """Ids, parent, times to the microsecond, attributes of every type, moments and status."""
    assert opened(collector).send([CHILD, ROOT]) == 0
    root, child = collector.named("incident"), collector.named("cut-credential")
    assert (root.trace_id.hex(), root.span_id.hex()) == ("8" + "0" * 30 + "1", "8" + "0" * 14 + "1")
    assert (child.trace_id, child.parent_span_id, root.parent_span_id) == (root.trace_id, root.span_id, b"")
    assert child.end_time_unix_nano - child.start_time_unix_nano == 1_000_001_000
    assert child.start_time_unix_nano == int(NOW.timestamp()) * 10**9
    attributes = {each.key: each.value for each in (*child.attributes, *root.attributes)}
    assert (attributes["keyquell.exercise"].bool_value, attributes["n"].int_value) == (True, 3)
    kinds = [each.string_value for each in attributes["keyquell.exposure.kinds"].array_value.values]
    assert kinds == ["credential", "policy"]
    [moment] = child.events
    assert (moment.name, moment.time_unix_nano - child.start_time_unix_nano) == ("probe", 3_000_000)
    assert (root.status.code, child.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET)
    assert attributes["error.type"].string_value == root.status.message == "not-contained"


def test_the_service_is_named_and_an_exercise_is_an_environment_of_its_own(
    collector: TraceCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the settings alone: what the environment says of services is of others."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "somebody")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=somebody,secret=1")
    opened(collector, service_name="key-response").send([CHILD, ROOT])
    resources = [
        {each.key: each.value.string_value for each in found.resource.attributes} for found in collector.resources
    ]
    assert [each["service.name"] for each in resources] == ["key-response"] * 2
    assert [each.get("deployment.environment.name") for each in resources] == ["test", None]
    assert all(set(each) <= {"service.name", "service.version", "deployment.environment.name"} for each in resources)


def test_headers_come_from_the_secret_as_vendors_print_them(collector: TraceCollector, tmp_path: Path) -> None:
    """Read at each request, so that a renewed token counts at once."""
    collector.token = TOKEN
    reference = secret(tmp_path, f"Authorization=Bearer%20{TOKEN}, x-tenant = a")
    sender = opened(collector, headers=reference)
    sender.send([ROOT])
    assert collector.headers["x-tenant"] == "a"
    assert collector.headers["user-agent"].startswith("keyquell/")
    collector.token = "renewed"
    with pytest.raises(Refused, match="401"):
        sender.send([ROOT])
    secret(tmp_path, "authorization=Bearer renewed")
    assert sender.send([ROOT]) == 0


def test_no_token_of_another_receiver_is_sent(
    collector: TraceCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither from the variables that the SDK reads, nor from the file that requests reads."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=of-another")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/nowhere")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "/nowhere")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password of-another\n", encoding="utf-8")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    opened(collector).send([ROOT])
    assert {"x-api-key", "authorization", "content-encoding"} & set(collector.headers) == set()


@pytest.mark.parametrize(
    "text", ["no equals sign", f"author ization={TOKEN}", f"a={TOKEN}%0d%0ab", f"a={TOKEN},", f"a={TOKEN}ü"]
)
def test_a_secret_that_is_no_headers_is_refused_and_not_repeated(
    collector: TraceCollector, tmp_path: Path, text: str
) -> None:
    """Nothing is sent."""
    with pytest.raises(InvalidInput, match="headers") as caught:
        opened(collector, headers=secret(tmp_path, text)).send([ROOT])
    assert TOKEN not in str(caught.value)
    assert collector.requests == []


@pytest.mark.parametrize(
    ("answer", "error", "word"),
    [
        (Answer(429, {"retry-after": "7"}), Throttled, "for 7 seconds"),
        (Answer(429, {}), Throttled, "asks to wait"),
        (
            Answer(503, {"retry-after": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}),
            Throttled,
            "for 9 sec",
        ),
        (Answer(503, {"retry-after": "soon"}), Unreachable, "503"),
        (Answer(502, {}), Unreachable, "502"),
        (Answer(500, {}), Unreachable, "500"),
        (Answer(401, {}), Refused, "401"),
        (Answer(404, {}), Refused, "404"),
        (Answer(302, {"location": "https://127.0.0.1:1/sign-in"}), Refused, "302"),
        (Answer(200, {"content-type": "text/html"}, b"<html>sign in</html>"), Refused, "no receiver"),
        (Answer(200, {"content-type": "application/json"}, b"\xff{"), Refused, "no receiver"),
    ],
)
def test_what_a_receiver_does_not_take_has_not_arrived(
    collector: TraceCollector, answer: Answer, error: type[BackendError], word: str
) -> None:
    """It is asked once: how long to wait is for the feed, which can be stopped meanwhile; the next one arrives."""
    collector.answers.append(answer)
    sender = opened(collector)
    with pytest.raises(error, match=word):
        sender.send([ROOT])
    assert (len(collector.requests), collector.taken) == (1, {})
    assert sender.send([ROOT]) == 0


@pytest.mark.parametrize("status", [400, 413])
def test_what_a_receiver_will_never_take_is_counted_and_not_tried_for_ever(
    collector: TraceCollector, status: int
) -> None:
    """The specification forbids another try; a request without spans that is refused so is a fault."""
    collector.answers += [Answer(status, {}), Answer(status, {})]
    assert opened(collector).send([ROOT, CHILD]) == 2
    with pytest.raises(Refused):
        opened(collector).check()


def test_a_partial_success_is_counted(collector: TraceCollector) -> None:
    """In protobuf as in JSON; a field that nobody knows yet is no fault."""
    collector.most = 1
    assert opened(collector).send([ROOT, CHILD]) == 1
    json = b'{"partialSuccess": {"rejectedSpans": "2", "errorMessage": "x"}, "later": 1}'
    collector.answers.append(Answer(200, {"content-type": "application/json; charset=utf-8"}, json))
    assert opened(collector).send([ROOT, CHILD]) == 2


def test_a_look_sends_no_span(collector: TraceCollector) -> None:
    """And says where to."""
    assert collector.endpoint in opened(collector).check()
    assert (collector.requests, collector.taken) == ([b""], {})


def test_a_receiver_that_is_away_is_unreachable(tmp_path: Path) -> None:
    """And one that came back gets what was not taken."""
    with TraceCollector(tmp_path) as running:
        sender = opened(running)
    with pytest.raises(Unreachable, match="does not answer"):
        sender.send([ROOT])


def test_an_authority_that_is_gone_is_no_fault_of_the_spans(collector: TraceCollector) -> None:
    """They wait, as for a receiver that is away."""
    sender = opened(collector)
    collector.ca.unlink()
    with pytest.raises(Unreachable):
        sender.send([ROOT])


def test_a_receiver_that_says_nothing_is_left_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that hangs would never end when the process is told to."""
    monkeypatch.setattr("integrations.traces.answers.SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"}
        sender = open_adapter("traces", "otlp", name="otlp", options=options, clock=lambda: NOW)
        with pytest.raises(Unreachable):
            sender.send([ROOT])


def serve_raw(listener: socket.socket, pieces: Iterator[bytes]) -> None:
    """Answer one request with these octets, fifty pieces a second, until the other side has enough."""
    with contextlib.suppress(OSError), listener.accept()[0] as stream:
        stream.recv(65536)
        for piece in pieces:
            stream.sendall(piece)
            time.sleep(0.02)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\n"


@pytest.mark.parametrize(
    ("head", "piece", "error", "code"),
    [
        (b"content-length: 4000000000\r\n\r\n", b"\n" * 10_000_000, Refused, "200"),
        (b"content-length: 900\r\n\r\n", b"\n", Unreachable, "Timeout"),
        (b"content-length: 9\r\ncontent-encoding: gzip\r\n\r\n", b"no gzip!!", Unreachable, "ContentDecodingError"),
    ],
)
def test_an_answer_that_never_ends_neither_fills_memory_nor_holds_the_thread(
    monkeypatch: pytest.MonkeyPatch, head: bytes, piece: bytes, error: type[BackendError], code: str
) -> None:
    """The process that reads it is the one that contains."""
    monkeypatch.setattr("integrations.traces.answers.SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        octets = itertools.chain([HEAD + head], itertools.repeat(piece, 60))
        thread = threading.Thread(target=serve_raw, args=(listener, octets))
        thread.start()
        options = {"endpoint": f"http://127.0.0.1:{listener.getsockname()[1]}/v1/traces"}
        sender = open_adapter("traces", "otlp", name="otlp", options=options, clock=lambda: NOW)
        with pytest.raises(error) as caught:
            sender.send([ROOT])
        assert caught.value.code == code
        sender.close()
        thread.join(10)


def test_a_receiver_whose_certificate_nobody_vouches_for_gets_nothing(
    collector: TraceCollector, tmp_path: Path
) -> None:
    """Nor does one whose authority is not named."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    for authority in (str(tmp_path / "other.pem"), None):
        with pytest.raises(Unreachable, match="vouches"):
            opened(collector, ca_file=authority).send([ROOT])
    assert collector.requests == []


def test_no_log_holds_the_token(collector: TraceCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With every logger as loud as it gets, and the receiver refusing."""
    sender = opened(collector, headers=secret(tmp_path, f"authorization=Bearer {TOKEN}"))
    collector.answers.append(Answer(503, {}))
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(Unreachable):
            sender.send([ROOT])
        sender.send([ROOT])
    assert collector.endpoint.rpartition("/v1")[0].removeprefix("https://").partition(":")[0] in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "endpoint"),
        ({"endpoint": "http://collector.example.com/v1/traces"}, "endpoint"),
        ({"endpoint": "https://collector.example.com"}, "endpoint"),
        ({"endpoint": "https://me:hidden@collector.example.com/v1/traces"}, "endpoint"),
        ({"endpoint": "https://collector.example.com/v1/traces?key=hidden"}, "endpoint"),
        ({"endpoint": "https://collector.example.com:99999/v1/traces"}, "endpoint"),
        ({"endpoint": "https://[::1/v1/traces"}, "endpoint"),
        ({"endpoint": "https://h/v1/traces", "headers": "authorization=hidden"}, "headers"),
        ({"endpoint": "https://h/v1/traces", "headers": {"authorization": "hidden"}}, "headers"),
        ({"endpoint": "https://h/v1/traces", "service_name": ""}, "service_name"),
        ({"endpoint": "https://h/v1/traces", "ca_file": "/nowhere"}, "ca_file"),
        ({"endpoint": "https://h/v1/traces", "sampling": 1}, "sampling"),
    ],
)
def test_a_wrong_option_is_named_and_not_repeated(options: dict[str, object], field: str) -> None:
    """It may be a secret in the wrong place."""
    with pytest.raises(InvalidInput, match=rf"^traces: {field}: ") as caught:
        open_adapter("traces", "otlp", name="otlp", options=options, clock=lambda: NOW)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["http://localhost:4318/v1/traces", "http://[::1]:4318/v1/traces"])
def test_an_agent_on_this_host_needs_no_certificate(endpoint: str) -> None:
    """What leaves the host is encrypted."""
    open_adapter("traces", "otlp", name="otlp", options={"endpoint": endpoint}, clock=lambda: NOW).close()


def test_the_receiver_of_these_tests_refuses_what_a_collector_refuses(collector: TraceCollector) -> None:
    """Or it would prove nothing: wrong type, undecodable, ids that are missing."""
    proto = {"content-type": "application/x-protobuf"}
    assert collector.take({"content-type": "text/plain"}, "/v1/traces", b"").status == 415
    assert collector.take(proto, "/v1/traces", b"\xff\xff").status == 400
    assert collector.take(proto, "/", b"").status == 404
    nameless = Span(
        trace_id=0, span_id=5, parent_id=0, name="x", begun=NOW, ended=NOW, attributes={}, seq=0, exercise=False
    )  # fmt: skip
    assert opened(collector).send([nameless]) == 1
    assert collector.taken == {}


def test_one_connection_serves_many_requests(collector: TraceCollector) -> None:
    """Threads of the receiver are its connections."""
    before = threading.active_count()
    sender = opened(collector)
    for _ in range(5):
        sender.send([ROOT])
    assert threading.active_count() <= before + 1
    assert set(collector.taken.values()) == {5}
    sender.close()
