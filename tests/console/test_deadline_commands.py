"""The terminal lists what is due, records clocks, filings and decisions, and checks a file of rules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_case import Case

from console.main import run
from console.output import ExitCode
from flows.settings import load_settings
from flows.wiring import Wiring

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs a command on one case of an organisation to which GDPR and the SEC's rule apply."""
    place = tmp_path / "keyquell.yaml"
    applies = {"applies": ["gdpr", "sec-8k"], "timezone": "Europe/Berlin", "country": "DE"}
    place.write_text(yaml.safe_dump({"state": "s", "estate": "e.yaml", "deadlines": applies}), encoding="utf-8")
    monkeypatch.setenv("KEYQUELL_CONFIG", str(place))
    with Wiring.open(load_settings(place)) as wiring:
        Case().write_to(wiring.records)

    def spoken(*words: str) -> tuple[int, str, str]:
        code = run(["deadline", *words])
        out = capsys.readouterr()
        return code, out.out, out.err

    return spoken


def data(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_clock_runs_from_the_terminal_to_its_filing(say: Say) -> None:
    """List, start, file; people read words, programs read data, and both read that it is no legal advice."""
    code, out, _ = say("list")
    assert code == ExitCode.OK
    assert "personal-data-aware: As controller" in out
    assert "not legal advice" in out
    code, out, _ = say("start", "calm-otter", "personal-data-aware", "--at", "2026-03-02T10:30", "--as", "mei")
    assert code == ExitCode.OK
    assert "OVERDUE    gdpr-authority" in out
    assert "due 2026-03-05 09:30 UTC: late by" in out
    code, out, _ = say(
        "file", "calm-otter", "gdpr-authority", "--at", "2026-03-05T10:00", "--reference", "17", "--json"
    )
    filed = next(each for each in data(out)["cases"][0]["deadlines"] if each["rule"] == "gdpr-authority")
    assert (code, filed["state"], filed["margin_seconds"]) == (ExitCode.OK, "filed", 1800)
    assert filed["settled"]["reference"] == "17"


def test_a_decision_needs_its_reason(say: Say) -> None:
    """It stands in the list from then on."""
    assert say("not-due", "calm-otter", "sec-8k")[0] == ExitCode.USAGE
    code, out, _ = say("not-due", "calm-otter", "sec-8k", "--reason", "not material", "--as", "mei")
    assert code == ExitCode.OK
    assert "mei decided that it is not due: not material" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("start", "calm-otter", "nothing"), "starts no clock here"),
        (("start", "calm-otter", "sec-material", "--at", "yesterday"), "is no time"),
        (("start", "calm-otter", "sec-material", "--at", "2126-01-01T00:00"), "in the future"),
        (("file", "calm-otter", "hipaa-hhs"), "is off"),
        (("list", "quiet-nobody"), "there is no incident"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(say: Say, words: tuple[str, ...], said: str) -> None:
    """With the way out, and with 2."""
    code, out, err = say(*words)
    assert (code, out) == (ExitCode.USAGE, "")
    assert said in err


def test_every_rule_is_shown_with_its_source_and_the_day_it_was_read(say: Say) -> None:
    """Also those that are off, and why."""
    code, out, _ = say("rules")
    assert code == ExitCode.OK
    assert "gdpr: GDPR (applies)" in out
    assert "4 business days without federal holidays" in out
    assert "off: it is not in force" in out
    rules = data(say("rules", "--json")[1])["rules"]
    assert all(each["source"]["name"] and each["read_on"] and each["counts"] for each in rules)
    assert {each["regime"] for each in rules if not each["off"]} == {"gdpr", "sec-8k"}


def test_an_own_file_is_checked_before_it_is_used(say: Say, tmp_path: Path) -> None:
    """Every mistake with its line."""
    good = tmp_path / "own.yaml"
    good.write_text("regimes: {}\ntriggers: {}\nrules: []\n", encoding="utf-8")
    assert "0 rules" in say("rules", "--check", str(good))[1]
    good.write_text("regimes: {}\ntrigers: {}\nrules: []\n", encoding="utf-8")
    code, _, err = say("rules", "--check", str(good))
    assert code == ExitCode.USAGE
    assert "own.yaml:2:1: trigers: no such field. Did you mean 'triggers'?" in err
