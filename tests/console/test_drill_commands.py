"""Drills at the terminal: the scenarios are listed, and schedules are added, listed and forgotten."""

from __future__ import annotations

import pytest
from at_terminal import answer, text

from console.output import ExitCode

pytestmark = pytest.mark.usefixtures("a_quiet_place")


def test_the_four_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Without settings: a drill needs none."""
    code, document = answer(capsys, "drill", "list")
    assert code == ExitCode.OK
    names = {each["name"] for each in document["scenarios"]}
    assert names >= {"kms-credential-leak", "hsm-pin-leak", "transit-key-exported", "signing-key-leak"}
    code, _, err = text(capsys, "drill", "run", "kms-leak")
    assert (code, "kms-credential-leak" in err) == (ExitCode.USAGE, True)


def test_drills_are_scheduled_listed_and_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    """Adding twice replaces; what is wrong is named and nothing is stored."""
    assert text(capsys, "drill", "schedule")[1] == "No drill is scheduled.\n"
    code, document = answer(capsys, "drill", "schedule", "hsm-pin-leak", "--cron", "0 6 * * 1")
    assert (code, len(document["schedules"])) == (ExitCode.OK, 1)
    _, document = answer(
        capsys, "drill", "schedule", "hsm-pin-leak", "--cron", "0 7 * * 1", "--timezone", "Europe/Berlin"
    )
    assert document["schedules"] == [{"scenario": "hsm-pin-leak", "cron": "0 7 * * 1", "timezone": "Europe/Berlin"}]
    for wrong, said in (
        (["hsm-pin-leak"], "--cron is missing"),
        (["hsm-pin-leak", "--cron", "whenever"], "is not a cron expression"),
        (["hsm-pin-leak", "--cron", "0 6 * * 1", "--timezone", "Mars/Olympus"], "is not an IANA time zone"),
        (["hsm-pin", "--cron", "0 6 * * 1"], "hsm-pin-leak"),
        (["signing-key-leak", "--remove"], "is not scheduled"),
    ):
        code, _, err = text(capsys, "drill", "schedule", *wrong)
        assert (code, said in err) == (ExitCode.USAGE, True), err
    assert len(answer(capsys, "drill", "schedule")[1]["schedules"]) == 1
    code, document = answer(capsys, "drill", "schedule", "hsm-pin-leak", "--remove")
    assert (code, document["schedules"]) == (ExitCode.OK, [])
