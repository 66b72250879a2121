"""Takes the pictures in docs/images from the real pages: ``make pictures``.  The tests do not collect this file."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from fakes.browser import Browser, open_browser
from web_office import WebOffice, served_office

import flows

IMAGES = Path(flows.__file__).parents[1] / "docs" / "images"
_MOST_BYTES = 200_000


@dataclass(frozen=True, slots=True)
class Screen:
    """A window in CSS pixels; ``scale`` is how many pixels of the picture one of them takes."""

    width: int
    height: int
    scale: float
    mobile: bool


DESKTOP = Screen(1000, 1060, 1, mobile=False)
SHORT = Screen(1000, 640, 1, mobile=False)
PHONE = Screen(390, 844, 1.5, mobile=True)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all pictures."""
    with open_browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[WebOffice]:
    """A leaked signing key; bob and carol have a passkey, and carol has agreed."""
    with served_office(tmp_path_factory.mktemp("office") / "it") as found:
        for person in ("bob", "carol"):
            with browser.device_of(person):
                browser.open(found.enrol_link(person))
                browser.press_passkey()
        with browser.device_of("carol"):
            browser.open(found.approve_link("carol"))
            browser.press_passkey()
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "screen"), [("approve", DESKTOP), ("approve-phone", PHONE), ("enrol", SHORT)])
def test_a_picture(office: WebOffice, browser: Browser, name: str, screen: Screen, scheme: str) -> None:
    """Small enough for a document, and nothing is wider than the screen; the phone shows the end, where one decides."""
    _set_up(browser, screen, scheme)
    browser.open(office.enrol_link("bob") if name == "enrol" else office.approve_link("bob"))
    if screen is PHONE:
        browser.driver.execute_script("scrollTo(0, document.body.scrollHeight)")
    assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= screen.width
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png", "optimizeForSpeed": False})
    picture = base64.b64decode(shot["data"])
    assert len(picture) < _MOST_BYTES
    (IMAGES / f"{name}{'-dark' if scheme == 'dark' else ''}.png").write_bytes(picture)


def _set_up(browser: Browser, screen: Screen, scheme: str) -> None:
    metrics = {
        "width": screen.width,
        "height": screen.height,
        "deviceScaleFactor": screen.scale,
        "mobile": screen.mobile,
    }
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
