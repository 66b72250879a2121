"""Doctor asks PagerDuty whether the token works and somebody is on call, and rings nobody."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.pagerduty_server import FakePagerDuty

from integrations.paging.pagerduty import PagerDuty
from playbooks.errors import InvalidInput, NotFound, Refused, Unavailable, Unreachable

Options = dict[str, Any]


def check(options: Options) -> str:
    return PagerDuty.open("pd", options, clock=lambda: datetime.now(UTC)).check()


def test_a_good_token_says_how_many_are_on_call(fake: FakePagerDuty, options: Options) -> None:
    """And nothing was triggered."""
    assert "on call now" in check(options)
    assert fake.account.incidents == []


def test_nobody_on_call_is_a_fault(options: Options) -> None:
    """A page would ring nobody."""
    options["escalation_policies"] = ["POTHER1"]
    with pytest.raises(Unavailable, match="nobody is on call"):
        check(options)


def test_a_token_that_is_not_good_and_an_outage_are_told_apart(fake: FakePagerDuty, options: Options) -> None:
    """One needs a person, the other patience."""
    fake.fault = "forbidden"
    with pytest.raises(Refused):
        check(options)
    fake.fault = "down"
    with pytest.raises(Unreachable):
        check(options)


def test_the_events_api_alone_is_enough_to_ring(fake: FakePagerDuty, options: Options) -> None:
    """What is then missing is said."""
    alone = {name: value for name, value in options.items() if name not in ("api_token", "from_email")}
    assert "Events API" in check(alone)


def test_the_service_is_named_and_one_that_is_not_there_is_a_fault(fake: FakePagerDuty, options: Options) -> None:
    """Webhooks of any other service would be left out."""
    options["service"] = "PSERVIC"
    assert "for Keyquell" in check(options)
    options["service"] = "PNOBODY"
    with pytest.raises(NotFound, match="PNOBODY"):
        check(options)


def test_a_wrong_token_is_refused_and_not_repeated(options: Options, tmp_path: Path) -> None:
    """The reference points at something, but not at a key of this account."""
    (tmp_path / "token").write_text("u+wrongwrongwrongwrong")
    with pytest.raises(Refused) as caught:
        check(options)
    assert "wrongwrong" not in f"{caught.value} {caught.value.hint}"


def test_a_routing_key_of_another_form_is_found_without_ringing(
    fake: FakePagerDuty, options: Options, tmp_path: Path
) -> None:
    """A REST token in its place, say; what stands there is not repeated."""
    (tmp_path / "routing").write_text("u+wrongwrongwrongwrong")
    with pytest.raises(InvalidInput, match="routing_key") as caught:
        check(options)
    assert "wrong" not in str(caught.value)
    assert fake.requests == []
