"""Drill schedules: stored durably, one a scenario, and never stored when they make no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.schedules import add_schedule, parse_schedule, remove_schedule, schedules
from playbooks.errors import InvalidInput

MONDAYS = parse_schedule(scenario="hsm-pin-leak", cron="0 6 * * 1", timezone="Europe/Berlin")


def test_what_is_added_is_there_for_the_next_process(tmp_path: Path) -> None:
    """The home folder is made when it is missing."""
    home = tmp_path / "a" / "home"
    assert schedules(home) == []
    add_schedule(home, MONDAYS)
    assert schedules(home) == [MONDAYS]


def test_a_scenario_has_one_schedule(tmp_path: Path) -> None:
    """The later one replaces the earlier; others stay."""
    other = parse_schedule(scenario="signing-key-leak", cron="*/5 * * * *", timezone="UTC")
    add_schedule(tmp_path, MONDAYS)
    add_schedule(tmp_path, other)
    again = parse_schedule(scenario="hsm-pin-leak", cron="0 7 * * 1", timezone="UTC")
    assert add_schedule(tmp_path, again) == [other, again]
    assert remove_schedule(tmp_path, "signing-key-leak") == [again]


@pytest.mark.parametrize("cron", ["", "whenever", "61 * * * *", "* * * *", "* * * * * *", "0 6 * * 1 ; rm"])
def test_what_is_no_cron_expression_is_refused_in_words(cron: str) -> None:
    """Five fields and nothing else: seconds are not supported."""
    with pytest.raises(InvalidInput, match="is not a cron expression; write five fields"):
        parse_schedule(scenario="x", cron=cron, timezone="UTC")


@pytest.mark.parametrize("timezone", ["Mars/Olympus", "", "../../etc/passwd"])
def test_an_unknown_time_zone_is_refused(timezone: str) -> None:
    """Only IANA names."""
    with pytest.raises(InvalidInput, match="is not an IANA time zone"):
        parse_schedule(scenario="x", cron="0 6 * * 1", timezone=timezone)


def test_forgetting_what_is_not_scheduled_is_told(tmp_path: Path) -> None:
    """And how to see what is."""
    with pytest.raises(InvalidInput, match="hsm-pin-leak is not scheduled") as refused:
        remove_schedule(tmp_path, "hsm-pin-leak")
    assert "keyquell drill schedule" in refused.value.hint


@pytest.mark.parametrize("damage", ["{", "- scenario: x\n", "- 3\n", "text", "- {scenario: x, cron: never}\n"])
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, damage: str) -> None:
    """Nothing is guessed and nothing is overwritten."""
    place = tmp_path / "schedules.yaml"
    place.write_text(damage, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"schedules\.yaml cannot be understood"):
        schedules(tmp_path)
    with pytest.raises(InvalidInput):
        add_schedule(tmp_path, MONDAYS)
    assert place.read_text(encoding="utf-8") == damage
