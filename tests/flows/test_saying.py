"""What a long-lived process says: everything once, nothing for ever, and nothing that could stop it."""

from __future__ import annotations

from flows.saying import Sayings
from playbooks.errors import KeyquellError, Refused, Throttled, Unreachable


class Time:
    """Seconds, as the test sets them."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_of_hours_is_a_few_lines() -> None:
    """One line for each ten minutes and kind of trouble, with how often it came."""
    said: list[str] = []
    time = Time()
    sayings = Sayings(said.append, quiet_seconds=600, now=time)
    for second in range(0, 3600, 5):
        time.now = second
        for case in ("INC-1", "INC-2", "INC-3"):
            sayings.trouble(f"slack of {case}", Unreachable("Slack gave no answer when asked to post the card."))
        sayings.trouble("pd", Throttled(f"PagerDuty asked to come back in {second} s."))
    assert len(said) == 12
    assert said[0] == "slack of INC-1: Slack gave no answer when asked to post the card."
    assert "359 times more" in said[2]


def test_troubles_of_another_kind_are_said() -> None:
    """Another code, another place, another sentence."""
    said: list[str] = []
    sayings = Sayings(said.append)
    sayings.trouble("slack of INC-1", Refused("no.", code="invalid_auth"))
    sayings.trouble("slack of INC-1", Refused("no.", code="missing_scope"))
    sayings.trouble("mail of INC-1", Refused("no.", code="missing_scope"))
    sayings.trouble("roster", KeyquellError("line 3 is wrong."))
    sayings.trouble("roster", KeyquellError("line 4 is wrong."))
    sayings.trouble("roster", KeyquellError("it is not there."))
    assert len(said) == 5


def test_what_was_over_and_comes_again_is_said_at_once() -> None:
    """A second outage is news."""
    said: list[str] = []
    sayings = Sayings(said.append)
    for _ in range(2):
        sayings.trouble("Prefect", KeyquellError("it did not start."))
        sayings.over("Prefect")
    assert len(said) == 2


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    """Nobody hears it, and that is all."""

    def gone(_: str) -> None:
        raise BrokenPipeError

    Sayings(gone).trouble("roster", KeyquellError("it is not there."))


def test_one_sentence_is_one_line() -> None:
    """The end of a log file in a hint, too."""
    said: list[str] = []
    Sayings(said.append).trouble("Prefect", KeyquellError("it did not start.", hint="Its log ends:\nfirst\nsecond"))
    assert said == ["Prefect: it did not start. Its log ends: first second"]
