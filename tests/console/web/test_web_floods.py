"""Attacks on the web door by number and time: floods of links, webhooks and questions, slow senders, endless bodies."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from knocking import FINDING, HOOK, OURS, events, guess, signed
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from web_office import WebOffice, served_office, token_of

from console.web import connections, guard, health
from console.web.limits import PEOPLE as PEOPLE_RATE
from console.web.limits import Buckets, Limits, Rate
from flows import open_links, step_up
from playbooks.record import INSTALLATION


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
