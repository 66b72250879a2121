"""The web page over HTTP: who is believed, what is answered, and what never leaves in headers, logs and errors."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from knocking import FINDING, signed
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient
from web_office import CASE, CODENAME, WebOffice, token_of, web_office

from console.web.addresses import client_address
from console.web.app import create_app
from console.web.guard import HEADERS, MAX_BODY_BYTES
from flows import step_up
from flows.background import Background
from flows.desk import ResponseDesk
from playbooks.record import INSTALLATION, EventKind
from playbooks.visible import visible

NOWHERE = "no-such-token".ljust(43, "-")
"""In the form of a link's token, and nobody's."""


def break_record(office: WebOffice) -> None:
    """Somebody damages the database."""
    with sqlite3.connect(office.wiring.settings.state / "records.db") as database:
        database.execute("ALTER TABLE events RENAME TO gone")


# --- webhooks --------------------------------------------------------------------------------------


def test_a_signed_finding_opens_a_case_and_a_repeated_one_does_not(office: WebOffice, client: TestClient) -> None:
    """202 with the number of incidents; the same message again belongs to the same one."""
    for _ in range(2):
        answer = client.post("/hooks/detectors/scanner", content=FINDING, headers=signed(FINDING))
        assert (answer.status_code, answer.json()) == (202, {"incidents": 1})
    assert len(office.wiring.records.incidents()) == 2


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("detectors/scanner", FINDING, {}, 401),
        ("detectors/scanner", FINDING, {"x-signature-256": "0" * 64}, 401),
        ("detectors/scanner", FINDING + b" ", signed(FINDING), 401),
        ("detectors/scanner", b"no json", signed(b"no json"), 400),
        ("detectors/scanner", b"[1]", signed(b"[1]"), 400),
        ("detectors/github", FINDING, signed(FINDING), 401),
        ("detectors/github", b"{}", signed(b"{}", by="github"), 400),
        ("detectors/github-partner", b"[]", {"github-public-key-identifier": "x"}, 401),
        ("detectors/signature-log", FINDING, signed(FINDING), 404),
        ("detectors/nobody", FINDING, signed(FINDING), 404),
        ("detectors/pagerduty", FINDING, signed(FINDING), 404),
        ("pagers/pagerduty", b"{}", {}, 401),
        ("pagers/pagerduty", b"{}", signed(b"{}", by="pagerduty"), 400),
        ("pagers/scanner", FINDING, signed(FINDING), 404),
    ],
)
def test_a_webhook_that_is_not_the_senders_or_makes_no_sense_is_refused(
    office: WebOffice, client: TestClient, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    """One short sentence that names nothing of the inside, and nothing in the record."""
    answer = client.post(f"/hooks/{path}", content=body, headers=headers)
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert len(answer.json()["error"]) < 80
    assert str(office.root) not in answer.text
    assert office.wiring.records.incidents() == [CASE]


def test_an_acknowledgement_in_the_pager_by_nobody_we_know_is_taken_and_counts_for_nothing(
    office: WebOffice, client: TestClient
) -> None:
    """A 4xx would make the pager stop sending in the end."""
    event = {"id": "E1", "event_type": "incident.acknowledged", "agent": {"id": "PX123", "type": "user_reference"}}
    body = json.dumps({"event": {**event, "data": {"incident_key": CASE}}}).encode()
    answer = client.post("/hooks/pagers/pagerduty", content=body, headers=signed(body, by="pagerduty"))
    assert answer.status_code == 202
    assert office.wiring.incident(CASE).people.acknowledged is None


def test_what_cannot_be_written_down_is_to_be_sent_again(office: WebOffice, client: TestClient) -> None:
    """503 with a time to wait, and no word of the database."""
    break_record(office)
    answer = client.post("/hooks/detectors/scanner", content=FINDING, headers=signed(FINDING))
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json() == {"error": "It could not be written down; send it again."}


def test_a_body_over_one_mebibyte_is_not_read(client: TestClient) -> None:
    """Announced or not, also when the announcement lies."""

    def stream() -> Iterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 2**16 + 2):
            yield bytes(2**16)

    for content in (bytes(MAX_BODY_BYTES + 1), stream()):
        answer = client.post("/hooks/detectors/scanner", content=content)
        assert answer.status_code == 413
        assert answer.headers["x-frame-options"] == "DENY"


class _Chat:
    """A chat that takes requests and is or is not connected."""

    connected = True

    @property
    def handler(self) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            return PlainTextResponse((await request.body())[::-1])

        return handle


def test_the_chats_requests_go_to_the_chat_when_it_speaks_http(office: WebOffice) -> None:
    """Under the same limits and headers; without such a chat there is no such route."""
    background = Background(office.wiring)
    desk = ResponseDesk(office.wiring, background)
    client = TestClient(create_app(office.wiring, desk, background, chat=_Chat()))
    answer = client.post("/slack/events", content=b"abc")
    assert (answer.text, answer.headers["cache-control"]) == ("cba", "no-store")
    assert client.post("/slack/events", content=bytes(MAX_BODY_BYTES + 1)).status_code == 413
    assert TestClient(office.app).post("/slack/events", content=b"abc").status_code == 404


# --- health ----------------------------------------------------------------------------------------


def test_a_sound_installation_is_alive_and_ready(client: TestClient) -> None:
    """Every check says so in a sentence."""
    assert client.get("/healthz").json()["status"] == "alive"
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["ready"]
    assert {each["what"]: each["ok"] for each in answer.json()["checks"]} == {
        "record": True,
        "roster": True,
        "detectors": True,
    }


def _silence(office: WebOffice) -> None:
    office.write(EventKind.DETECTOR_SILENT, incident=INSTALLATION, detector="scanner")


@pytest.mark.parametrize(
    ("harm", "what", "sentence"),
    [
        (break_record, "record", "The record cannot be written"),
        (
            lambda office: (office.root / "roster.yaml").write_text("people: [{name: 7"),
            "roster",
            "The roster cannot be",
        ),
        (_silence, "detectors", "Silent for too long: scanner."),
    ],
)
def test_what_hinders_a_response_makes_it_unready_but_not_dead(
    office: WebOffice, client: TestClient, harm: Callable[[WebOffice], object], what: str, sentence: str
) -> None:
    """503, and the sentence that belongs to the harm; alive all the same."""
    harm(office)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    told = {each["what"]: each for each in answer.json()["checks"]}
    assert not told[what]["ok"]
    assert told[what]["sentence"].startswith(sentence)
    assert str(office.root) not in answer.text
    assert client.get("/healthz").status_code == 200


def test_a_detector_that_speaks_again_or_was_taken_out_hinders_nothing(office: WebOffice, client: TestClient) -> None:
    """Only the last word about each configured detector counts."""
    for kind, name in (
        (EventKind.DETECTOR_SILENT, "scanner"),
        (EventKind.DETECTOR_HEARD, "scanner"),
        (EventKind.DETECTOR_SILENT, "long-gone"),
    ):
        office.write(kind, incident=INSTALLATION, detector=name)
    assert client.get("/readyz").status_code == 200


def test_a_chat_that_is_not_connected_makes_it_unready(office: WebOffice) -> None:
    """People would look at a chat that says nothing."""
    background, chat = Background(office.wiring), _Chat()
    client = TestClient(create_app(office.wiring, ResponseDesk(office.wiring, background), background, chat=chat))
    assert client.get("/readyz").status_code == 200
    chat.connected = False
    assert client.get("/readyz").json()["checks"][-1]["sentence"] == "The chat is not connected."


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("GET", f"/approve/{NOWHERE}", None, 410),
        ("GET", f"/enrol/{NOWHERE}", None, 410),
        ("POST", f"/approve/{NOWHERE}/assertion", b"{}", 410),
        ("POST", f"/approve/{NOWHERE}/assertion", b"{", 400),
        ("POST", f"/approve/{NOWHERE}/assertion", b"[]", 400),
        ("POST", f"/approve/{NOWHERE}/denial", b"reason=because", 410),
        ("POST", f"/approve/{NOWHERE}/denial", b"reason=", 400),
        ("POST", f"/approve/{NOWHERE}/denial", b"reason=\xff", 400),
        ("POST", f"/enrol/{NOWHERE}", b"{}", 400),
        ("POST", f"/enrol/{NOWHERE}", b'{"credential": {}, "label": "x"}', 403),
    ],
)
def test_a_link_that_leads_nowhere_gets_a_page_for_people(
    client: TestClient, method: str, path: str, content: bytes | None, status: int
) -> None:
    """A heading, a sentence and what to do next; strict headers as everywhere."""
    headers = {"content-type": "application/json"}
    answer = client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert "What now?" in answer.text
    assert HEADERS.items() <= dict(answer.headers).items()


def test_an_assertion_must_be_sent_as_json(client: TestClient) -> None:
    """A form on a foreign page cannot send JSON."""
    assert client.post(f"/approve/{NOWHERE}/assertion", content=b"{}").status_code == 415


def test_an_assertion_sent_without_a_browser_counts_like_one_from_a_browser(
    office: WebOffice, client: TestClient
) -> None:
    """The page is a convenience: what counts is the assertion.  The second time the link is gone, with 410."""
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    said = authenticator.get(step_up.look(office.wiring, token).options)
    lie = {**said, "response": {**said["response"], "signature": said["response"]["userHandle"]}}
    assert client.post(f"/approve/{token}/assertion", json=lie).status_code == 403
    assert office.approvers() == []
    for status in (200, 410):
        assert client.post(f"/approve/{token}/assertion", json=said).status_code == status
    assert office.approvers() == [("bob", "webauthn")]


def test_an_approval_that_cannot_be_written_down_does_not_count(office: WebOffice, client: TestClient) -> None:
    """503, and the same link is good for another try."""
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    said = authenticator.get(step_up.look(office.wiring, token).options)
    break_record(office)
    answer = client.post(f"/approve/{token}/assertion", json=said)
    assert answer.status_code == 503
    assert "it does not count" in answer.text


def test_a_no_by_somebody_who_lost_the_role_is_not_written(office: WebOffice, client: TestClient) -> None:
    """The link is not enough: the roster is asked again."""
    office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    office.roster([{"name": "bob", "roles": []}])
    answer = client.post(f"/approve/{token}/denial", data={"reason": "no"})
    assert answer.status_code == 410
    assert "does not hold the role" in answer.text
    assert office.wiring.incident(CASE).denials == ()


def test_names_cannot_disguise_what_people_agree_to() -> None:
    """Direction and control characters are written out."""
    assert visible("safe\u202egnp.\x00\n") == "safe<U+202E>gnp.<U+0000>\n"
    assert visible("Zoë – 鍵") == "Zoë – 鍵"


def test_markup_in_names_and_reasons_stays_text(office: WebOffice, client: TestClient) -> None:
    """Everything that others wrote is escaped."""
    answer = client.get("/approve/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert "<script>alert" not in answer.text
    assert CODENAME not in answer.text


def test_nothing_is_fetched_from_elsewhere(client: TestClient) -> None:
    """No page, style or script names another host; there is no page of API docs, which would."""
    assets = [client.get(f"/static/{name}").text for name in ("keyquell.css", "passkey.js", "icon.svg")]
    for text in (*assets, client.get("/approve/x").text):
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("over https", "")
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/static/../app.py").status_code == 404


def test_browsers_are_told_to_stay_with_https_only_where_it_is_https(tmp_path: Path) -> None:
    """``web.url`` decides."""
    for url, told in (("https://respond.example", True), ("http://localhost:8750", False)):
        with web_office(tmp_path / str(told), web={"url": url}) as office:
            answer = TestClient(office.app).get("/healthz")
            assert ("strict-transport-security" in answer.headers) is told


def test_no_log_line_holds_a_token(office: WebOffice, client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The access log has the route's pattern, the status and the time; the loggers of the server say nothing."""
    with caplog.at_level(logging.DEBUG, logger="keyquell"):
        client.get(f"/approve/{'s3cret':-<43}")
        client.get("/nowhere/s3cret-token")
        client.get("/static/passkey.js?t=s3cret-token")
    lines = [each.getMessage() for each in caplog.records if each.name == "keyquell.access"]
    assert lines[0].startswith("GET /approve/{token} 410 ")
    assert lines[1].startswith("GET (no route) 404 ")
    assert not any("s3cret" in each for each in lines)


def test_what_breaks_inside_says_nothing_of_itself(
    office: WebOffice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A 500 with a plain sentence; the log has the type and the place, not the words."""

    def broken(*_: object, **__: object) -> Any:
        raise ValueError("hunter2")

    monkeypatch.setattr("console.web.hooks.hear", broken)
    answer = TestClient(office.app).post("/hooks/detectors/scanner", content=b"{}")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text + caplog.text
    assert "ValueError" in caplog.text


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, not an address"], ""),
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ['6.6.6.6, "[2001:DB8::1]:4711"'], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["6.6.6.6, ::ffff:198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_only_trusted_proxies_say_where_a_request_comes_from(peer: str, forwarded: list[str], found: str) -> None:
    """Read from the end; what stands before the first untrusted address may be invented."""
    headers = [(b"x-forwarded-for", each.encode()) for each in forwarded]
    request = Request({"type": "http", "client": (peer, 1), "headers": headers})
    assert client_address(request, ("10.0.0.1", "10.0.0.2")) == found
