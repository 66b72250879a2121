"""The page of deadlines: what is due next, who may record what, and that everybody can use it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.browser import Browser
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from visiting import enter, obstacles, visiting
from web_office import CASE, PEOPLE, WebOffice, served_office, web_office

from console.web.deadline_rows import case_rows
from console.web.site import Site
from flows.deadlines import decide_not_due, file, start_clock
from playbooks.desk import Actor
from playbooks.record import EventKind

ALICE = Actor(account="alice", via="web")
APPLIES = {"applies": ["gdpr", "nis2", "dora", "sec-8k", "pci-dss"], "country": "DE", "timezone": "Europe/Berlin"}
DRILL, OTHER = "KQ-2027-0008", "KQ-2027-0009"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """Alice's case, of an organisation to which some regimes apply."""
    with web_office(tmp_path / "office", deadlines=APPLIES) as found:
        found.case()
        yield found


def fill(office: WebOffice) -> None:
    """Deadlines in every state, in two real cases and an exercise."""
    office.case(DRILL, exercise=True)
    office.case(OTHER)

    def ago(hours: float) -> datetime:
        return office.wiring.clock() - timedelta(hours=hours)

    for trigger, hours in (
        ("personal-data-aware", 61), ("significant-incident-aware", 30), ("account-key-compromise", 30),
        ("sec-material", 1), ("dora-classified", 30),
    ):  # fmt: skip
        start_clock(office.wiring, ALICE, CASE, trigger, at=ago(hours), reason="<b>said</b> so")
    file(office.wiring, ALICE, CASE, "dora-initial", at=ago(28), reference="BaFin 17")
    start_clock(office.wiring, ALICE, OTHER, "personal-data-aware", at=ago(80))
    file(office.wiring, ALICE, OTHER, "gdpr-authority", at=ago(2))
    decide_not_due(office.wiring, ALICE, OTHER, "nis2-notification", reason="no essential service")
    start_clock(office.wiring, ALICE, DRILL, "personal-data-aware", at=ago(100))


def plain(html: str) -> str:
    """The page's words in a row."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_what_is_due_next_comes_first_and_exercises_are_apart(office: WebOffice) -> None:
    """An exercise's late deadline is not in the headline; every group says what it is."""
    fill(office)
    text = plain(visiting(office, "alice").get("/deadlines").text)
    assert "1 deadline is overdue, and the next is due in 10 h" in text
    assert "Information, not legal advice." in text
    words = (
        "Overdue",
        "late by",
        "Due soon",
        "Running",
        "Promptly, without a clock",
        "Not started",
        "filed late",
        "Exercises",
    )
    places = [text.index(each) for each in words]
    assert places == sorted(places)
    assert "BaFin 17" in text
    assert "read 2026-11-24" in text
    assert "<b>said" not in visiting(office, "alice").get("/deadlines").text


def test_many_open_cases_leave_the_page_readable(office: WebOffice) -> None:
    """The latest offer their clocks; of the others it says how many there are."""
    for number in range(22):
        office.case(f"KQ-2028-{number:04}")
    page = visiting(office, "alice").get("/deadlines").text
    assert page.count('class="clocks"') == 20
    assert "And 3 older cases" in plain(page)


def test_a_clock_is_started_and_a_filing_recorded_by_forms(office: WebOffice) -> None:
    """Times are of the organisation's zone; the record says who."""
    client = visiting(office, "alice")
    local = office.wiring.clock().astimezone(UTC) - timedelta(hours=9)
    said = {
        "trigger": "personal-data-aware",
        "at": f"{local:%Y-%m-%dT%H:%M}+00:00",
        "reason": "a report",
        "here": "/deadlines",
    }
    sent = client.post(f"/deadlines/{CASE}/start", data=said, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/deadlines")
    said = {"rule": "gdpr-authority", "reference": "17", "here": f"/incidents/{CASE}"}
    sent = client.post(f"/deadlines/{CASE}/file", data=said, follow_redirects=False)
    assert sent.headers["location"] == f"/incidents/{CASE}"
    client.post(f"/deadlines/{CASE}/not-due", data={"rule": "nis2-notification", "reason": "none"})
    oversight = office.wiring.incident(CASE).oversight
    assert {each.by for each in (*oversight.clocks.values(), *oversight.settled.values())} == {"alice"}
    assert [each.outcome for each in oversight.settled.values()] == ["filed", "not-due"]


@pytest.mark.parametrize(
    ("what", "said", "told"),
    [
        ("start", {"trigger": "personal-data-aware", "at": "2126-01-01T00:00"}, "in the future"),
        ("start", {"trigger": ""}, "starts no clock here"),
        ("file", {"rule": "hipaa-hhs"}, "is off"),
        ("not-due", {"rule": "gdpr-authority"}, "is missing"),
        ("anything", {}, "nothing that can be recorded"),
    ],
)
def test_what_cannot_be_is_said_on_the_page(office: WebOffice, what: str, said: dict[str, str], told: str) -> None:
    """And nothing is written."""
    before = office.wiring.incident(CASE).head
    answer = visiting(office, "alice").post(f"/deadlines/{CASE}/{what}", data=said)
    assert answer.status_code == 422
    assert told in answer.text
    assert office.wiring.incident(CASE).head == before


def test_who_only_reads_sees_no_forms_and_records_nothing(office: WebOffice) -> None:
    """The refusal stands in the record."""
    office.roster([*PEOPLE, {"name": "rita", "roles": ["read"]}])
    fill(office)
    client = visiting(office, "rita")
    page = client.get("/deadlines").text
    assert '<form method="post" action="/deadlines' not in page
    assert "We classified the incident as major" in page
    answer = client.post(f"/deadlines/{CASE}/file", data={"rule": "gdpr-authority"})
    assert answer.status_code == 403
    assert any("read" in each or "hold" in each for each in office.refusals())


def test_a_form_of_another_site_records_nothing(office: WebOffice) -> None:
    """Nor one that does not say where it comes from."""
    client = visiting(office, "alice")
    for headers in (
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "null", "sec-fetch-site": ""},
    ):
        said = {"trigger": "personal-data-aware"}
        assert client.post(f"/deadlines/{CASE}/start", data=said, headers=headers).status_code == 403
    assert not office.wiring.records.of_kind(EventKind.CLOCK_STARTED)


