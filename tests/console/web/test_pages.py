"""The pages for people: who may look, what they see, and that everybody can use them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fakes.browser import Browser
from selenium.webdriver.common.by import By
from starlette.testclient import TestClient
from visiting import enter, obstacles
from web_office import CASE, CODENAME, PEOPLE, WebOffice, served_office, web_office

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn
from playbooks.errors import NotApproved
from playbooks.event_bodies import body_of
from playbooks.record import INSTALLATION, EventKind

PAGES = (
    "/",
    "/incidents",
    f"/incidents/{CASE}",
    f"/incidents/{CASE}/record",
    f"/incidents/{CASE}/review",
    "/estate",
    "/deadlines",
    "/measures",
    "/readiness",
    "/keys",
    "/usage",
    "/audit",
)


@pytest.fixture
def served(tmp_path: Path, browser: Browser) -> Iterator[WebOffice]:
    """Alice's case on a port of its own, and nobody's devices in the browser."""
    browser.forget()
    with served_office(tmp_path / "office") as found:
        yield found
        browser.driver.delete_all_cookies()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, without a browser."""
    with web_office(tmp_path / "office") as found:
        found.case()
        yield found


def signed_in(office: WebOffice, person: str = "bob") -> TestClient:
    """A client with a session of this person."""
    client = TestClient(office.app, base_url=office.wiring.settings.web.url)
    client.cookies.set(cookie_name(office.wiring), SignIn(office.wiring).begin(person, "passkey"))
    return client


# --- who may look ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PAGES, "/live"])
def test_nobody_looks_without_signing_in(office: WebOffice, path: str) -> None:
    """People are led to the door, programs are told 401; neither learns anything."""
    client = TestClient(office.app)
    led = client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
    assert (led.status_code, led.headers["location"]) == (303, f"/sign-in?to={path}")
    told = client.get(path, headers={"accept": "application/json"})
    assert told.status_code == 401
    assert CODENAME not in told.text + led.text


def test_a_passkey_opens_the_pages_and_signing_out_closes_them(served: WebOffice, browser: Browser) -> None:
    """From the link that was asked for, by the door, back to it."""
    with browser.device_of("bob"):
        browser.open(served.enrol_link("bob"))
        browser.press_passkey()
        browser.open(f"{served.wiring.settings.web.url}/incidents/{CASE}")
        assert browser.heading() == "Sign in"
        browser.driver.find_element(By.ID, "name").send_keys("Bob")
        browser.submit("form button")
        browser.press_passkey()
        assert browser.heading().startswith(CODENAME)
        browser.submit(".visitor button")
    assert browser.heading() == "Sign in"
    browser.open(f"{served.wiring.settings.web.url}/")
    assert browser.heading() == "Sign in"


def test_who_leaves_the_roster_is_out_at_the_next_click(office: WebOffice) -> None:
    """A session names a person and gives no right."""
    client = signed_in(office)
    assert client.get("/").status_code == 200
    office.roster([each for each in PEOPLE if each["name"] != "bob"])
    assert client.get("/", headers={"accept": "application/json"}).status_code == 401


def test_a_stranger_gets_no_session_and_it_is_recorded(office: WebOffice) -> None:
    """Whatever somebody says about who they are."""
    with pytest.raises(NotApproved):
        SignIn(office.wiring).begin("mallory", "oidc")
    assert any("nobody of this name" in each for each in office.refusals())


def test_an_answer_to_another_question_or_of_another_person_opens_nothing(office: WebOffice) -> None:
    """And a question is answered once."""
    doors = SignIn(office.wiring)
    bobs, carols = office.enrol("bob"), office.enrol("carol")
    asked = doors.ask("bob")
    with pytest.raises(NotApproved, match="not one of theirs"):
        doors.answer(asked.id, carols.get(asked.options | {"allowCredentials": [{"id": carols.id}]}))
    first, second = doors.ask("bob"), doors.ask("bob")
    said = bobs.get(first.options)
    with pytest.raises(NotApproved, match="challenge"):
        doors.answer(second.id, said)
    assert doors.session(doors.answer(first.id, said)).person == "bob"
    with pytest.raises(NotApproved, match="too old"):
        doors.answer(first.id, said)


