"""Approving in a real browser, with a virtual authenticator for each person; and everything that must not count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from fakes.browser import Browser
from selenium.webdriver.common.by import By
from web_office import CASE, CODENAME, PEOPLE, WebOffice, served_office

from console.web.guard import HEADERS
from flows import step_up
from playbooks.errors import NotApproved
from playbooks.event_bodies import ApprovalGiven, read_body
from playbooks.progress import gate_open
from playbooks.record import EventKind, verify_chain

APPROVED, READY = "Your approval is recorded", "Your passkey is ready"


@pytest.fixture
def browser(browser: Browser) -> Browser:
    """The browser, with nobody's devices."""
    browser.forget()
    return browser


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, served on a port of its own."""
    with served_office(tmp_path / "office") as found:
        yield found


@pytest.fixture
def passkeys(office: WebOffice, browser: Browser) -> Browser:
    """The browser, after bob and carol enrolled a passkey each."""
    for person in ("bob", "carol"):
        with browser.device_of(person):
            browser.open(office.enrol_link(person))
            assert browser.press_passkey() == READY
    return browser


def approve(office: WebOffice, browser: Browser, person: str, link: str = "") -> str:
    """The person opens the link and presses the button on their own device; what the page then says first."""
    with browser.device_of(person):
        browser.open(link or office.approve_link(person))
        return browser.press_passkey()


def test_two_people_open_the_gate_of_what_cannot_be_taken_back(office: WebOffice, passkeys: Browser) -> None:
    """The first page says who is missing, the second that the plan is free; the evidence verifies offline."""
    assert approve(office, passkeys, "bob") == APPROVED
    assert "waits for another person" in passkeys.text()
    assert approve(office, passkeys, "carol") == APPROVED
    assert "Every step of this plan may run now." in passkeys.text()
    assert office.approvers() == [("bob", "webauthn"), ("carol", "webauthn")]
    incident, authority = office.wiring.incident(CASE), office.wiring.authority()
    assert all(gate_open(incident, step, authority) for step in office.plan.steps if not step.unavailable)
    for event in office.wiring.records.of_kind(EventKind.APPROVAL_GIVEN, incident=CASE):
        given = read_body(event)
        assert isinstance(given, ApprovalGiven)
        assert given.address == "127.0.0.1"
        step_up.verify_assertion(given, office.plan)
    verify_chain(office.wiring.records.events(CASE))


def test_the_page_shows_what_is_agreed_to_and_what_cannot_be_taken_back(office: WebOffice, passkeys: Browser) -> None:
    """For whom, who asked, who agreed, the finality first, the plan with its signs, and its whole digest."""
    approve(office, passkeys, "carol")
    passkeys.open(office.approve_link("bob"))
    text = passkeys.text()
    assert passkeys.heading() == f"Approve the plan for {CODENAME}?"
    for said in ("Bob Meyer (bob)", "Alice Okafor (alice)", "Carol Nguyen (carol)", "by passkey", "4 min"):
        assert said in text
    assert text.index("is destroyed. Nobody can bring it back") < text.index("The plan")
    assert office.plan.digest in text.replace(" ", "").replace("\n", "")
    whole = passkeys.driver.find_element(By.CSS_SELECTOR, ".whole").get_attribute("textContent")
    assert str(whole).encode() == office.plan.canonical
    for line, sign in ((".stops", "-"), (".becomes", "+"), (".unknown", "!")):
        assert passkeys.driver.find_element(By.CSS_SELECTOR, f".plan {line} .sign").text == sign
    assert not [each for each in passkeys.driver.get_log("browser") if each["level"] == "SEVERE"]


def test_an_exercise_says_so_before_anything_else(office: WebOffice, passkeys: Browser) -> None:
    """Nobody mistakes a drill for the real thing, or the reverse."""
    office.case("KQ-DRILL", exercise=True)
    passkeys.open(office.approve_link("bob"))
    assert "EXERCISE" not in passkeys.text()
    passkeys.open(office.approve_link("bob", "KQ-DRILL"))
    assert passkeys.text().startswith("EXERCISE This is a drill.")


def test_a_preview_of_the_link_does_not_use_it_up(office: WebOffice, passkeys: Browser) -> None:
    """Chats open links to draw a preview; the person can still approve."""
    link = office.approve_link("bob")
    for _ in range(3):
        assert httpx.get(link).status_code == 200
    assert approve(office, passkeys, "bob", link) == APPROVED


def test_a_no_needs_the_link_alone_and_stops_the_plan(office: WebOffice, passkeys: Browser) -> None:
    """Without a passkey, and without scripts in the way: a form, a reason, and a page that says what it means."""
    passkeys.open(office.approve_link("bob"))
    passkeys.driver.find_element(By.CSS_SELECTOR, ".deny summary").click()
    passkeys.driver.find_element(By.ID, "reason").send_keys("the release of tonight needs it")
    assert passkeys.submit("button.no") == "You said no to this plan"
    denial = office.wiring.incident(CASE).denials[0]
    assert (denial.approver, denial.reason) == ("bob", "the release of tonight needs it")
    passkeys.open(office.approve_link("carol"))
    assert "Bob Meyer (bob): the release of tonight needs it" in passkeys.text()


def test_without_scripts_the_page_reads_and_says_what_is_missing(office: WebOffice, passkeys: Browser) -> None:
    """The plan is there, the button stays off, and a sentence says why."""
    driver = passkeys.driver
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        passkeys.open(office.approve_link("bob"))
        assert not driver.find_element(By.ID, "passkey").is_enabled()
        assert "A passkey needs JavaScript" in passkeys.text()
        assert "is destroyed" in passkeys.text()
    finally:
        driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_every_answer_is_kept_from_caches_frames_and_referrers(office: WebOffice, passkeys: Browser) -> None:
    """The link is a secret; pages, errors, styles and health carry the same strict headers."""
    for path in (office.approve_link("bob"), f"{office.wiring.settings.web.url}/static/passkey.js"):
        sent = dict(httpx.get(path).headers)
        assert HEADERS.items() <= sent.items()
        assert "server" not in sent


# --- refusals ------------------------------------------------------------------------------------


def test_a_link_counts_once(office: WebOffice, passkeys: Browser) -> None:
    """Used, it leads to a page that says so; what was approved stays approved."""
    link = office.approve_link("bob")
    assert approve(office, passkeys, "bob", link) == APPROVED
    passkeys.open(link)
    assert passkeys.heading() == "The link has been used"
    assert "stays approved" in passkeys.text()
    assert office.approvers() == [("bob", "webauthn")]


def test_one_person_counts_once(office: WebOffice, passkeys: Browser) -> None:
    """A second link of bob's, opened before he approved by the first, approves nothing."""
    first, second = office.approve_link("bob"), office.approve_link("bob")
    passkeys.open(second)
    passkeys.driver.switch_to.new_window("tab")
    assert approve(office, passkeys, "bob", first) == APPROVED
    passkeys.driver.close()
    passkeys.driver.switch_to.window(passkeys.driver.window_handles[0])
    with passkeys.device_of("bob"):
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "has approved this plan already" in passkeys.text()
    assert office.approvers() == [("bob", "webauthn")]


