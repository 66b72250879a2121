"""Checkpoints in the incident's channel: one message each, readable and checkable, found again after a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.slack_listener import clock
from fakes.slack_server import FakeSlack
from sealed_checkpoint import CONTENT, INCIDENT, checkpoint
from shown_case import impatient

from integrations.registry import open_adapter
from playbooks.errors import NotFound, Refused, Throttled, Unreachable

NEW = Callable[[], Any]


@pytest.fixture
def new(options: dict[str, Any]) -> NEW:
    """The anchor as a new process would have it."""
    return lambda: impatient(open_adapter("anchors", "slack", name="slack", options=options, clock=clock))


@pytest.fixture
def channel(slack: FakeSlack, new: NEW) -> str:
    """The case's channel."""
    made = new()._calls.do("conversations.create", "to make a channel", name="kq-calm-otter", is_private=True)
    return str(made["channel"]["id"])


def test_the_message_holds_statement_and_signature_and_is_posted_once(slack: FakeSlack, new: NEW, channel: str) -> None:
    """Also when a process that has forgotten everything comes again."""
    first = new().anchor(checkpoint(links={"channel": channel}))
    assert new().anchor(checkpoint(links={"channel": channel})) == first
    [message] = slack.messages("kq-calm-otter")
    assert first.reference == f"slack:{channel}/{message['ts']}"
    assert CONTENT.decode() in message["text"]
    assert message["metadata"]["event_payload"] == {"incident": INCIDENT, "seq": 12, "head": "ab" * 32}
    assert slack.bot_token not in str(message)


def test_another_checkpoint_gets_a_message_of_its_own(slack: FakeSlack, new: NEW, channel: str) -> None:
    """It is told apart by its head."""
    for head in ("ab" * 32, "cd" * 32):
        new().anchor(checkpoint(links={"channel": channel}, head=head))
    assert len(slack.messages("kq-calm-otter")) == 2


def test_a_message_whose_answer_was_lost_is_not_posted_again(slack: FakeSlack, new: NEW, channel: str) -> None:
    """Slack had it, and we did not hear so."""
    slack.hang("chat.postMessage", 2, after=True)
    with pytest.raises(Unreachable):
        new().anchor(checkpoint(links={"channel": channel}))
    assert new().anchor(checkpoint(links={"channel": channel})) is not None
    assert len(slack.messages("kq-calm-otter")) == 1


def test_an_exercise_is_marked(slack: FakeSlack, new: NEW, channel: str) -> None:
    """In its first word."""
    new().anchor(checkpoint(exercise=True, links={"channel": channel}))
    assert slack.messages("kq-calm-otter")[0]["text"].startswith("EXERCISE.")


def test_a_case_without_a_channel_has_no_place_there(slack: FakeSlack, new: NEW) -> None:
    """And Slack is not asked."""
    assert new().anchor(checkpoint()) is None
    assert slack.calls == []


def test_a_channel_that_people_put_away_is_left_alone(slack: FakeSlack, new: NEW, channel: str) -> None:
    """It is not opened again for this."""
    slack.channels[channel].archived = True
    assert new().anchor(checkpoint(links={"channel": channel})) is None


def test_what_goes_wrong_is_said(slack: FakeSlack, new: NEW, channel: str) -> None:
    """And nothing is posted."""
    slack.rate_limit("chat.postMessage", 9)
    with pytest.raises(Throttled, match="9 s"):
        new().anchor(checkpoint(links={"channel": channel}))
    slack.fail("chat.postMessage", error="not_in_channel")
    with pytest.raises(Refused, match="not_in_channel"):
        new().anchor(checkpoint(links={"channel": channel}))
    with pytest.raises(NotFound):
        new().anchor(checkpoint(links={"channel": "C0NOWHERE"}))
    assert slack.messages("kq-calm-otter") == []