def test_an_approvals_assertion_signs_nobody_in(office: WebOffice) -> None:
    """And the reverse: what is signed has its purpose in it."""
    doors, bobs = SignIn(office.wiring), office.enrol("bob")
    from web_office import token_of

    from flows import step_up

    token = token_of(office.approve_link("bob"))
    for_approval = bobs.get(step_up.look(office.wiring, token).options)
    with pytest.raises(NotApproved, match="challenge"):
        doors.answer(doors.ask("bob").id, for_approval)
    asked = doors.ask("bob")
    with pytest.raises(NotApproved, match="challenge"):
        step_up.redeem(office.wiring, token, bobs.get(asked.options), address="127.0.0.1")


def test_a_name_that_nobody_has_is_asked_like_any_other(office: WebOffice) -> None:
    """The door does not tell who is enrolled; the same name gets the same answer."""
    doors = SignIn(office.wiring)
    office.enrol("bob")
    asked = [doors.ask(name).options["allowCredentials"] for name in ("bob", "mallory", "mallory")]
    assert [len(each) for each in asked] == [1, 1, 1]
    assert asked[1] == asked[2]


def test_signing_out_from_another_site_does_nothing(office: WebOffice) -> None:
    """Nor does a form without any sign of where it comes from."""
    client = signed_in(office)
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {}):
        assert client.post("/sign-out", headers=headers, follow_redirects=False).status_code == 403
    assert client.get("/").status_code == 200


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nset-cookie: a=b"])
def test_the_door_leads_nowhere_else(office: WebOffice, to: str) -> None:
    """An address that is not ours becomes the first page."""
    text = TestClient(office.app).get("/sign-in", params={"to": to}).text
    assert 'name="to" value="/"' in text


def test_the_file_of_sessions_holds_no_token(office: WebOffice) -> None:
    """Whoever reads a backup signs in as nobody; a damaged file ends the sessions and nothing else."""
    doors = SignIn(office.wiring)
    token = doors.begin("bob", "passkey")
    place = office.wiring.settings.state / "sessions.json"
    assert token not in place.read_text()
    assert place.stat().st_mode & 0o077 == 0
    place.write_text("{")
    assert doors.session(token) is None
    assert doors.session(doors.begin("bob", "passkey")) is not None


def test_a_session_ends_by_itself(office: WebOffice) -> None:
    """After the hours of the settings."""
    from datetime import timedelta

    doors = SignIn(office.wiring)
    token = doors.begin("bob", "passkey")
    office.ahead += timedelta(hours=13)
    assert doors.session(token) is None


# --- what they see -----------------------------------------------------------------------------------


def test_the_first_page_says_what_burns_and_what_is_next(office: WebOffice) -> None:
    """The same words as the chat's card."""
    text = signed_in(office).get("/").text
    assert "1 of 1 open case is not contained." in text
    assert "A signing key is in other hands" in text
    assert "Contain now" in text


def test_exercises_are_never_counted_with_real_cases(office: WebOffice) -> None:
    """The headline speaks of what burns."""
    office.case("KQ-DRILL", exercise=True)
    text = re.sub(r"<[^>]+>", "", signed_in(office).get("/").text)
    assert "1 of 1 open case is not contained. And 1 exercise." in " ".join(text.split())


def test_a_case_shows_plan_decisions_and_record(office: WebOffice) -> None:
    """Found by code name too; what is not there is a 404 in words."""
    client = signed_in(office)
    text = client.get(f"/incidents/{CODENAME}").text
    for said in ("What is not shown", "the chain verifies", "Missing: 2 people", "<svg"):
        assert said in text
    assert client.get("/incidents/KQ-NO").status_code == 404


