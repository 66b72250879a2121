"""The metrics and readiness pages in a browser, full of cases: everybody can use them, at a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.browser import Browser
from measured_office import many, record
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from told import at
from visiting import enter, obstacles
from web_office import WebOffice, served_without_case


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[WebOffice]:
    """Sixteen responses and four exercises; bob is signed in."""
    with served_without_case(tmp_path_factory.mktemp("measured") / "it") as found:
        record(found, [each.events for each in (*many(), *many(4, exercise=True))], now=at(60))
        enter(found, browser)
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1240, 390])
@pytest.mark.parametrize("path", ["/measures", "/measures?phase=contain", "/readiness"])
def test_axe_finds_nothing_serious(office: WebOffice, browser: Browser, path: str, width: int, scheme: str) -> None:
    """With every part open; nothing is wider than the screen, no complaint is logged."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    assert obstacles(browser, f"{office.wiring.settings.web.url}{path}", width=width) == []


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
