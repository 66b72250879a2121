"""The command line as its users meet it: help, JSON, exit codes, and errors that say what to do."""

from __future__ import annotations

import pytest
from at_terminal import answer, text
from small_shop import Shop

from console.main import run
from console.output import ExitCode

pytestmark = pytest.mark.usefixtures("a_quiet_place")

COMMANDS = [
    "",
    "drill",
    "drill list",
    "drill run",
    "drill schedule",
    "declare",
    "plan",
    "approve",
    "run",
    "status",
    "undo",
    "close",
    "blast-radius",
    "inventory",
    "inventory import",
    "inventory export",
    "inventory show",
    "inventory discover",
    "playbook",
    "playbook list",
    "playbook show",
    "playbook validate",
    "playbook export",
    "playbook import",
    "record",
    "record verify",
    "record export",
    "review",
    "review draft",
    "review write",
    "review action",
    "review settle",
    "review actions",
    "evidence",
    "evidence pack",
    "evidence verify",
    "evidence checkpoint",
    "deadline",
    "deadline list",
    "deadline start",
    "deadline file",
    "deadline not-due",
    "deadline rules",
    "report",
    "serve",
    "doctor",
    "acknowledge",
    "who",
    "break-glass",
    "review-glass",
    "roster",
    "roster check",
    "roster show",
    "roster enrol",
    "roster remove-passkey",
    "message",
    "message list",
    "message show",
    "message draft",
    "message release",
    "message withdraw",
    "ingest",
    "export",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` exits with 0, says what the command is for, and shows no default that says nothing."""
    code, out, err = text(capsys, *command.split(), "--help")
    assert code == ExitCode.OK
    assert f"Usage: keyquell {command}".rstrip() in out
    assert 'default: ""' not in out
    assert "default: False" not in out
    assert err == ""


@pytest.mark.parametrize(
    "arguments", ["stauts", "drill lst", "declare --plan-onyl x", "approve", "close x --outcome ok"]
)
def test_a_slip_of_the_finger_changes_nothing_and_names_the_way_out(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong word ends with 2, one sentence on standard error, and the help to look at."""
    code, out, err = text(capsys, *arguments.split())
    assert code == ExitCode.USAGE
    assert out == ""
    assert err.startswith("keyquell: ")
    assert "--help`" in err


def test_a_slip_is_told_to_programs_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json an error is a document too: what happened, what to do, and the exit code."""
    code, document = answer(capsys, "stauts")
    assert code == document["exit_code"] == ExitCode.USAGE
    assert "status" in document["error"]


@pytest.mark.parametrize(
    "arguments", ["status", "inventory show", "declare aws-iam:cloud/a/AKIA1 --plan-only", "serve"]
)
def test_without_settings_a_command_says_where_they_belong(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing settings end with 2 and the names of the option and of what needs none."""
    code, _, err = text(capsys, *arguments.split())
    assert code == ExitCode.USAGE
    assert "no keyquell.yaml was found" in err
    assert "--config" in err


def test_settings_that_are_named_but_absent_are_missed_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong --config is told by its path."""
    code, _, err = text(capsys, "status", "--config", "nowhere.yaml")
    assert code == ExitCode.USAGE
    assert "nowhere.yaml" in err


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("nonsense", "nothing here understands"),
        ("aws-iam:cloud", "lacks a connection or a path"),
        ("pkcs11:token=t;object=o;pin-value=123456", "must not carry a PIN"),
        ("aws-iam:cloud/nobody/AKIA00000000", "is not in the estate"),
    ],
)
def test_a_bad_target_is_refused_and_a_secret_in_it_is_not_repeated(
    uri: str, said: str, at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """URIs are read before anything is opened or written."""
    code, out, err = text(capsys, "declare", uri)
    assert code == ExitCode.USAGE
    assert said in err
    assert "123456" not in out + err
    assert answer(capsys, "status")[1] == {"open": []}


def test_a_mistyped_target_is_met_with_the_nearest_one(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """One wrong character at 3 a.m. must not cost a search through the inventory."""
    code, _, err = text(capsys, "declare", at_work.credential[:-1] + "x")
    assert code == ExitCode.USAGE
    assert f"Did you mean {at_work.credential}?" in err


def test_an_unknown_incident_is_met_with_the_nearest_one(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for ids, in every command that takes one."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    wrong = opened["id"][:-1] + "?"
    for command in (["status"], ["plan"], ["undo"], ["run"], ["report"], ["close", "--outcome", "recovered"]):
        code, _, err = text(capsys, command[0], wrong, *command[1:])
        assert code == ExitCode.USAGE
        assert f"Did you mean {opened['id']}?" in err


def test_an_unexpected_error_is_one_sentence_without_what_it_says(
    at_work: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words of a foreign error may hold a secret, so only its type is shown; KEYQUELL_DEBUG raises it."""

    def fail(_wiring: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr("flows.intake.open_incidents", fail)
    code, out, err = text(capsys, "status")
    assert code == ExitCode.FAILED
    assert "an unexpected RuntimeError stopped the command" in err
    assert "hunter2" not in out + err
    monkeypatch.setenv("KEYQUELL_DEBUG", "1")
    with pytest.raises(RuntimeError):
        run(["status"])
