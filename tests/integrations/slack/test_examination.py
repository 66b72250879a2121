"""Doctor asks Slack whether the app is right, and says in a sentence what is not."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.slack_listener import options_for
from fakes.slack_server import FakeSlack

from integrations.slack.board import SlackBoard
from integrations.slack.manifest import manifest
from playbooks.errors import InvalidInput, KeyquellError, Refused, Unreachable


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        fake.scopes = set(manifest()["oauth_config"]["scopes"]["bot"])
        yield fake


def check(folder: Path, slack: FakeSlack, **more: Any) -> str:
    return SlackBoard.open("slack", options_for(folder, slack, **more), clock=lambda: datetime.now(UTC)).check()


def test_an_app_as_the_manifest_has_it_is_right(slack: FakeSlack, tmp_path: Path) -> None:
    """With exactly the manifest's scopes; the way in is named."""
    assert "Socket Mode" in check(tmp_path, slack)
    assert "signed HTTP" in check(tmp_path, slack, mode="http")


def test_a_missing_scope_is_named(slack: FakeSlack, tmp_path: Path) -> None:
    """Before the fire, not in it."""
    slack.scopes -= {"pins:write", "im:write"}
    with pytest.raises(Refused, match="im:write, pins:write"):
        check(tmp_path, slack)


def test_a_wrong_token_is_refused_by_name(slack: FakeSlack, tmp_path: Path) -> None:
    """Bot token and app-level token each."""
    options = options_for(tmp_path, slack)
    (tmp_path / "bot_token").write_text("xoxb-wrong")
    with pytest.raises(Refused, match="invalid_auth"):
        SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC)).check()
    options = options_for(tmp_path, slack)
    (tmp_path / "app_token").write_text("xapp-wrong")
    with pytest.raises(Refused, match="Socket Mode"):
        SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC)).check()


def test_another_workspace_is_said(slack: FakeSlack, tmp_path: Path) -> None:
    """The token would work, in the wrong place."""
    with pytest.raises(Refused, match="TWRONG1"):
        check(tmp_path, slack, team="TWRONG1")


def test_slack_down_is_unreachable_and_says_so(slack: FakeSlack, tmp_path: Path) -> None:
    """Not a fault of the configuration."""
    slack.down()
    with pytest.raises(Unreachable):
        check(tmp_path, slack)


def test_a_signing_secret_that_is_not_there_is_named(slack: FakeSlack, tmp_path: Path) -> None:
    """Without it every event would be refused."""
    options = options_for(tmp_path, slack, mode="http")
    (tmp_path / "signing_secret").unlink()
    with pytest.raises(InvalidInput, match="signing_secret"):
        SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC)).check()


def test_no_token_reaches_a_log_however_loud_it_is(
    slack: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at DEBUG, as somebody who hunts a fault has it."""
    with caplog.at_level(logging.DEBUG):
        check(tmp_path, slack)
        slack.fail("auth.test", error="internal_error")
        with pytest.raises(KeyquellError):
            check(tmp_path, slack)
    assert slack.bot_token not in caplog.text
    assert slack.app_token not in caplog.text
