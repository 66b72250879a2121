"""Taking back and ending a case in a real browser: the page says what that opens, and only a passkey does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fakes.browser import Browser
from web_office import CASE, CODENAME, WebOffice, served_office

from flows import step_up
from playbooks import deeds
from playbooks.event_bodies import Confirmed, read_body
from playbooks.record import EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path, browser: Browser) -> Iterator[WebOffice]:
    """Alice's case, served on a port of its own; alice has a passkey."""
    browser.forget()
    with served_office(tmp_path / "office") as found:
        with browser.device_of("alice"):
            browser.open(found.enrol_link("alice"))
            browser.press_passkey()
        yield found


def test_a_case_is_ended_by_the_passkey_of_whoever_asked(office: WebOffice, browser: Browser) -> None:
    """The page says what stays open; the evidence verifies, and the case is closed as what was signed."""
    with browser.device_of("alice"):
        browser.open(office.deed_link("alice", deeds.closing("false-alarm")))
        assert browser.heading() == f"End {CODENAME} as false alarm?"
        assert "It was never proven that the leaked key or credential is dead." in browser.text()
        assert "The case is closed as false alarm." in browser.text()
        assert "Close as false alarm with passkey" in browser.text()
        assert "somebody may be using your chat account" in browser.text()
        assert browser.press_passkey() == "You ended the case"
    closed = office.wiring.incident(CASE).closed
    assert closed is not None
    assert (closed.outcome, closed.by) == ("false-alarm", "alice")
    [event] = office.wiring.records.of_kind(EventKind.CONFIRMED, incident=CASE)
    said = read_body(event)
    assert isinstance(said, Confirmed)
    step_up.verify_assertion(said, office.plan, incident=CASE)
    verify_chain(office.wiring.records.events(CASE))


def test_an_undo_names_what_it_opens_again(office: WebOffice, browser: Browser) -> None:
    """The step that ran is listed; opening the page alone takes nothing back."""
    step = next(each for each in office.plan.steps if each.undo and not each.unavailable)
    office.write(EventKind.STEP_STARTED, step=step.id, attempt=1, owner="somebody/1/0")
    office.write(EventKind.STEP_FINISHED, step=step.id, outcome="proven")
    link = office.deed_link("alice", deeds.UNDO)
    assert httpx.get(link).status_code == 200
    with browser.device_of("alice"):
        browser.open(link)
        assert browser.heading() == f"Take back what was done for {CODENAME}?"
        assert step.target in browser.text()
        assert "Whoever holds the leaked key can use it again" in browser.text()
        assert "Take it back with passkey" in browser.text()
        assert office.wiring.records.of_kind(EventKind.CONFIRMED) == []
        assert browser.press_passkey() == "You confirmed the undo"
        browser.open(link)
        assert "used" in browser.heading()
    assert len(office.wiring.records.of_kind(EventKind.CONFIRMED)) == 1


def test_there_is_no_plan_to_say_no_to(office: WebOffice) -> None:
    """The link of a confirmation denies nothing."""
    link = office.deed_link("alice", deeds.closing("not-contained"))
    answer = httpx.post(f"{link}/denial", data={"reason": "no"})
    assert answer.status_code == 400
    assert office.wiring.incident(CASE).denials == ()
