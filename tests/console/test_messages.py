"""Messages in the terminal: nothing is sent that nobody has read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_terminal import answer
from written_case import ESTATE, ID, Case

from console.output import ExitCode
from flows.settings import load_settings
from flows.wiring import Wiring

ROSTER = {"people": [{"name": "olga", "logins": ["nobody-here"], "roles": ["audit"]}]}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An open case, and a folder that takes messages."""
    settings = {
        "state": "state",
        "estate": "estate.yaml",
        "messengers": [{"type": "file", "root": str(tmp_path / "out")}],
    }
    (tmp_path / "estate.yaml").write_text(yaml.safe_dump(ESTATE.model_dump(mode="json")), encoding="utf-8")
    (tmp_path / "keyquell.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with Wiring.open(load_settings(tmp_path / "keyquell.yaml")) as wiring:
        Case().write_to(wiring.records)
    monkeypatch.setenv("KEYQUELL_CONFIG", str(tmp_path / "keyquell.yaml"))
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def drafted(capsys: pytest.CaptureFixture[str], template: str) -> str:
    code, made = answer(capsys, "message", "draft", "calm-otter", template)
    assert code == ExitCode.OK
    return str(made["id"])


def sent(place: Path) -> list[dict[str, Any]]:
    return [json.loads(each.read_text(encoding="utf-8")) for each in sorted((place / "out").glob("*.json"))]


def test_a_draft_is_listed_shown_and_sent_only_when_it_is_released(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the words of the person who read it."""
    message = drafted(capsys, "customers")
    _, listed = answer(capsys, "message", "list", ID)
    assert [(each["id"], each["state"]) for each in listed["messages"]] == [(message, "draft: waits to be read")]
    assert "We are writing to tell you" in answer(capsys, "message", "show", ID, message)[1]["body"]
    assert sent(place) == []
    (place / "body.txt").write_text("It is contained; you need do nothing.", encoding="utf-8")
    words = ("--subject", "Notice", "--body-file", str(place / "body.txt"))
    code, released = answer(capsys, "message", "release", ID, message, *words, "--as", "bob")
    assert (code, released["state"], released["reviewed_by"]) == (ExitCode.OK, "taken by file", "bob")
    assert [(each["subject"], each["body"]) for each in sent(place)] == [
        ("Notice", "It is contained; you need do nothing.")
    ]


def test_a_draft_with_places_to_fill_in_is_not_released(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says what to look for."""
    message = drafted(capsys, "customers")
    code, error = answer(capsys, "message", "release", ID, message)
    assert code == ExitCode.USAGE
    assert "places to fill in" in error["error"]
    assert sent(place) == []


def test_a_withdrawn_draft_is_gone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And cannot be released any more."""
    message = drafted(capsys, "owner")
    assert answer(capsys, "message", "withdraw", ID, message, "--reason", "too early")[0] == ExitCode.OK
    assert answer(capsys, "message", "list", ID)[1]["messages"] == []
    code, error = answer(capsys, "message", "release", ID, message)
    assert (code, error["error"]) == (ExitCode.USAGE, f"{message} was withdrawn already.")
    assert sent(place) == []


def test_an_unknown_template_or_message_names_the_way_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without changing anything."""
    code, error = answer(capsys, "message", "draft", ID, "press")
    assert (code, "customers" in error["hint"]) == (ExitCode.USAGE, True)
    code, error = answer(capsys, "message", "show", ID, "m9")
    assert (code, "message list" in error["hint"]) == (ExitCode.USAGE, True)
    code, error = answer(capsys, "message", "release", ID, "m9", "--body-file", str(place / "absent"))
    assert (code, "cannot be read" in error["error"]) == (ExitCode.USAGE, True)


def test_who_may_not_review_by_the_roster_releases_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever name is given; the attempt is in the record."""
    message = drafted(capsys, "owner")
    (place / "roster.yaml").write_text(yaml.safe_dump(ROSTER), encoding="utf-8")
    settings = yaml.safe_load((place / "keyquell.yaml").read_text(encoding="utf-8")) | {"roster": "./roster.yaml"}
    (place / "keyquell.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert answer(capsys, "message", "release", ID, message)[0] == ExitCode.WAITING
    assert sent(place) == []
    with Wiring.from_file(place / "keyquell.yaml") as wiring:
        assert message in wiring.incident(ID).people.drafts
        assert wiring.incident(ID).people.refused
