"""A PagerDuty on this machine, empty for each test, and the settings for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.pagerduty_options import pager_options
from fakes.pagerduty_server import FakePagerDuty


@pytest.fixture(scope="session")
def pagerduty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePagerDuty]:
    with FakePagerDuty(tmp_path_factory.mktemp("pagerduty")) as fake:
        yield fake


@pytest.fixture
def fake(pagerduty_server: FakePagerDuty) -> FakePagerDuty:
    """The server with nothing left of the test before."""
    pagerduty_server.reset()
    return pagerduty_server


@pytest.fixture
def options(fake: FakePagerDuty, tmp_path: Path) -> dict[str, Any]:
    """Settings for both APIs and webhooks."""
    return pager_options(tmp_path, fake)
