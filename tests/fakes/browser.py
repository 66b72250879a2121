"""Headless Chromium with virtual authenticators: one passkey device for each person, plugged in one at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import Credential, VirtualAuthenticatorOptions
from selenium.webdriver.support.wait import WebDriverWait

_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
_PATIENCE_SECONDS = 15


class Browser:
    """One browser; every person's passkeys are kept here, as their devices would."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._devices: dict[str, list[Credential]] = {}

    @contextmanager
    def device_of(self, person: str, *, verified: bool = True) -> Iterator[None]:
        """Plug in the person's authenticator; ``verified`` is whether it gets their finger or PIN."""
        options = VirtualAuthenticatorOptions(
            protocol=VirtualAuthenticatorOptions.Protocol.CTAP2,
            transport=VirtualAuthenticatorOptions.Transport.INTERNAL,
            has_resident_key=True,
            has_user_verification=True,
            is_user_consenting=True,
            is_user_verified=verified,
        )
        self.driver.add_virtual_authenticator(options)
        try:
            for each in self._devices.get(person, []):
                self.driver.add_credential(each)
            yield
            self._devices[person] = self.driver.get_credentials()
        finally:
            self.driver.remove_virtual_authenticator()

    def open(self, url: str) -> None:
        """Go to a page."""
        self.driver.get(url)

    def press_passkey(self) -> str:
        """Press the big button and wait for what comes of it; returns the heading, or the message beside the button."""
        before = self.heading()
        button = self.driver.find_element(By.ID, "passkey")
        self._wait_until(button.is_enabled)
        button.click()
        self._wait_until(lambda: self.heading() != before or self._complaint())
        return self.heading() if self.heading() != before else self._complaint()

    def submit(self, selector: str) -> str:
        """Press a form's button; returns the heading of the page that it leads to."""
        before = self.heading()
        self.driver.find_element(By.CSS_SELECTOR, selector).click()
        self._wait_until(lambda: self.heading() not in ("", before))
        return self.heading()

    def heading(self) -> str:
        """What the page says first."""
        return str(self.driver.execute_script("return document.querySelector('h1')?.textContent ?? ''")).strip()

    def text(self) -> str:
        """Everything that a person can read."""
        return self.driver.find_element(By.TAG_NAME, "main").text

    def change_options(self, script: str) -> None:
        """Alter what the page asks the authenticator for, as a bad extension could; ``o`` are the options."""
        self.driver.execute_script(
            f"const b = document.getElementById('passkey'), o = JSON.parse(b.dataset.options); {script};"
            "b.dataset.options = JSON.stringify(o)"
        )

    def forget(self) -> None:
        """Throw away all devices."""
        self._devices.clear()

    def _complaint(self) -> str:
        found = self.driver.find_elements(By.CSS_SELECTOR, "#message.bad")
        return found[0].text if found else ""

    def _wait_until(self, met: object) -> None:
        WebDriverWait(self.driver, _PATIENCE_SECONDS, poll_frequency=0.02).until(lambda _: met())  # type: ignore[operator]


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium with a fresh profile; the test is skipped where there is none."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("Chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield Browser(started)
    finally:
        started.quit()
