"""``keyquell playbook``: listed, shown, validated, exported and imported, as its users meet it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_terminal import answer, text

from console.output import ExitCode
from playbooks.playbook import catalog, load

NAME = "hsm-pin-leak"


@pytest.fixture
def exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A playbook of the catalogue as a CACAO document."""
    file = tmp_path / "theirs.json"
    assert text(capsys, "playbook", "export", NAME, "--output", str(file))[0] == ExitCode.OK
    return file


def changed(file: Path, **more: Any) -> Path:
    """The document with some keys replaced, and without our extension."""
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["playbook_extensions"]
    file.write_text(json.dumps({**document, **more}), encoding="utf-8")
    return file


@pytest.mark.usefixtures("a_quiet_place")
def test_playbooks_are_listed_shown_and_validated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What ``show`` prints is itself a valid playbook; a mistake is told with file, line and the nearest word."""
    code, document = answer(capsys, "playbook", "list")
    assert code == ExitCode.OK
    assert "kms-credential-leak" in {each["name"] for each in document["playbooks"]}
    code, out, _ = text(capsys, "playbook", "show", "kms-credential-leak")
    assert code == ExitCode.OK
    good = tmp_path / "good.yaml"
    good.write_text(out, encoding="utf-8")
    assert answer(capsys, "playbook", "validate", str(good))[1]["valid"] is True
    bad = tmp_path / "bad.yaml"
    bad.write_text(out.replace("title:", "titel:"), encoding="utf-8")
    code, _, err = text(capsys, "playbook", "validate", str(bad))
    assert code == ExitCode.USAGE
    assert re.search(r"bad\.yaml:\d+:\d+: titel: no such field\. Did you mean 'title'\?", err)
    code, _, err = text(capsys, "playbook", "show", "nonesuch")
    assert (code, "Known: " in err) == (ExitCode.USAGE, True)
    assert text(capsys, "playbook", "validate", str(tmp_path / "absent.yaml"))[0] == ExitCode.USAGE


def test_there_and_back(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The YAML on the screen, and the one in the file, is the playbook that was exported."""
    written = tmp_path / "back.yaml"
    code, out, _ = text(capsys, "playbook", "import", str(exported), "--output", str(written))
    assert code == ExitCode.OK
    assert load(out, file="screen") == load(written.read_text(encoding="utf-8"), file="file") == catalog()[NAME]
    assert out.startswith("# Exactly as keyquell exported it.")
    assert text(capsys, "playbook", "validate", str(written))[0] == ExitCode.OK


def test_without_a_file_the_document_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With times as given, in UTC unless they name a zone; the same arguments print the same."""
    times = ("--created", "2026-01-31T09:30:00", "--modified", "2026-02-01T09:30:00")
    code, out, _ = text(capsys, "playbook", "export", NAME, "--format", "cacao", *times)
    document = json.loads(out)
    assert code == ExitCode.OK
    assert (document["created"], document["modified"]) == ("2026-01-31T09:30:00.000Z", "2026-02-01T09:30:00.000Z")
    assert text(capsys, "playbook", "export", NAME, *times)[1] == out


def test_without_times_it_is_the_first_version_of_now(capsys: pytest.CaptureFixture[str]) -> None:
    """Created and modified are the same moment."""
    document = json.loads(text(capsys, "playbook", "export", NAME)[1])
    assert document["created"] == document["modified"]


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_file_is_written_over_only_when_told(
    command: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was there stays, and the error says which option replaces it."""
    target = tmp_path / "precious"
    target.write_text("precious", encoding="utf-8")
    subject = NAME if command == "export" else str(exported)
    code, _, err = text(capsys, "playbook", command, subject, "--output", str(target))
    assert (code, "--replace" in err) == (ExitCode.USAGE, True)
    assert target.read_text(encoding="utf-8") == "precious"
    assert text(capsys, "playbook", command, subject, "--output", str(target), "--replace")[0] == ExitCode.OK
    assert target.read_text(encoding="utf-8") != "precious"


def test_a_document_that_is_refused_writes_nothing(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON path and the way out, for people and for programs."""
    target = tmp_path / "back.yaml"
    wrong = str(changed(exported, spec_version="cacao-1.1"))
    code, _, err = text(capsys, "playbook", "import", wrong, "--output", str(target))
    assert code == ExitCode.USAGE
    assert f"{wrong}: $.spec_version: expected cacao-2.0, got" in err
    assert "docs/cacao.md" in err
    assert not target.exists()
    code, out, _ = text(capsys, "playbook", "import", wrong, "--json")
    assert (code, json.loads(out)["exit_code"]) == (ExitCode.USAGE, ExitCode.USAGE)


def test_a_foreign_document_says_what_was_not_kept(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As comments of the YAML, so that it stays YAML, and as a list for programs."""
    foreign = str(changed(exported, priority=3))
    _, out, _ = text(capsys, "playbook", "import", foreign)
    assert "# Mapped step by step." in out
    assert yaml.safe_load(out)["gates"]["contain"] == "one-person"
    assert "$.priority" in next(line for line in out.splitlines() if line.startswith("# Not kept: "))
    _, out, _ = text(capsys, "playbook", "import", foreign, "--json")
    document = json.loads(out)
    assert (document["source"], "$.priority" in document["not_kept"]) == ("steps", True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        pytest.param(("export", "nonesuch"), "Known: ", id="an unknown playbook"),
        pytest.param(("export", NAME, "--created-by", "me"), "identity--UUID", id="a creator without identifier"),
        pytest.param(("export", NAME, "--created", "2999-01-01T00:00:00"), "earlier than created", id="made tomorrow"),
        pytest.param(("export", NAME, "--output", "/nonexistent/a.json"), "cannot be written", id="no such folder"),
        pytest.param(("import", "/nonexistent/a.json"), "cannot be read", id="no such file"),
        pytest.param(("import", "/"), "cannot be read", id="a folder"),
        pytest.param(("import", "/dev/zero"), "longer than 1,000,000 bytes", id="a file without end"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As wrong usage, with what to do instead."""
    code, _, err = text(capsys, "playbook", *arguments)
    assert (code, told in err) == (ExitCode.USAGE, True), err