def test_nothing_that_others_wrote_becomes_markup(office: WebOffice) -> None:
    """Names and notes are text."""
    name = "<script>alert(1)</script>\u202e"
    opened = {"codename": name, "severity": "high", "exercise": False, "requested_by": name}
    body = body_of(EventKind.INCIDENT_OPENED, playbook="leaked-credential", **opened)
    office.wiring.records.append_next("KQ-EVIL", kind=EventKind.INCIDENT_OPENED, body=body)
    client = signed_in(office)
    for path in ("/", "/incidents", "/incidents/KQ-EVIL"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "\u202e" not in text


def test_a_record_that_cannot_be_read_hides_no_other(office: WebOffice) -> None:
    """The installation's own chain is no case."""
    assert INSTALLATION not in signed_in(office).get("/incidents").text


def test_pages_hear_when_the_record_grows(served: WebOffice) -> None:
    """By server-sent events, within a few looks."""
    url = served.wiring.settings.web.url
    cookies = {cookie_name(served.wiring): SignIn(served.wiring).begin("bob", "passkey")}

    async def listen() -> bool:
        client = httpx.AsyncClient(cookies=cookies, timeout=20)
        async with client, client.stream("GET", f"{url}/live") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            writer = asyncio.create_task(asyncio.to_thread(_write_a_note, served))
            async for line in stream.aiter_lines():
                if line == "event: grown":
                    await writer
                    return True
        return False

    assert asyncio.run(listen())


def _write_a_note(office: WebOffice) -> None:
    for _ in range(4):
        time.sleep(0.6)
        office.write(EventKind.NOTE, text="something happened", by="bob")


# --- everybody can use them --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1240, 390])
@pytest.mark.parametrize("path", [*PAGES, f"/estate?incident={CASE}", "/sign-in"])
def test_axe_finds_nothing_serious(served: WebOffice, browser: Browser, path: str, width: int) -> None:
    """At desktop and at phone size, with every part open; nothing is wider than the screen, no complaint is logged."""
    enter(served, browser)
    assert obstacles(browser, f"{served.wiring.settings.web.url}{path}", width=width) == []


def test_key_health_says_what_is_wrong_in_one_sentence(office: WebOffice) -> None:
    """And lists only the keys of one kind when asked; what nobody calls a weakness lists them all."""
    page = signed_in(office).get("/keys")
    assert "attention" in page.text
    assert "1 overdue" in page.text
    assert "2026-01-08" in page.text
    only = signed_in(office).get("/keys", params={"only": "never drilled", "page": 99})
    assert "Keys that are never drilled" in only.text
    assert "Every key" in signed_in(office).get("/keys", params={"only": "<b>", "page": 0}).text


def test_the_audit_says_how_the_installations_own_chain_stands(office: WebOffice) -> None:
    """An empty one is not called broken; an altered one is."""
    door = signed_in(office)
    with office.wiring.records.engine.connect() as connection:
        connection.exec_driver_sql("DELETE FROM events WHERE incident = 'INSTALLATION'")
    assert "Nothing was written to the installation's own chain yet" in door.get("/audit").text
    office.enrol_link("bob")
    assert "The installation's chain verifies" in door.get("/audit").text
    with office.wiring.records.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE events SET at = '2026-01-01T00:00:00+00:00' WHERE incident = 'INSTALLATION'")
    assert "chain does not verify" in door.get("/audit").text


def test_the_audit_names_who_was_refused_and_the_event_that_proves_it(office: WebOffice) -> None:
    """The latest first; only those that want a second look when asked; an empty page of the list is the last one."""
    refused = body_of(EventKind.ATTEMPT_REFUSED, by="mallory", what="approve", reason="not in the roster", via="slack")
    office.wiring.records.append_next(INSTALLATION, kind=EventKind.ATTEMPT_REFUSED, body=refused)
    office.write(EventKind.ACKNOWLEDGED, by="alice", via="slack")
    page = signed_in(office).get("/audit").text
    assert "took the case, by slack" in page
    assert "was refused to approve: not in the roster" in page
    loud = signed_in(office).get("/audit", params={"loud": "1", "page": 99}).text
    assert "mallory" in loud
    assert "took the case" not in loud
