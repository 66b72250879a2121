"""When a detector counts as silent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from playbooks.errors import InvalidInput
from playbooks.heartbeat import Pulse, expected_every

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("polled", "every", "heard", "after", "silent"),
    [
        (True, None, None, 4 * MINUTE, False),
        (True, None, None, 6 * MINUTE, True),
        (True, None, 4 * MINUTE, 6 * MINUTE, False),
        (True, None, 4 * MINUTE, 10 * MINUTE, True),
        (True, HOUR, None, 50 * MINUTE, False),
        (True, MINUTE, None, 2 * MINUTE, True),
        (False, None, None, 900 * DAY, False),
        (False, DAY, None, 23 * HOUR, False),
        (False, DAY, None, 25 * HOUR, True),
        (False, DAY, 20 * HOUR, 25 * HOUR, False),
        (False, DAY, -30 * HOUR, MINUTE, False),
        (False, DAY, -30 * HOUR, 6 * MINUTE, True),
        (False, DAY, -20 * HOUR, 3 * HOUR, False),
    ],
    ids=[
        "a poller has five minutes",
        "a poller that never succeeded is silent after five",
        "a poll that succeeded counts",
        "but not for ever",
        "an owner may allow more",
        "or less",
        "a listener of which nothing is expected may be quiet",
        "a listener has the time that was promised",
        "and is silent after it",
        "what arrived counts",
        "after a restart there is time to speak up",
        "but a silence that began before it is noticed soon",
        "and what arrived before it counts too",
    ],
)
def test_silence(
    polled: bool, every: timedelta | None, heard: timedelta | None, after: timedelta, silent: bool
) -> None:
    """Counted from the last sign of life, with a grace after the start."""
    last = START + heard if heard is not None else None
    pulse = Pulse(START, polled, every, last)
    assert bool(pulse.silence(START + after)) is silent


def test_the_reason_says_how_long_and_how_long_is_allowed() -> None:
    """In words for people."""
    assert Pulse(START, True, None).silence(START + 2 * HOUR) == (
        "no poll has succeeded for 2 hours, and 5 minutes are the most"
    )
    assert Pulse(START, False, timedelta(seconds=90)).silence(START + 3 * DAY) == (
        "nothing has arrived for 3 days, and 90 seconds are the most"
    )


@pytest.mark.parametrize("value", [0, -1, "60", True, float("nan"), float("inf"), 1e300, []])
def test_what_is_no_number_of_seconds_is_refused(value: Any) -> None:
    """The message names the detector and the field."""
    with pytest.raises(InvalidInput, match="detector 'hook', field 'expect_every_seconds'"):
        expected_every({"type": "json", "name": "hook", "expect_every_seconds": value})


def test_nothing_said_is_nothing_expected() -> None:
    """The field is optional; a fraction is allowed."""
    assert expected_every({"type": "json"}) is None
    assert expected_every({"type": "json", "expect_every_seconds": 0.5}) == timedelta(seconds=0.5)
