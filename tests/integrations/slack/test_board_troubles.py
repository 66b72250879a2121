"""The board in Slack in trouble: nothing is doubled or lost whatever Slack does, and what is wrong is named."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from fakes.slack_server import FakeSlack
from shown_case import CHANNEL, NEW_BOARD, made, told, top, view
from written_case import Case

from integrations.slack.board import SlackBoard
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Throttled, Unreachable
from playbooks.record import EventKind


@pytest.mark.parametrize("last", ["conversations.create", "conversations.setPurpose", "chat.postMessage", "pins.add"])
def test_a_crash_anywhere_doubles_nothing(slack: FakeSlack, new_board: NEW_BOARD, last: str) -> None:
    """The process dies after the call was done and before anything was remembered; the next one has no links."""
    case = Case()
    slack.hang(last, 1.5, after=True)
    with pytest.raises(Unreachable):
        new_board().show(view(case))
    new_board().show(view(case))
    new_board().show(view(case))
    assert [each.name for each in slack.channels.values()] == [CHANNEL]
    assert len(top(slack)) == 2
    assert len(told(slack)) == len(set(told(slack))) > 1
    assert len(slack.channels[next(iter(slack.channels))].pins) == 1


def test_an_answer_that_was_lost_is_not_asked_for_again_in_vain(slack: FakeSlack, board: SlackBoard) -> None:
    """Slack took the reply and the answer did not come: the same board reads it before it goes on."""
    case = Case()
    links = board.show(view(case))
    case.note(EventKind.NOTE, text="one", by="alice")
    slack.hang("chat.postMessage", 1.5, after=True)
    with pytest.raises(Unreachable):
        board.show(view(case, links))
    case.note(EventKind.NOTE, text="two", by="alice")
    board.show(view(case, links))
    assert told(slack)[-2:] == ["Alice noted: one.", "Alice noted: two."]
    assert sum("noted" in each for each in told(slack)) == 2


def test_a_new_process_goes_on_where_the_last_one_stopped(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """With its links: the card is edited only if it changed, and only new lines are told."""
    case = Case()
    links = new_board().show(view(case))
    count = len(slack.messages(CHANNEL))
    assert new_board().show(view(case, links)) == links
    assert len(slack.messages(CHANNEL)) == count
    assert made(slack, "chat.update") == 0
    case.note(EventKind.NOTE, text="more", by="alice")
    new_board().show(view(case, links))
    assert told(slack)[-1] == "Alice noted: more."
    assert len(slack.messages(CHANNEL)) == count + 1


def test_a_deleted_card_is_posted_again_and_the_timeline_goes_on(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Nothing that was told is told again."""
    case = Case()
    board = new_board()
    links = board.show(view(case))
    channel = slack.channels[links["channel"]]
    channel.messages = [each for each in channel.messages if each["ts"] != links["card"]]
    channel.pins.clear()
    case.note(EventKind.NOTE, text="after", by="alice")
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    again = board.show(view(case, links))
    assert again["card"] != links["card"]
    assert channel.pins == [again["card"]]
    assert told(slack).count("Declared by alice, severity high.") == 1
    new_board().show(view(case, again))
    assert told(slack)[-2:] == ["Alice noted: after.", "Bob took the case."]


def test_a_deleted_channel_is_made_anew(slack: FakeSlack, board: SlackBoard) -> None:
    """The app was thrown out: the next call makes a channel that it can see."""
    case = Case()
    links = board.show(view(case))
    slack.channels[links["channel"]].members.remove(slack.bot_user)
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    with pytest.raises(NotFound):
        board.show(view(case, links))
    again = board.show(view(case, links))
    assert again["channel"] != links["channel"]
    assert slack.channels[again["channel"]].name.startswith(CHANNEL)


