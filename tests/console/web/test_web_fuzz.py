"""Whatever comes in over the network: no crash, no answer that the API does not promise, and no forgery believed."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient
from web_office import CASE, HOOK_SECRET, LEAKED, SENDERS, WebOffice, token_of, web_office

FEW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
HEADER_NAMES = st.sampled_from([
    "x-signature-256", "x-hub-signature-256", "x-github-event", "x-pagerduty-signature", "authorization",
    "github-public-key-identifier", "github-public-key-signature", "x-webhook-secret", "content-encoding",
])  # fmt: skip
HEADER_VALUES = st.one_of(
    st.sampled_from(["", "sha256=", "v1=", "v1=,v1=", "0" * 64, "sha256=" + "0" * 64, "v1=" + "0" * 64, "é", "ping"]),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=80),
)
HEADERS = st.dictionaries(HEADER_NAMES, HEADER_VALUES, max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
HOOKS = ["detectors/scanner", "detectors/github", "detectors/github-partner", "pagers/pagerduty"]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebOffice]:
    """One office for everything that is thrown at it."""
    with web_office(tmp_path_factory.mktemp("office"), **SENDERS) as found:
        found.case()
        yield found


@pytest.fixture(scope="module")
def client(office: WebOffice) -> TestClient:
    """Speaks to its app."""
    return TestClient(office.app)


ROUTES = [
    ("/hooks/detectors/{name}", "POST"),
    ("/hooks/pagers/{name}", "POST"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
]


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_every_answer_is_one_that_the_api_promises(office: WebOffice, path: str, method: str) -> None:
    """Status, content type and form, for good requests and bad ones; never a 5xx."""
    operation = schemathesis.openapi.from_asgi("/openapi.json", office.app)[path][method]
    room = path.split("/")[2] if method == "POST" else ""
    configured = [hook.rpartition("/")[2] for hook in HOOKS if room and hook.startswith(f"{room}/")]

    @settings(FEW, max_examples=15)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def holds_for_good_requests(case: schemathesis.Case) -> None:
        case.call_and_validate()
        for sender in configured:
            case.path_parameters = {"name": sender}
            case.call_and_validate()

    @settings(FEW, max_examples=15)
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def holds_for_bad_requests(case: schemathesis.Case) -> None:
        case.call_and_validate()

    holds_for_good_requests()
    if method == "POST":  # a request without parameters cannot be bad
        holds_for_bad_requests()


def test_no_route_for_programs_is_left_out_of_the_api(client: TestClient) -> None:
    """What is fuzzed here is all that there is."""
    paths = client.get("/openapi.json").json()["paths"]
    assert {(path, method.upper()) for path, methods in paths.items() for method in methods} == set(ROUTES)


@FEW
@given(
    hook=st.sampled_from(HOOKS), headers=HEADERS, body=st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode)
)
def test_no_forged_webhook_is_accepted(
    office: WebOffice, client: TestClient, hook: str, headers: dict[str, str], body: bytes
) -> None:
    """Whatever a stranger sends is 401, and leaves nothing in the record."""
    before = office.wiring.records.heads()
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    assert client.post(f"/hooks/{hook}", content=body, headers=raw).status_code == 401  # type: ignore[arg-type]
    assert office.wiring.records.heads() == before


@FEW
@given(st.data())
def test_a_genuine_webhook_with_one_byte_changed_is_a_forgery(
    office: WebOffice, client: TestClient, data: st.DataObject
) -> None:
    """In the body or in the signature."""
    before = office.wiring.records.heads()
    body = json.dumps({"id": data.draw(st.text(max_size=10)), "hash": LEAKED["value"]}).encode()
    digest = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest().encode()
    which, number = data.draw(st.sampled_from(["body", "digest"])), data.draw(st.integers(0, 63))
    flip = data.draw(st.integers(1, 127))

    def changed(value: bytes, name: str) -> bytes:
        place = number % len(value)
        return value[:place] + bytes([value[place] ^ flip]) + value[place + 1 :] if which == name else value

    digest = bytes(each if 32 < each < 127 else 33 for each in changed(digest, "digest"))
    answer = client.post(
        "/hooks/detectors/scanner", content=changed(body, "body"), headers={"x-signature-256": digest.decode()}
    )
    assert answer.status_code == 401
    assert office.wiring.records.heads() == before


@FEW
@given(hook=st.sampled_from(["scanner", "github"]), document=JSON)
def test_a_signed_body_of_any_form_is_taken_or_refused_in_order(client: TestClient, hook: str, document: Any) -> None:
    """Even a sender whose key was stolen cannot make it crash."""
    body = json.dumps(document).encode()
    digest = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-signature-256": digest, "x-hub-signature-256": f"sha256={digest}", "x-github-event": "ping"}
    if hook == "github":
        headers["x-github-event"] = "secret_scanning_alert"
    assert client.post(f"/hooks/detectors/{hook}", content=body, headers=headers).status_code in (202, 400)


@FEW
@given(
    path=st.sampled_from(["/approve/{}", "/approve/{}/assertion", "/approve/{}/denial", "/enrol/{}"]),
    token=st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_characters="/?#\\"), min_size=1),
    method=st.sampled_from(["GET", "POST"]),
    content=st.binary(max_size=80) | JSON.map(json.dumps).map(str.encode),
    kind=st.sampled_from(["application/json", "application/x-www-form-urlencoded", "text/plain"]),
)
def test_no_guess_gets_past_a_link(
    office: WebOffice, client: TestClient, path: str, token: str, method: str, content: bytes, kind: str
) -> None:
    """Any token, any body: a page that refuses."""
    answer = client.request(method, path.format(quote(token, safe="")), content=content, headers={"content-type": kind})
    assert answer.status_code in range(400, 500)
    assert office.wiring.incident(CASE).approvals == office.wiring.incident(CASE).denials == ()


@FEW
@given(assertion=st.dictionaries(st.sampled_from(["id", "rawId", "type", "response", "x"]), JSON))
def test_no_invented_assertion_is_an_approval(office: WebOffice, client: TestClient, assertion: dict[str, Any]) -> None:
    """Behind a good link, for a person whose passkey is known by its id."""
    if not hasattr(office, "passkey"):
        office.passkey = office.enrol("bob").id  # type: ignore[attr-defined]
        office.link = token_of(office.approve_link("bob"))  # type: ignore[attr-defined]
    for named in (assertion, {**assertion, "id": office.passkey, "rawId": office.passkey}):  # type: ignore[attr-defined]
        body = json.dumps(named).encode()
        answer = client.post(
            f"/approve/{office.link}/assertion",  # type: ignore[attr-defined]
            content=body,
            headers={"content-type": "application/json"},
        )
        assert answer.status_code in (400, 403)
    assert office.approvers() == []