def test_whoever_asked_for_the_response_cannot_approve_it(office: WebOffice, passkeys: Browser) -> None:
    """Carol gets no link to her own case, and her passkey does not open bob's."""
    office.case("KQ-CAROL", requested_by="carol")
    with pytest.raises(NotApproved, match="asked for this"):
        office.approve_link("carol", "KQ-CAROL")
    with passkeys.device_of("carol"):
        passkeys.open(office.approve_link("bob", "KQ-CAROL"))
        passkeys.change_options("o.allowCredentials = []")
        assert passkeys.press_passkey() == "Nothing was approved"
    assert office.approvers("KQ-CAROL") == []
    assert office.refusals("KQ-CAROL")[0] == "carol asked for this and cannot approve it"


def test_another_persons_authenticator_does_not_count(office: WebOffice, passkeys: Browser) -> None:
    """The browser is not even asked for it; a page altered to ask for any passkey is refused by the server."""
    link = office.approve_link("bob")
    with passkeys.device_of("carol"):
        passkeys.open(link)
        assert "is not on this device" in passkeys.press_passkey()
        passkeys.change_options("o.allowCredentials = []")
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "the authenticator is that of carol" in passkeys.text()
    assert office.approvers() == []
    assert approve(office, passkeys, "bob", link) == APPROVED


