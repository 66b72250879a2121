"""A visitor of the pages, in a browser and without, and what would keep people from using a page."""

from __future__ import annotations

from axe_selenium_python import Axe
from fakes.browser import Browser
from starlette.testclient import TestClient
from web_office import WebOffice

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn


def visiting(office: WebOffice, person: str = "bob") -> TestClient:
    """A client with a session of this person, whose forms come from the pages themselves."""
    url = office.wiring.settings.web.url
    client = TestClient(office.app, base_url=url, headers={"origin": url, "sec-fetch-site": "same-origin"})
    client.cookies.set(cookie_name(office.wiring), SignIn(office.wiring).begin(person, "passkey"))
    return client


def enter(office: WebOffice, browser: Browser, person: str = "bob") -> None:
    """Give the browser a session of this person."""
    browser.open(f"{office.wiring.settings.web.url}/sign-in")
    token = SignIn(office.wiring).begin(person, "passkey")
    browser.driver.add_cookie({"name": cookie_name(office.wiring), "value": token, "path": "/"})


def obstacles(browser: Browser, url: str, *, width: int) -> list[object]:
    """What axe calls serious on the page with every part open, what is wider than the screen, and what is logged."""
    browser.driver.set_window_size(width, 900)
    browser.open(url)
    browser.driver.execute_script("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    axe = Axe(browser.driver)
    axe.inject()
    serious = [each for each in axe.run()["violations"] if each["impact"] in ("serious", "critical")]
    found: list[object] = [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in serious]
    wider = browser.driver.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    found += [f"{wider} px wider than the screen"] if wider > 0 else []
    return found + [each for each in browser.driver.get_log("browser") if each["level"] == "SEVERE"]
