"""``/api/v1``: what it promises it keeps, for whoever may read, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from starlette.testclient import TestClient
from web_office import CASE, CODENAME, KEY, WebOffice, web_office

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn
from playbooks.record import EventKind, verify_chain

TOKEN = "program-token-of-the-tests"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}
DRILL = "KQ-2027-0008"
FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
PATHS = [
    "/incidents",
    "/incidents/{incident}",
    "/incidents/{incident}/events",
    "/incidents/{incident}/plan",
    "/measures",
    "/keys",
    "/decisions",
]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebOffice]:
    """A real case, contained; an exercise; and a case without a plan."""
    root = tmp_path_factory.mktemp("office")
    (root / "token").write_text(TOKEN, encoding="utf-8")
    with web_office(root / "office", web={"api_token": f"file:{root / 'token'}"}) as found:
        found.case()
        found.case(DRILL, exercise=True, virtual_time=True)
        found.write(EventKind.APPROVAL_GIVEN, approver="bob", digest=found.plan.digest, method="passkey")
        found.write(EventKind.CONTAINED, probes=3)
        yield found


@pytest.fixture(scope="module")
def client(office: WebOffice) -> TestClient:
    """A program with the token."""
    return TestClient(office.app, base_url=office.wiring.settings.web.url, headers=AUTHORIZED)


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_one_that_the_description_promises(office: WebOffice, path: str) -> None:
    """Status, content type and form, for good requests, bad ones and strangers; real ids among the made-up ones."""
    operation = schemathesis.openapi.from_asgi("/api/v1/openapi.json", office.app)[path]["GET"]

    @FEW
    @given(case=operation.as_strategy(generation_mode=GenerationMode.POSITIVE))
    def holds_for_good_requests(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=AUTHORIZED)
        if "incident" in case.path_parameters:
            case.path_parameters["incident"] = CASE
            answer = case.call_and_validate(headers=AUTHORIZED)
            assert answer.status_code == 200

    @FEW
    @given(case=operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def holds_for_bad_requests(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=AUTHORIZED)

    holds_for_good_requests()
    holds_for_bad_requests()


def test_nothing_is_left_out_of_the_description(client: TestClient) -> None:
    """What is tried above is all that there is, and all of it only reads."""
    found = client.get("/api/v1/openapi.json").json()
    assert {path: list(methods) for path, methods in found["paths"].items()} == {path: ["get"] for path in PATHS}
    assert found["servers"] == [{"url": "/api/v1"}]


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_and_a_wrong_token_get_a_problem_and_no_data(office: WebOffice, path: str) -> None:
    """401 as RFC 9457 has it, before the id is even looked at."""
    client = TestClient(office.app, base_url=office.wiring.settings.web.url)
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}, {"authorization": b"Bearer \xe9"}):
        answer = client.get(f"/api/v1{path}".replace("{incident}", CASE), headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
        assert answer.json()["status"] == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert CODENAME not in answer.text


def test_a_signed_in_visitor_needs_no_token(office: WebOffice) -> None:
    """The session of the browser is enough."""
    client = TestClient(office.app, base_url=office.wiring.settings.web.url)
    client.cookies.set(cookie_name(office.wiring), SignIn(office.wiring).begin("bob", "passkey"))
    assert client.get("/api/v1/incidents").status_code == 200


def test_incidents_are_told_apart_and_in_parts(client: TestClient) -> None:
    """Exercises and real cases by a parameter; ``next`` leads through all."""
    real = client.get("/api/v1/incidents", params={"exercise": False}).json()
    assert [(each["id"], each["exercise"]) for each in real["items"]] == [(CASE, False)]
    first = client.get("/api/v1/incidents", params={"limit": 1}).json()
    assert (first["total"], first["next"]) == (2, 1)
    second = client.get("/api/v1/incidents", params={"limit": 1, "offset": first["next"]}).json()
    assert second["next"] is None
    assert {first["items"][0]["id"], second["items"][0]["id"]} == {CASE, DRILL}
    assert client.get("/api/v1/incidents", params={"open": False}).json()["total"] == 0


def test_the_events_read_in_parts_are_the_whole_chain(office: WebOffice, client: TestClient) -> None:
    """Whoever reads them can verify the chain without us."""
    found, after = [], -1
    while after is not None:
        part = client.get(f"/api/v1/incidents/{CASE}/events", params={"after": after, "limit": 2}).json()
        found += part["items"]
        after = part["next"]
    kept = office.wiring.records.events(CASE)
    assert [each["hash"] for each in found] == [each.hash for each in kept]
    assert [type(kept[0]).model_validate({**each, "incident": CASE}) for each in found] == kept
    assert verify_chain(kept) == found[-1]["hash"]


def test_the_plan_shows_its_approvals_and_where_each_step_stands(office: WebOffice, client: TestClient) -> None:
    """By the digest to which the approvals are bound."""
    found = client.get(f"/api/v1/incidents/{CASE}/plan").json()
    assert found["digest"] == office.plan.digest
    assert [(each["approver"], each["method"]) for each in found["approvals"]] == [("bob", "passkey")]
    assert [each["id"] for each in found["steps"]] == [each.id for each in office.plan.steps]
    assert {each["state"] for each in found["steps"]} <= {"pending", "unavailable"}


def test_measures_keys_and_decisions_are_those_of_the_pages(client: TestClient) -> None:
    """Each by its own parameter."""
    spans = client.get("/api/v1/measures", params={"name": "revoke-proven", "exercise": False}).json()["items"]
    assert [(each["incident"], each["state"]) for each in spans] == [(CASE, "reached")]
    keys = client.get("/api/v1/keys", params={"weakness": "quantum-vulnerable"}).json()["items"]
    assert [each["ref"] for each in keys] in ([KEY], [])
    decided = client.get("/api/v1/decisions").json()["items"]
    assert [(each["who"], each["chain"]) for each in decided] == [("bob", CASE)]


def test_virtual_time_is_told_of_incidents_and_measures(client: TestClient) -> None:
    """Of the exercise that was played on a set clock, and of no other."""
    marks = {(CASE, False, False), (DRILL, True, True)}
    for path, name in (("incidents", "id"), ("measures", "incident")):
        found = client.get(f"/api/v1/{path}").json()["items"]
        assert {(each[name], each["exercise"], each["virtual_time"]) for each in found} == marks


def test_an_inventory_that_cannot_be_read_is_a_problem_and_not_a_crash(office: WebOffice, client: TestClient) -> None:
    """503, and the rest goes on."""
    estate = office.root / "estate.yaml"
    before = estate.read_text(encoding="utf-8")
    try:
        estate.write_text("keys: nonsense\n", encoding="utf-8")
        answer = client.get("/api/v1/keys")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        assert client.get("/api/v1/incidents").status_code == 200
    finally:
        estate.write_text(before, encoding="utf-8")


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/v1/incidents/", "/api/v1/incidents/INSTALLATION", "/api/v1/docs"]
)
def test_what_is_not_there_is_a_problem(client: TestClient, path: str) -> None:
    """404 in the same form; the installation's own chain is no incident."""
    answer = client.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
