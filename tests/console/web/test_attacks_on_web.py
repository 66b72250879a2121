"""Attacks on the web door: floods, forged headers, foreign pages, slow senders, replays and looks behind the page."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes.authenticator import SoftAuthenticator
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from web_office import CASE, HOOK_SECRET, KEY, LEAKED, PEOPLE, SENDERS, WebOffice, served_office, token_of, web_office

from console.web import connections, guard, health
from console.web.limits import PEOPLE as PEOPLE_RATE
from console.web.limits import Buckets, Limits, Rate
from flows import open_links, step_up
from playbooks.record import INSTALLATION, EventKind

FINDING = json.dumps({"id": "leak-1", "hash": LEAKED["value"]}).encode()
HOOK = "/hooks/detectors/scanner"
OURS = "http://localhost:8750"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """An office with senders of webhooks, and a case."""
    with web_office(tmp_path, **SENDERS) as found:
        found.case()
        yield found


@pytest.fixture
def client(office: WebOffice) -> TestClient:
    """Whoever knocks."""
    return TestClient(office.app)


def guess() -> str:
    """A token in the form of ours."""
    return secrets.token_urlsafe(32)


def signed(body: bytes) -> dict[str, str]:
    """The headers of a genuine finding."""
    return {"x-signature-256": hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()}


def events(office: WebOffice) -> int:
    """How much stands in the record, of all chains."""
    return sum(count for count in office.wiring.records.heads().values()) + len(
        office.wiring.records.events(INSTALLATION)
    )


def narrow(office: WebOffice) -> Limits:
    """A door in front of the app that two refusals use up."""
    rate = Rate(burst=2, per_second=0.001)
    know = open_links.OpenLinks(office.wiring).know
    return Limits(office.app, trusted_proxies=(), know_link=know, people=Buckets(rate), programs=Buckets(rate))


class Clock:
    """Seconds as the test says."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