def test_an_expired_link_is_refused_before_and_after_it_was_opened(office: WebOffice, passkeys: Browser) -> None:
    """A page that was left open approves nothing either."""
    link = office.approve_link("bob")
    with passkeys.device_of("bob"):
        passkeys.open(link)
        office.ahead += timedelta(minutes=6)
        assert passkeys.press_passkey() == "Nothing was approved"
        assert "the link has expired" in passkeys.text()
    passkeys.open(link)
    assert passkeys.heading() == "The link has expired"
    assert office.approvers() == []


def test_a_changed_plan_voids_the_link_and_the_approvals(office: WebOffice, passkeys: Browser) -> None:
    """What bob looks at is not the plan any more; what carol gave counts no more."""
    assert approve(office, passkeys, "carol") == APPROVED
    with passkeys.device_of("bob"):
        passkeys.open(office.approve_link("bob"))
        office.change_plan()
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "the plan has changed" in passkeys.text()
    assert office.approvers() == []


def test_presence_without_a_finger_or_pin_is_not_enough(office: WebOffice, passkeys: Browser) -> None:
    """The browser insists; a page altered not to insist is refused by the server."""
    with passkeys.device_of("bob", verified=False):
        passkeys.open(office.approve_link("bob"))
        assert "was not used" in passkeys.press_passkey()
        passkeys.change_options("o.userVerification = 'discouraged'")
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "verif" in passkeys.text()
    assert office.approvers() == []


def test_an_assertion_for_one_request_does_not_approve_another(office: WebOffice, passkeys: Browser) -> None:
    """Bob's answer to one plan, sent to the link of another case: its challenge is not this one's."""
    office.case("KQ-OTHER")
    other = office.approve_link("bob", "KQ-OTHER")
    with passkeys.device_of("bob"):
        passkeys.open(office.approve_link("bob"))
        token = other.rpartition("/")[2]
        passkeys.driver.execute_script(f"passkey.dataset.to = '/approve/{token}/assertion'")
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "does not verify" in passkeys.text()
    assert office.approvers() == office.approvers("KQ-OTHER") == []


def test_a_role_lost_between_page_and_touch_is_lost(office: WebOffice, passkeys: Browser) -> None:
    """The roster is read again when the passkey answers."""
    with passkeys.device_of("bob"):
        passkeys.open(office.approve_link("bob"))
        office.roster([each | {"roles": []} if each["name"] == "bob" else each for each in PEOPLE])
        assert passkeys.press_passkey() == "Nothing was approved"
    assert "does not hold the role" in passkeys.text()
    assert office.approvers() == []


def test_every_refused_attempt_stands_in_the_record(office: WebOffice, passkeys: Browser) -> None:
    """Who and why, in the incident."""
    link = office.approve_link("bob")
    office.change_plan()
    passkeys.open(link)
    assert office.refusals() == ["the plan has changed since the link was made"]


def test_an_invitation_enrols_once_and_only_whom_it_names(office: WebOffice, browser: Browser) -> None:
    """The second device needs an invitation of its own; a device is not enrolled twice."""
    link = office.enrol_link("bob")
    with browser.device_of("bob"):
        browser.open(link)
        browser.driver.find_element(By.ID, "label").send_keys("bob's laptop")
        assert browser.press_passkey() == READY
        browser.open(link)
        assert browser.heading() == "The link has been used"
        browser.open(office.enrol_link("bob"))
        assert "holds a passkey of yours already" in browser.press_passkey()
    enrolled = office.wiring.records.of_kind(EventKind.PASSKEY_ENROLLED)
    assert [(each.body["person"], each.body["label"]) for each in enrolled] == [("bob", "bob's laptop")]
