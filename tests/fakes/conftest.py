"""What the tests of the fake Slack share: one that runs, and the real SDK's client for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fakes.slack_server import FakeSlack
from slack_sdk import WebClient


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    """An empty workspace."""
    with FakeSlack() as running:
        yield running


@pytest.fixture
def client(slack: FakeSlack) -> WebClient:
    """With the right token."""
    return WebClient(slack.bot_token, base_url=slack.base_url)
