"""Attacks on the web door by pretence: forged headers, pages of other sites, and what was recorded and sent again."""

from __future__ import annotations

from pathlib import Path

import pytest
from knocking import FINDING, HOOK, OURS, events, guess, signed
from starlette.testclient import TestClient
from web_office import CASE, PEOPLE, WebOffice, token_of, web_office

from flows import step_up
from playbooks.record import EventKind

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


# --- recorded and sent again -----------------------------------------------------------------------


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


def _approve_from(office: WebOffice, address: str, headers: dict[str, str]) -> None:
    office.roster(PEOPLE, rules={"networks": ["10.0.0.0/8"]})
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    said = authenticator.get(step_up.look(office.wiring, token).options)
    TestClient(office.app, client=(address, 1)).post(f"/approve/{token}/assertion", json=said, headers=headers)