def test_an_organisation_that_named_no_regime_is_told_how(tmp_path: Path) -> None:
    """Nothing applies by itself."""
    with web_office(tmp_path / "office") as found:
        found.case()
        text = plain(visiting(found, "alice").get("/deadlines").text)
    assert "Nobody has said which regimes apply." in text
    assert "deadlines.applies" in text


def test_rules_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """The page stays."""
    with web_office(tmp_path / "office", deadlines={"rules": "rules.yaml"}) as found:
        (tmp_path / "office" / "rules.yaml").write_text("version: 2", encoding="utf-8")
        answer = visiting(found, "alice").get("/deadlines")
    assert answer.status_code == 200
    assert "cannot be read" in answer.text
    assert "rules.yaml:1" in answer.text


def test_one_case_has_its_rows_for_its_own_page(office: WebOffice, site: Any) -> None:
    """Whose clock runs, what follows a filing, what was settled; and the forms for the visitor."""
    fill(office)
    rows = case_rows(site, CASE)
    assert [each.rule.id for each in rows.running] == [
        "nis2-early-warning", "gdpr-authority", "nis2-notification", "dora-intermediate", "sec-8k", "pci-dss-key",
    ]  # fmt: skip
    assert rows.running[0].percent == 100
    assert rows.running[-1].percent is None
    assert [each.rule.id for each in rows.settled] == ["dora-initial"]
    assert {each.rule.id for each in rows.later} == {"nis2-final", "dora-final"}
    assert set(rows.triggers) == {"personal-data-high-risk", "processor-aware", "dora-aware"}


@pytest.fixture
def site(office: WebOffice) -> Site:
    """What views are given, as far as rows need it."""
    from console.web.local_visitors import LocalVisitors
    from console.web.threads import Threads
    from flows.background import Background
    from flows.desk import ResponseDesk
    from flows.overview import Overview

    background = Background(office.wiring)
    desk = ResponseDesk(office.wiring, background)
    return Site(office.wiring, desk, background, Overview(office.wiring), LocalVisitors(), Threads(), ())


# --- in a browser ------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path, browser: Browser) -> Iterator[WebOffice]:
    """The filled page on a port of its own, and alice in the browser."""
    browser.forget()
    with served_office(tmp_path / "office", more={"deadlines": APPLIES}) as found:
        fill(found)
        enter(found, browser, "alice")
        yield found
        browser.driver.delete_all_cookies()


@pytest.mark.parametrize("width", [1240, 390])
def test_axe_finds_nothing_serious_with_every_part_open(served: WebOffice, browser: Browser, width: int) -> None:
    """Forms and rules included; nothing is wider than the screen."""
    assert obstacles(browser, f"{served.wiring.settings.web.url}/deadlines", width=width) == []


def test_a_person_starts_a_clock_by_the_form(served: WebOffice, browser: Browser) -> None:
    """As browsers send it: without a referrer, from the origin "null"."""
    browser.open(f"{served.wiring.settings.web.url}/deadlines")
    form = f"form[action='/deadlines/{CASE}/start']"
    browser.driver.execute_script(f"document.querySelector(\"{form}\").closest('details').open = true")
    choice = browser.driver.find_element(By.CSS_SELECTOR, f"{form} select")
    Select(choice).select_by_value("processor-aware")
    browser.driver.find_element(By.CSS_SELECTOR, f"{form} button").click()
    WebDriverWait(browser.driver, 10).until(
        lambda _: "processor-aware" in served.wiring.incident(CASE).oversight.clocks
    )
    clock = served.wiring.incident(CASE).oversight.clocks["processor-aware"]
    assert clock.by == "alice"
    assert abs(served.wiring.clock() - clock.at) < timedelta(minutes=3)
