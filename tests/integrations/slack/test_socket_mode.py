"""Socket Mode stays up: after cuts, silences, refusals and restarts of Slack; what is repeated is done once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.slack_listener import listening, until
from slack_listening import Floor, floor

from playbooks.errors import InvalidInput


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Floor]:
    with floor(tmp_path) as found:
        yield found


def _works(at: Floor) -> None:
    before = len(at.whispers())
    at.type("help")
    until(lambda: len(at.whispers()) > before, "an answer")


def test_a_cut_connection_is_made_again(at: Floor) -> None:
    """A command typed meanwhile is delivered and answered."""
    for _ in range(3):
        at.slack.drop_socket()
        _works(at)
    assert at.slack.sockets.connected == 4


def test_a_connection_that_goes_silent_is_replaced(at: Floor) -> None:
    """No byte comes and no error either; pings find it out."""
    at.slack.half_open()
    until(lambda: at.slack.sockets.live, "a fresh connection")
    _works(at)


def test_when_slack_asks_to_reconnect_the_new_connection_comes_first(at: Floor) -> None:
    """There is no moment without a connection."""
    at.slack.ask_to_reconnect()
    until(lambda: at.slack.sockets.connected == 2, "a second connection")
    until(lambda: len(at.slack.sockets.live) == 1, "the end of the first")
    assert at.app.connected
    _works(at)


def test_the_listener_starts_while_slack_is_down(tmp_path: Path) -> None:
    """It says that it is not connected, and is once Slack is back."""
    with floor(tmp_path, start=False) as at:
        at.slack.down()
        with listening(at.app):
            time.sleep(0.3)
            assert not at.app.connected
            at.slack.up()
            until(lambda: at.app.connected, "a connection")
            _works(at)


def test_a_refused_token_is_tried_again_and_nothing_breaks(tmp_path: Path) -> None:
    """Whoever mends the app's settings need not restart keyquell."""
    with floor(tmp_path, start=False) as at:
        at.slack.fail("apps.connections.open", error="invalid_auth", times=2)
        with listening(at.app):
            until(lambda: at.app.connected, "a connection")


def test_a_storm_of_429_delays_the_answers_and_loses_none(at: Floor) -> None:
    """Each answer is given once."""
    at.slack.rate_limit("views.open", 1, times=1)
    at.slack.rate_limit("conversations.open", 1, times=3)
    at.slack.rate_limit("chat.postMessage", 1, times=3)
    at.desk.opened()
    at.type("export")
    at.type("declare")
    at.heard("in your direct messages")
    at.heard("Slack did not open the form")
    assert at.app.connected


def test_a_repeated_envelope_is_acknowledged_and_done_once(at: Floor) -> None:
    """Slack repeats what it believes lost."""
    at.desk.opened()
    at.type("who")
    at.heard("Ann responds")
    for _ in range(3):
        assert at.slack.replay_last().attempts == 2
    _works(at)
    assert len(at.desk.calls("who")) == 1


def test_a_repeated_envelope_with_an_answer_gets_the_same_answer(at: Floor) -> None:
    """The error in a form is repeated, not lost."""
    form, values = at.fill(since=int(time.time()) + 86_400)
    first = at.slack.submit(form, values, at.ann)
    assert at.slack.replay_last().body == first.body


def test_an_answer_that_slack_refuses_is_logged_without_its_words(at: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """The log says that something could not be said, and why; not what."""
    at.desk.opened()
    at.slack.response_urls.clear()
    at.slack.ephemerals.clear()
    at.slack.fail("chat.postEphemeral", error="channel_not_found")
    at.slack.fail("chat.postMessage", error="channel_not_found")
    with at.slack.lock:
        at.slack.response_url_seconds = -1.0
    at.type("who")
    until(lambda: "could not be given" in caplog.text, "the log")
    assert "Ann responds" not in caplog.text
    assert at.app.connected


def test_a_hung_slack_does_not_keep_the_listener_from_ending(tmp_path: Path) -> None:
    """``stop`` ends it whatever Slack does; the fixture sees that the thread has ended."""
    with floor(tmp_path) as at:
        at.slack.half_open()


def test_a_listener_in_another_team_hears_nothing(tmp_path: Path) -> None:
    """With ``team`` set, what comes from another workspace is acknowledged and dropped."""
    from fakes.slack_listener import open_app

    with floor(tmp_path, start=False) as at:
        app = open_app(tmp_path, at.slack, at.desk, team="T0OTHER")
        with listening(app):
            until(lambda: app.connected, "a connection")
            at.type("status")
        assert at.desk.asked == []
        assert at.whispers() == []


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"bot_token": "xoxb-in-clear"}, "secret"), ({"mode": "carrier-pigeon"}, "mode"), ({"tokn": "x"}, "tokn")],
)
def test_a_wrong_setting_is_named(tmp_path: Path, wrong: dict[str, str], field: str) -> None:
    """The message names the field and repeats no value."""
    from fakes.slack_listener import open_app

    with floor(tmp_path, start=False) as at, pytest.raises(InvalidInput) as caught:
        open_app(tmp_path, at.slack, at.desk, **wrong)
    assert field in str(caught.value)
    assert "in-clear" not in str(caught.value)


def test_stop_before_the_first_connection_ends_at_once(tmp_path: Path) -> None:
    """Nothing waits for a Slack that is not there."""
    with floor(tmp_path, start=False) as at:
        at.slack.down()

        async def started_and_stopped() -> None:
            stop = asyncio.Event()
            running = asyncio.create_task(at.app.run(stop))
            await asyncio.sleep(0.2)
            stop.set()
            await running

        asyncio.run(started_and_stopped())
        assert not at.app.connected
