"""What tests of the web share: an office with senders of webhooks, whoever knocks, and a browser for each module."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.browser import Browser, open_browser
from starlette.testclient import TestClient
from web_office import SENDERS, WebOffice, web_office


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """An office with senders of webhooks, and a case."""
    with web_office(tmp_path, **SENDERS) as found:
        found.case()
        yield found


@pytest.fixture
def client(office: WebOffice) -> TestClient:
    """Whoever knocks; an error inside would raise here."""
    return TestClient(office.app)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all of a module."""
    with open_browser(tmp_path_factory.mktemp("chromium")) as found:
        yield found