def test_slack_down_is_said_at_once_and_everything_follows_in_order(slack: FakeSlack, board: SlackBoard) -> None:
    """Connections refused, then back."""
    case = Case()
    links = board.show(view(case))
    slack.down()
    for number in range(5):
        case.note(EventKind.NOTE, text=f"{number}", by="alice")
        with pytest.raises(Unreachable) as caught:
            board.show(view(case, links))
        assert slack.bot_token not in str(caught.value)
    slack.up()
    board.show(view(case, links))
    assert told(slack)[-5:] == [f"Alice noted: {number}." for number in range(5)]


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (lambda slack: slack.rate_limit("*", 7), Throttled),
        (lambda slack: slack.hang("*", 2), Unreachable),
        (lambda slack: slack.fail("*", error="internal_error"), Unreachable),
        (lambda slack: slack.fail("*", error="invalid_auth"), Refused),
    ],
)
def test_what_slack_says_is_translated(
    slack: FakeSlack, board: SlackBoard, trouble: Callable[[FakeSlack], None], expected: type[BackendError]
) -> None:
    """And nothing else has happened."""
    trouble(slack)
    with pytest.raises(expected) as caught:
        board.show(view(Case()))
    assert caught.value.subject.startswith("slack:")
    if expected is Throttled:
        assert "7 s" in caught.value.message
    assert not slack.channels


def test_a_card_that_has_to_wait_does_not_hold_the_timeline_up(slack: FakeSlack, board: SlackBoard) -> None:
    """Edits are limited for the whole workspace, posts for each channel; Slack is not asked again before its time."""
    case = Case()
    links = board.show(view(case))
    slack.rate_limit("chat.update", 30)
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    for _ in range(3):
        with pytest.raises(Throttled, match="30 s"):
            board.show(view(case, links))
    assert told(slack)[-1] == "Bob took the case."
    assert sum(each.method == "chat.update" for each in slack.calls) == 1


def test_a_storm_of_refusals_loses_and_doubles_nothing(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Every few calls fail in one way or another, processes come and go; in the end the thread is the record."""
    case = Case()
    board, links = new_board(), {}
    for number in range(12):
        case.note(EventKind.NOTE, text=f"{number:02}", by="alice")
        if number % 3 == 0:
            slack.fail("*", error="internal_error")
        if number % 4 == 0:
            slack.rate_limit("*", 1, times=2)
        if number % 5 == 0:
            board = new_board()
        try:
            links = board.show(view(case, links))
        except (Throttled, Unreachable):
            continue
    slack.heal()
    final = new_board()
    final.show(view(case, links))
    assert [each for each in told(slack) if "noted" in each] == [f"Alice noted: {number:02}." for number in range(12)]
    assert len(slack.channels) == 1
    assert len(top(slack)) == 2


@pytest.mark.parametrize("scope", ["pins:write"])
def test_what_is_nice_to_have_does_not_stop_the_rest(slack: FakeSlack, board: SlackBoard, scope: str) -> None:
    """Without the right to pin there is still a card, a plan and a timeline."""
    slack.scopes.discard(scope)
    board.show(view(Case()))
    assert len(top(slack)) == 2
    assert told(slack)


def test_a_missing_scope_is_named(slack: FakeSlack, board: SlackBoard) -> None:
    """The hint says what to add."""
    slack.scopes -= {"groups:write", "channels:manage"}
    with pytest.raises(Refused, match="groups:write") as caught:
        board.show(view(Case()))
    assert caught.value.code == "missing_scope"


def test_an_archived_channel_of_a_closed_case_is_left_alone(slack: FakeSlack, board: SlackBoard) -> None:
    """While the case is open it is an error that says what to do."""
    case = Case()
    links = board.show(view(case))
    slack.channels[links["channel"]].archived = True
    case.note(EventKind.NOTE, text="x", by="alice")
    with pytest.raises(Refused, match="Unarchive"):
        board.show(view(case, links))
    case.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    assert board.show(view(case, links)) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bot_token": "xoxb-in-clear"}, "bot_token"),
        ({"mode": "socket"}, "app_token"),
        ({"base_url": "http://slack.example/api/"}, "base_url"),
        ({"colour": "red"}, "colour"),
        ({"signing_secret": ""}, "signing_secret"),
        ({"command": "keyquell"}, "command"),
    ],
)
def test_wrong_options_are_named_and_not_repeated(change: dict[str, str], field: str) -> None:
    """No secret stands in the message."""
    options = {"mode": "http", "bot_token": "env:BOT", "signing_secret": "env:SIGN"} | change
    with pytest.raises(InvalidInput, match=field) as caught:
        SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC))
    assert "in-clear" not in str(caught.value)
