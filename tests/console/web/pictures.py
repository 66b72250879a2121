"""Takes the pictures in docs/images from the real pages: ``make pictures``.  The tests do not collect this file."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.browser import Browser
from measured_office import many, record
from told import at
from visiting import enter
from web_office import CASE, KEY, WebOffice, served_office, served_without_case

import flows
from playbooks.exposures import Exposure, ExposureKind, Interval
from playbooks.record import EventKind
from playbooks.usage_baseline import hour_of

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
WIDE = Screen(1240, 900, 1, mobile=False)
SHORT = Screen(1000, 640, 1, mobile=False)
PHONE = Screen(390, 844, 1.5, mobile=True)


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


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[WebOffice]:
    """The same case further on: taken, one move proven, the rest goes on; and a watched key with a loud hour."""
    browser.forget()
    detector = {"type": "key-usage", "name": "usage", "connection": "prod", "keys": ["aws-kms:prod/orders"]}
    more = {"detectors": [detector], "connections": {"prod": {"type": "aws", "region": "eu-central-1"}}}
    with served_office(tmp_path_factory.mktemp("later") / "it", more=more) as found:
        zero = found.wiring.incident(CASE).opened_at
        began = Interval(not_before=zero - timedelta(hours=20), not_after=zero - timedelta(minutes=4))
        exposure = Exposure(kind=ExposureKind.SIGNING_KEY, target=KEY, occurred=began, confidence=0.95)
        found.write(EventKind.EXPOSURE_ADDED, exposure=exposure)
        found.ahead = timedelta(seconds=41)
        found.write(EventKind.ACKNOWLEDGED, by="alice", via="slack")
        step = next(each for each in found.plan.steps if each.undo and not each.unavailable)
        found.write(EventKind.STEP_STARTED, step=step.id, attempt=1, owner="host/1/0")
        found.ahead = timedelta(seconds=44)
        found.write(EventKind.STEP_FINISHED, step=step.id, outcome="proven")
        found.ahead = timedelta(minutes=6)
        _readings(found)
        yield found


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[WebOffice]:
    """Sixteen responses to leaked credentials, two of them still under way, and seven exercises."""
    browser.forget()
    with served_without_case(tmp_path_factory.mktemp("measured") / "it") as found:
        record(found, [each.events for each in (*many(), *many(7, exercise=True))], now=at(60))
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "path"), [("measures", "/measures#m-contain")])
def test_a_picture_of_many_cases(measured: WebOffice, browser: Browser, name: str, path: str, scheme: str) -> None:
    """What is measured over all of them."""
    _take(measured, browser, name, path, scheme)


def _readings(office: WebOffice) -> None:
    """A key that is used by day, and was used more than usual in one hour."""
    now = office.wiring.clock()
    this = hour_of(now)
    hours = {hour: round(40 + 36 * math.sin((hour % 24 - 8) / 24 * math.tau)) for hour in range(this - 400, this + 1)}
    hours[this - 31] = 310
    state = {"read": now.isoformat(), "hours": hours, "began": this - 400}
    state["principals"] = ["arn:aws:sts::111122223333:assumed-role/svc-shop"]
    place = office.wiring.settings.state / "cursors" / "usage"
    place.parent.mkdir(parents=True, exist_ok=True)
    kept = {"read": now.isoformat(), "keys": {"aws-kms:prod/orders": state}}
    place.write_text(json.dumps(kept), encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "screen"), [("approve", DESKTOP), ("approve-phone", PHONE), ("enrol", SHORT)])
def test_a_picture(office: WebOffice, browser: Browser, name: str, screen: Screen, scheme: str) -> None:
    """Small enough for a document, and nothing is wider than the screen; the phone shows the end, where one decides."""
    _set_up(browser, screen, scheme)
    browser.open(office.enrol_link("bob") if name == "enrol" else office.approve_link("bob"))
    if screen is PHONE:
        browser.driver.execute_script("scrollTo(0, document.body.scrollHeight)")
    assert browser.driver.execute_script("return document.documentElement.scrollWidth") <= screen.width
    _shoot(browser, name, scheme)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "path"), [("case", f"/incidents/{CASE}#when"), ("estate", f"/estate?incident={CASE}"), ("usage", "/usage")]
)
def test_a_picture_of_a_page(lived_in: WebOffice, browser: Browser, name: str, path: str, scheme: str) -> None:
    """What managers read, a while after the case was opened."""
    _take(lived_in, browser, name, path, scheme)


def _take(office: WebOffice, browser: Browser, name: str, path: str, scheme: str) -> None:
    enter(office, browser)
    _set_up(browser, WIDE, scheme)
    browser.open(f"{office.wiring.settings.web.url}{path}")
    _shoot(browser, name, scheme)


def _shoot(browser: Browser, name: str, scheme: str) -> None:
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