# --- floods ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    ["x", "", "a" * 42, "a" * 44, "a" * 42 + "+", "a" * 42 + "%0A", "%00" * 43, "..%2f..%2fetc%2fpasswd", "é" * 43],
)
def test_a_link_that_cannot_be_ours_is_refused_before_the_record_is_asked(
    office: WebOffice, client: TestClient, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token has 43 characters of base64url and nothing else."""
    before = events(office)
    for name in ("look", "redeem", "invited", "enrol"):
        monkeypatch.setattr(step_up, name, None)
    for path in (f"/approve/{token}", f"/enrol/{token}"):
        assert client.get(path).status_code in (404, 410)
    assert client.post(f"/approve/{token}/denial", data={"reason": "no"}).status_code in (404, 410)
    assert events(office) == before


def test_a_flood_of_invented_links_leaves_one_line_in_the_record_and_ends_in_429(
    office: WebOffice, client: TestClient
) -> None:
    """Each page is told to wait; the record says once a minute that somebody tries."""
    before = len(office.wiring.records.events(INSTALLATION))
    answers = [client.get(f"/approve/{guess()}") for _ in range(int(PEOPLE_RATE.burst) + 20)]
    late = answers[-1]
    assert (late.status_code, late.headers["retry-after"]) == (429, "1")
    assert "Wait a moment" in late.text
    assert late.headers["x-frame-options"] == "DENY"
    assert len(office.wiring.records.events(INSTALLATION)) - before == 1


def test_a_responder_gets_in_while_an_attacker_floods_from_the_same_address(
    office: WebOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that was made lately is let in, however little is left for its address; one of yesterday is not."""
    monkeypatch.setattr(open_links, "_READ_AGAIN_SECONDS", 0.0)
    client = TestClient(narrow(office))
    authenticator = office.enrol("bob")
    for _ in range(5):
        client.get(f"/approve/{guess()}")
    token, invitation = token_of(office.approve_link("bob")), token_of(office.enrol_link("carol"))
    assert client.get(f"/approve/{token}").status_code == 200
    assert client.get(f"/enrol/{invitation}").status_code == 200
    said = authenticator.get(step_up.look(office.wiring, token).options)
    assert client.post(f"/approve/{token}/assertion", json=said).status_code == 200
    assert office.approvers() == [("bob", "webauthn")]
    assert client.get(f"/approve/{guess()}").status_code == 429
    office.ahead += timedelta(minutes=10)
    assert client.get(f"/enrol/{invitation}").status_code == 429


def test_the_record_is_asked_for_links_once_a_second_however_many_knock(
    office: WebOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is turned away costs a look into memory; a record that cannot be read lets nobody past."""
    asked: list[object] = []
    links = open_links.OpenLinks(office.wiring)
    monkeypatch.setattr(links, "_read", lambda: asked.append(1) or frozenset())
    assert not any(links.know(guess()) for _ in range(1000))
    assert len(asked) < 5


def test_a_flood_of_forged_webhooks_ends_in_429_and_writes_nothing(office: WebOffice) -> None:
    """Refused ones use the address up; another address is heard all the same."""
    before, door = events(office), narrow(office)
    client = TestClient(door)
    assert [client.post(HOOK, content=FINDING).status_code for _ in range(4)] == [401, 401, 429, 429]
    assert client.post("/slack/events", content=b"x").status_code == 429
    assert events(office) == before
    elsewhere = TestClient(door, client=("203.0.113.7", 1))
    assert elsewhere.post(HOOK, content=FINDING, headers=signed(FINDING)).status_code == 202


def test_a_busy_sender_with_a_right_signature_is_never_its_own_flood(office: WebOffice) -> None:
    """What is taken is given back; only what is turned away counts."""
    client = TestClient(narrow(office))
    for _ in range(5):
        assert client.post(HOOK, content=FINDING, headers=signed(FINDING)).status_code == 202


def test_what_an_address_may_comes_back_with_time_and_memory_is_bounded() -> None:
    """A token bucket an address; a customer's whole IPv6 network is one; the oldest are forgotten."""
    clock = Clock()
    buckets = Buckets(Rate(burst=2, per_second=1), seconds=clock, most_addresses=100)
    assert [buckets.take("198.51.100.1") for _ in range(3)] == [0.0, 0.0, 1.0]
    clock.now = 0.5
    assert buckets.take("198.51.100.1") == 0.5
    clock.now = 1.0
    assert buckets.take("198.51.100.1") == 0.0
    assert [bool(buckets.take(f"2001:db8::{number:x}")) for number in range(3)] == [False, False, True]
    for number in range(1000):
        buckets.take(f"10.0.{number // 250}.{number % 250}")
        buckets.take(f"nonsense {number}")
    assert len(buckets) == 100


def test_a_flood_of_questions_after_health_is_one_question_to_the_record(
    office: WebOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks while another waits shares the answer, so that approvals are not crowded out."""
    asked: list[object] = []

    def slow(*given: object) -> list[health.Check]:
        asked.append(given)
        time.sleep(0.1)
        return []

    async def flood() -> list[int]:
        transport = httpx.ASGITransport(office.app)
        async with httpx.AsyncClient(transport=transport, base_url=OURS) as many:
            return [each.status_code for each in await asyncio.gather(*(many.get("/readyz") for _ in range(50)))]

    monkeypatch.setattr(health, "examine", slow)
    assert asyncio.run(flood()) == [200] * 50
    assert len(asked) < 5


# --- forged headers --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "forged",
    [
        {"x-forwarded-for": "10.1.2.3"},
        {"forwarded": "for=10.1.2.3"},
        {"x-real-ip": "10.1.2.3", "x-client-ip": "10.1.2.3", "true-client-ip": "10.1.2.3"},
        {"x-forwarded-for": "10.1.2.3, 10.0.0.1", "x-forwarded-host": "10.1.2.3"},
    ],
)
def test_an_approval_from_outside_does_not_talk_itself_into_the_allowed_network(
    office: WebOffice, forged: dict[str, str]
) -> None:
    """Only trusted proxies are believed, and there is none."""
    _approve_from(office, "203.0.113.9", forged)
    assert office.approvers() == []
    assert "it comes from a network from which approvals do not count" in office.refusals()


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        ("10.1.2.3", True),
        ("10.1.2.3:50123", True),
        ("10.1.2.3, 203.0.113.9", False),
        ("203.0.113.9:50123", False),
        ("unknown", False),
        ("10.1.2.3, for=secret", False),
        ("", False),
    ],
)
def test_behind_a_proxy_its_own_address_lets_nobody_in(tmp_path: Path, said: str, counts: bool) -> None:
    """What the proxy says counts, port or not; when it says what nobody can read, nobody knows the address."""
    with web_office(tmp_path, web={"url": OURS, "trusted_proxies": ["10.0.0.1"]}) as office:
        office.case()
        _approve_from(office, "10.0.0.1", {"x-forwarded-for": said})
        assert bool(office.approvers()) is counts


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8750", "localhost.evil.example", "x/y@z", ""])
def test_no_answer_repeats_the_host_that_a_request_names(office: WebOffice, host: str) -> None:
    """No redirect, link or page is built from it, so that neither a cache nor a rebound name gets a token."""
    client = TestClient(office.app, follow_redirects=False)
    token = token_of(office.enrol_link("bob"))
    for path in (f"/enrol/{token}", f"/enrol/{token}/", f"/enrol//{token}", "/static", "/healthz/", "/readyz"):
        answer = client.get(path, headers={"host": host, "x-forwarded-host": "evil.example"})
        assert answer.status_code not in range(300, 400)
        assert "evil.example" not in answer.text + str(answer.headers)


# --- pages of other sites --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sent_by",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://evil.example:8750", "sec-fetch-site": "same-origin"},  # a rebound name
        {"origin": f"{OURS}.evil.example"},
        {"origin": "null", "sec-fetch-site": "cross-site"},  # a sandboxed frame
        {"sec-fetch-site": "same-site"},
        {"origin": OURS, "sec-fetch-site": "cross-site"},
    ],
)
def test_a_page_of_another_site_decides_nothing(office: WebOffice, client: TestClient, sent_by: dict[str, str]) -> None:
    """Neither a no, nor an assertion, nor a passkey, also when it knows the link."""
    office.enrol("bob")
    token, invitation = token_of(office.approve_link("bob")), token_of(office.enrol_link("carol"))
    before = events(office)
    asked = [
        client.post(f"/approve/{token}/denial", data={"reason": "no"}, headers=sent_by),
        client.post(f"/approve/{token}/assertion", json={}, headers=sent_by),
        client.post(f"/enrol/{invitation}", json={"credential": {}}, headers=sent_by),
    ]
    assert [each.status_code for each in asked] == [403, 403, 403]
    assert events(office) == before


@pytest.mark.parametrize(
    "sent_by",
    [
        {},
        {"origin": OURS, "sec-fetch-site": "same-origin"},
        {"origin": "null", "sec-fetch-site": "same-origin"},  # our own form: no referrer, so no origin
    ],
)
def test_our_own_page_decides(office: WebOffice, client: TestClient, sent_by: dict[str, str]) -> None:
    """What browsers send from the page that was opened by its link."""
    office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    assert client.post(f"/approve/{token}/denial", data={"reason": "no"}, headers=sent_by).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/json5", "", "a/json"])
def test_a_body_of_another_kind_is_no_assertion_and_no_passkey(
    office: WebOffice, client: TestClient, kind: str
) -> None:
    """The kinds that a form can send are none of them."""
    for path in (f"/approve/{guess()}/assertion", f"/enrol/{guess()}"):
        assert client.post(path, content=b'{"credential": {}}', headers={"content-type": kind}).status_code == 415


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GET"])
def test_only_post_decides_and_an_override_is_no_post(office: WebOffice, client: TestClient, method: str) -> None:
    """A preview, a prefetch or a method override redeems nothing."""
    office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    override = {"x-http-method-override": "POST", "x-method-override": "POST"}
    for part in ("assertion", "denial"):
        path = f"/approve/{token}/{part}?_method=POST&reason=no"
        assert client.request(method, path, headers=override).status_code == 405
    assert office.wiring.incident(CASE).denials == ()


# --- slow and endless ------------------------------------------------------------------------------


def test_a_body_that_does_not_come_to_an_end_is_cut_off(office: WebOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is kept open costs its owner more than us; it is closed after the answer."""
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.05)
    sent: list[Message] = []

    async def receive() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "method": "POST", "path": HOOK, "raw_path": HOOK.encode(), "query_string": b""}
    asyncio.run(office.app({**scope, "headers": [], "client": ("203.0.113.9", 1), "scheme": "http"}, receive, send))
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_head_that_does_not_come_to_an_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Byte by byte, or not at all, also after an honest request; whoever is served meanwhile notices nothing."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.3)
    with served_office(tmp_path) as office:
        address = ("localhost", office.wiring.settings.web.port)
        for honest in (b"", b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"):
            with closing(socket.create_connection(address, timeout=5)) as slow:
                slow.sendall(honest)
                begun = slow.recv(65536) if honest else b""
                slow.sendall(b"GET /healthz HT")
                assert (begun + _until_closed(slow)).count(b"HTTP/1.1 200") == bool(honest)


def test_more_connections_than_the_process_can_bear_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Backends and the record need file descriptors too."""
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 3)
    with served_office(tmp_path) as office:
        address = ("localhost", office.wiring.settings.web.port)
        held = [socket.create_connection(address, timeout=5) for _ in range(3)]
        with closing(socket.create_connection(address, timeout=5)) as fourth:
            assert _until_closed(fourth) == b""
        for each in held:
            each.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert _until_closed(each).startswith(b"HTTP/1.1 200")
            each.close()


# --- what leaks ------------------------------------------------------------------------------------


def test_no_token_is_said_anywhere_but_on_its_own_page(
    office: WebOffice, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, headers, errors or the record, and no referrer carries it to another site."""
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    with caplog.at_level(logging.DEBUG):
        page = client.get(f"/approve/{token}")
        answers = [
            client.post(f"/approve/{token}/assertion", json={"id": authenticator.id}),
            client.post(f"/approve/{token}/assertion", content=b"{", headers={"content-type": "application/json"}),
            client.post(f"/approve/{token}/nowhere"),
            client.put(f"/approve/{token}"),
            client.get(f"/approve/{token}/../{token}x"),
            client.get("/healthz", headers={"referer": f"{OURS}/approve/{token}"}),
        ]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert token not in str(page.headers)
    for each in answers:
        assert token not in each.text + str(each.headers)
    assert not [each for each in caplog.records if each.name.startswith(("keyquell", "uvicorn")) and token in str(each)]
    kept = [
        event.model_dump_json() if hasattr(event, "model_dump_json") else repr(event)
        for chain in (CASE, INSTALLATION)
        for event in office.wiring.records.events(chain)
    ]
    assert token not in "".join(kept)


def test_markup_and_unseen_characters_in_what_others_wrote_stay_text_on_the_page(
    office: WebOffice, client: TestClient
) -> None:
    """Names in the roster, reasons of a no, and the key's own name."""
    evil = "<img src=x onerror=alert(1)>\u202e\u200bgnp"
    office.roster([{**each, "display": f"{each['display']} {evil}"} for each in PEOPLE])
    office.enrol("bob")
    plan = office.plan
    office.write(EventKind.APPROVAL_DENIED, approver="carol", digest=plan.digest, reason=evil, via="slack")
    office.write(
        EventKind.PLAN_MADE, plan=plan.model_copy(update={"residual": (evil,), "unknowns": (f"{KEY} {evil}",)})
    )
    page = client.get(f"/approve/{token_of(office.approve_link('bob'))}")
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "\u202e" not in page.text
    assert "&lt;img" in page.text


# --- stolen and replayed ---------------------------------------------------------------------------


def test_an_invitation_that_was_used_first_by_a_thief_is_told_to_people_and_shuts_out_the_thief_later(
    office: WebOffice, client: TestClient
) -> None:
    """The link works once; the case says that bob has a new passkey, and to whom to turn."""
    office.enrol("bob")
    token = token_of(office.enrol_link("bob"))
    thief = SoftAuthenticator(origin=OURS)
    made = thief.create(step_up.invited(office.wiring, token).options)
    assert client.post(f"/enrol/{token}", json={"credential": made, "label": "mine"}).status_code == 200
    again = SoftAuthenticator(origin=OURS).create(step_up_options())
    assert client.post(f"/enrol/{token}", json={"credential": again, "label": "x"}).status_code == 403
    told = [each for each in office.wiring.incident(CASE).messages.values() if "new passkey" in each.subject]
    assert {each.audience for each in told} == {"custodians", "responders"}
    assert all("remove-passkey" in each.body and token not in each.body for each in told)


def test_a_genuine_webhook_sent_again_and_again_is_one_finding(office: WebOffice, client: TestClient) -> None:
    """Whoever recorded it gains nothing by sending it, also under other headers."""
    assert client.post(HOOK, content=FINDING, headers=signed(FINDING)).status_code == 202
    for number in range(5):
        headers = {**signed(FINDING), "x-request-id": str(number), "content-type": "text/plain"}
        assert client.post(HOOK, content=FINDING, headers=headers).status_code == 202
    assert len(office.wiring.records.incidents()) == 2
    assert len(office.wiring.records.of_kind(EventKind.SIGNAL_RECEIVED)) == 1


def test_a_webhook_for_one_name_is_not_taken_under_another(office: WebOffice, client: TestClient) -> None:
    """Neither by way of the path, nor by a name that is no name."""
    for name in ("scanner%2F..%2Fgithub", "..%2fscanner", "scanner%00", "Scanner", "scanner ", "scanner%20", "%2e%2e"):
        assert client.post(f"/hooks/detectors/{name}", content=FINDING, headers=signed(FINDING)).status_code == 404
    assert office.wiring.records.incidents() == [CASE]


def step_up_options() -> dict[str, Any]:
    """What a page might have asked, had there been one."""
    user = {"id": "Ym9i", "name": "bob", "displayName": "bob"}
    return {"rp": {"id": "localhost"}, "user": user, "challenge": "AAAA", "excludeCredentials": []}


def _approve_from(office: WebOffice, address: str, headers: dict[str, str]) -> None:
    office.roster(PEOPLE, rules={"networks": ["10.0.0.0/8"]})
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    said = authenticator.get(step_up.look(office.wiring, token).options)
    TestClient(office.app, client=(address, 1)).post(f"/approve/{token}/assertion", json=said, headers=headers)


def _until_closed(connection: socket.socket) -> bytes:
    """All that comes before the other side closes."""
    parts = []
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)
