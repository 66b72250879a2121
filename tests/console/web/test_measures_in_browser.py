"""The metrics and readiness pages in a browser, full of cases: everybody can use them, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_selenium_python import Axe
from fakes.browser import Browser, open_browser
from measured_office import many, record
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from told import at
from web_office import WebOffice, served_without_case

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all of this."""
    with open_browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[WebOffice]:
    """Sixteen responses and four exercises; bob is signed in."""
    with served_without_case(tmp_path_factory.mktemp("measured") / "it") as found:
        record(found, [each.events for each in (*many(), *many(4, exercise=True))], now=at(60))
        browser.open(f"{found.wiring.settings.web.url}/sign-in")
        token = SignIn(found.wiring).begin("bob", "passkey")
        browser.driver.add_cookie({"name": cookie_name(found.wiring), "value": token, "path": "/"})
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1240, 390])
@pytest.mark.parametrize("path", ["/measures", "/measures?phase=contain", "/readiness"])
def test_axe_finds_nothing_serious(office: WebOffice, browser: Browser, path: str, width: int, scheme: str) -> None:
    """With every part open; nothing is wider than the screen, no complaint is logged."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.driver.set_window_size(width, 900)
    browser.open(f"{office.wiring.settings.web.url}{path}")
    browser.driver.execute_script("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    axe = Axe(browser.driver)
    axe.inject()
    found = [each for each in axe.run()["violations"] if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []
    assert browser.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth") <= 0
    assert [each for each in browser.driver.get_log("browser") if each["level"] == "SEVERE"] == []


def test_the_choice_is_made_with_the_keyboard_and_dots_are_no_stops(office: WebOffice, browser: Browser) -> None:
    """The dots' links are in the tables, where a keyboard reaches them."""
    browser.open(f"{office.wiring.settings.web.url}/measures")
    stops = "return [...document.querySelectorAll('.plot a')].filter((each) => each.tabIndex >= 0).length"
    assert browser.driver.execute_script(stops) == 0
    Select(browser.driver.find_element(By.ID, "phase")).select_by_visible_text("Contain")
    browser.driver.find_element(By.CSS_SELECTOR, ".choose button").send_keys(Keys.ENTER)
    WebDriverWait(browser.driver, 10).until(lambda driver: "phase=contain" in driver.current_url)
    assert browser.driver.find_elements(By.ID, "p-contain")
    assert not browser.driver.find_elements(By.ID, "m-contain")


def test_a_dot_leads_to_its_case(office: WebOffice, browser: Browser) -> None:
    """With the mouse."""
    browser.driver.set_window_size(1240, 900)
    browser.open(f"{office.wiring.settings.web.url}/measures")
    dot = browser.driver.find_element(By.CSS_SELECTOR, "#m-contain .real .plot a")
    target = dot.get_dom_attribute("href")
    browser.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", dot)
    dot.find_element(By.TAG_NAME, "circle").click()
    assert browser.driver.current_url.endswith(target)
    assert browser.heading() not in ("", "This did not work")


def test_dots_stand_where_their_duration_is_on_the_axis(office: WebOffice, browser: Browser) -> None:
    """As the browser drew them: further to the right is longer, and all are inside the picture."""
    browser.open(f"{office.wiring.settings.web.url}/measures")
    script = """
      const plot = document.querySelector('#m-contain .real .plot'), frame = plot.getBoundingClientRect();
      return [...plot.querySelectorAll('a circle')].map((each) => {
        const box = each.getBoundingClientRect();
        return [box.left - frame.left, frame.right - box.right, box.top - frame.top, frame.bottom - box.bottom];
      });"""
    places = browser.driver.execute_script(script)
    assert len(places) == 16
    assert all(space >= 0 for each in places for space in each)
