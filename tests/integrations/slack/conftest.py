"""What the tests of Slack share: a workspace, its settings, and a board as each new process would have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.slack_listener import clock, options_for
from fakes.slack_server import FakeSlack
from shown_case import NEW_BOARD, impatient

from integrations.slack.board import SlackBoard


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as running:
        yield running


@pytest.fixture
def options(slack: FakeSlack, tmp_path: Path) -> dict[str, Any]:
    """The settings of the workspace, without a listener on a socket."""
    return options_for(tmp_path, slack, mode="http")


@pytest.fixture
def new_board(options: dict[str, Any]) -> NEW_BOARD:
    """A board as a new process would have it."""
    return lambda: impatient(SlackBoard.open("slack", options, clock=clock))


@pytest.fixture
def board(new_board: NEW_BOARD) -> SlackBoard:
    return new_board()
