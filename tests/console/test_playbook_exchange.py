"""``keyquell playbook export`` and ``import`` as their users meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from console.main import run
from console.output import ExitCode
from playbooks.playbook import catalog, load

NAME = "hsm-pin-leak"


def text(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run for a person; the exit code, standard output and standard error."""
    capsys.readouterr()
    code = run(["playbook", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A playbook of the catalogue as a CACAO document."""
    file = tmp_path / "theirs.json"
    assert text(capsys, "export", NAME, "--output", str(file))[0] == ExitCode.OK
    return file


def changed(file: Path, **more: Any) -> Path:
    """The document with some keys replaced, and without our extension."""
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["playbook_extensions"]
    file.write_text(json.dumps({**document, **more}), encoding="utf-8")
    return file


def test_there_and_back(exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The YAML on the screen, and the one in the file, is the playbook that was exported."""
    written = tmp_path / "back.yaml"
    code, out, _ = text(capsys, "import", str(exported), "--output", str(written))
    assert code == ExitCode.OK
    assert load(out, file="screen") == load(written.read_text(encoding="utf-8"), file="file") == catalog()[NAME]
    assert out.startswith("# Exactly as keyquell exported it.")
    assert text(capsys, "validate", str(written))[0] == ExitCode.OK


def test_without_a_file_the_document_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """With times as given, in UTC unless they name a zone; the same arguments print the same."""
    times = ("--created", "2026-01-31T09:30:00", "--modified", "2026-02-01T09:30:00")
    code, out, _ = text(capsys, "export", NAME, "--format", "cacao", *times)
    document = json.loads(out)
    assert code == ExitCode.OK
    assert (document["created"], document["modified"]) == ("2026-01-31T09:30:00.000Z", "2026-02-01T09:30:00.000Z")
    assert text(capsys, "export", NAME, *times)[1] == out


def test_without_times_it_is_the_first_version_of_now(capsys: pytest.CaptureFixture[str]) -> None:
    """Created and modified are the same moment."""
    document = json.loads(text(capsys, "export", NAME)[1])
    assert document["created"] == document["modified"]


@pytest.mark.parametrize("command", ["export", "import"])
def test_a_file_is_written_over_only_when_told(
    command: str, exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was there stays, and the error says which option replaces it."""
    target = tmp_path / "precious"
    target.write_text("precious", encoding="utf-8")
    subject = NAME if command == "export" else str(exported)
    code, _, err = text(capsys, command, subject, "--output", str(target))
    assert (code, "--replace" in err) == (ExitCode.USAGE, True)
    assert target.read_text(encoding="utf-8") == "precious"
    assert text(capsys, command, subject, "--output", str(target), "--replace")[0] == ExitCode.OK
    assert target.read_text(encoding="utf-8") != "precious"


def test_a_document_that_is_refused_writes_nothing(
    exported: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The JSON path and the way out, for people and for programs."""
    target = tmp_path / "back.yaml"
    wrong = str(changed(exported, spec_version="cacao-1.1"))
    code, _, err = text(capsys, "import", wrong, "--output", str(target))
    assert code == ExitCode.USAGE
    assert f"{wrong}: $.spec_version: expected cacao-2.0, got" in err
    assert "docs/cacao.md" in err
    assert not target.exists()
    code, out, _ = text(capsys, "import", wrong, "--json")
    assert (code, json.loads(out)["exit_code"]) == (ExitCode.USAGE, ExitCode.USAGE)


def test_a_foreign_document_says_what_was_not_kept(exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As comments of the YAML, so that it stays YAML, and as a list for programs."""
    foreign = str(changed(exported, priority=3))
    _, out, _ = text(capsys, "import", foreign)
    assert "# Mapped step by step." in out
    assert yaml.safe_load(out)["gates"]["contain"] == "one-person"
    assert "$.priority" in next(line for line in out.splitlines() if line.startswith("# Not kept: "))
    _, out, _ = text(capsys, "import", foreign, "--json")
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
    code, _, err = text(capsys, *arguments)
    assert (code, told in err) == (ExitCode.USAGE, True), err
