"""The command line as its users meet it: help, JSON, exit codes, and errors that say what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from small_shop import Shop

from console.main import run
from console.output import ExitCode

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


@pytest.fixture(autouse=True)
def a_quiet_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of this machine, a home of the test's own, and a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYQUELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("KEYQUELL_CONFIG", raising=False)
    monkeypatch.setattr("flows.settings.DEFAULT_PLACES", (Path("keyquell.yaml"),))


@pytest.fixture
def at_work(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop whose settings every command finds."""
    monkeypatch.setenv("KEYQUELL_CONFIG", str(shop.config))
    return shop


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Run with --json; the exit code and the one document on standard output."""
    capsys.readouterr()
    code = run([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def text(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run for a person; the exit code, standard output and standard error."""
    capsys.readouterr()
    code = run(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


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


def test_a_preview_shows_the_plan_and_writes_nothing(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """``declare --plan-only``: the gates are legible, the estate is untouched, no incident is opened."""
    code, out, _ = text(capsys, "declare", at_work.credential, "--plan-only")
    assert code == ExitCode.OK
    assert "[two people]" in out
    assert "Nothing was changed." in out
    assert len(out.splitlines()) <= 42
    _, document = answer(capsys, "declare", at_work.credential, "--plan-only")
    assert document["steps"][0]["phase"] == "contain"
    assert answer(capsys, "status")[1] == {"open": []}
    assert (at_work.key_state(), at_work.credential_active()) == ("Enabled", True)


def test_a_false_alarm_from_declaration_to_closing(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """Declared and contained, approved by others only, taken back, closed; each screen names the next action."""
    code, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    assert code == ExitCode.OK
    assert opened["contained_at"]
    assert not at_work.credential_active()
    incident, digest = opened["id"], opened["plan_digest"]

    code, out, _ = text(capsys, "plan", incident)
    assert code == ExitCode.OK
    assert digest[:12] in out
    assert f"Next: `keyquell run {incident}` goes on." in out

    code, _, err = text(capsys, "approve", incident, "--digest", digest[:12], "--as", "alice")
    assert (code, "cannot approve it" in err) == (ExitCode.USAGE, True)
    code, _, err = text(capsys, "approve", incident, "--digest", "0" * 12, "--as", "bob")
    assert (code, f"keyquell plan {incident}" in err) == (ExitCode.USAGE, True)
    code, out, _ = text(capsys, "approve", incident, "--digest", digest[:12], "--as", "bob")
    assert (code, "needs one more person" in out) == (ExitCode.OK, True)

    code, out, _ = text(capsys, "status", opened["codename"])
    assert code == ExitCode.OK
    assert "contained, proven" in out
    assert "✔ cut credential" in out

    code, undone = answer(capsys, "undo", incident, "--as", "alice")
    assert code == ExitCode.OK
    assert {each["step"] for each in undone["steps"] if each["taken_back"]} >= {"contain.1-cut-credential"}
    assert (at_work.key_state(), at_work.credential_active()) == ("Enabled", True)
    assert "--outcome false-alarm" in undone["next"]
    code, out, _ = text(capsys, "status")
    assert "containment was taken back" in out

    code, closed = answer(capsys, "close", incident, "--outcome", "false-alarm", "--as", "alice")
    assert (code, closed["closed"]) == (ExitCode.OK, "false-alarm")
    code, _, err = text(capsys, "close", incident, "--outcome", "recovered")
    assert (code, "was closed as false-alarm by alice" in err) == (ExitCode.USAGE, True)
    assert text(capsys, "status")[1] == "Nothing is burning: no open incident.\n"


def test_a_case_that_was_taken_back_cannot_be_closed_as_recovered(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was reopened is not contained, whatever was proven before."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    answer(capsys, "undo", opened["id"])
    code, _, err = text(capsys, "close", opened["id"], "--outcome", "recovered")
    assert code == ExitCode.USAGE
    assert "taken back" in err


def test_nothing_that_never_ran_can_be_undone(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """A second undo finds nothing to do and is no failure."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    assert answer(capsys, "undo", opened["id"])[0] == ExitCode.OK
    code, again = answer(capsys, "undo", opened["id"])
    assert code == ExitCode.OK
    assert not any(each["taken_back"] for each in again["steps"])


def test_a_no_stops_what_needs_approval_and_is_shown_with_its_reason(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """``approve --deny`` is visible to whoever looks next."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    code, out, _ = text(
        capsys, "approve", opened["id"], "--digest", opened["plan_digest"], "--as", "bob", "--deny", "--reason", "wait"
    )
    assert code == ExitCode.OK
    assert "bob said no" in out


def test_an_unreachable_backend_is_not_taken_for_containment(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """With nobody answering, the incident is opened, not contained, and the exit code is not 0."""
    settings = at_work.config.read_text(encoding="utf-8")
    at_work.config.write_text(re.sub(r"(endpoint_url: http://127.0.0.1:)\d+", r"\g<1>9", settings), encoding="utf-8")
    settings = at_work.config.read_text(encoding="utf-8")
    at_work.config.write_text(settings.replace("policy:\n", "policy:\n  retries: 0\n"), encoding="utf-8")
    code, document = answer(capsys, "declare", at_work.credential)
    assert code in (ExitCode.FAILED, ExitCode.WAITING)
    assert document["contained_at"] is None
    assert "NOT CONTAINED" in document["verdict"] or "burning" in document["verdict"]


def test_a_record_is_exported_and_verified_and_a_changed_byte_is_found(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 and a reason when the file was touched; 0 and the head when it was not."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    export = tmp_path / "record.ndjson"
    code, written = answer(capsys, "record", "export", opened["id"], str(export))
    assert code == ExitCode.OK
    code, verified = answer(capsys, "record", "verify", str(export), "--head", written["head"])
    assert (code, verified["verified"]) == (ExitCode.OK, True)
    assert answer(capsys, "record", "verify", opened["codename"])[1]["head"] == written["head"]
    export.write_text(export.read_text(encoding="utf-8").replace("alice", "alicf", 1), encoding="utf-8")
    code, verified = answer(capsys, "record", "verify", str(export))
    assert (code, verified["verified"]) == (ExitCode.FAILED, False)
    assert verified["why"]
    code, out, _ = text(capsys, "record", "verify", str(export))
    assert (code, out.startswith("NOT VERIFIED: ")) == (ExitCode.FAILED, True)
    code, _, err = text(capsys, "record", "export", opened["id"], "/nowhere/at/all")
    assert (code, "cannot be written" in err) == (ExitCode.FAILED, True)


def test_a_report_is_one_page_beside_the_state(at_work: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The path that is printed exists."""
    _, opened = answer(capsys, "declare", at_work.credential, "--as", "alice")
    code, document = answer(capsys, "report", opened["id"])
    assert code == ExitCode.OK
    assert Path(document["report"]).read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


def test_the_inventory_is_checked_before_it_replaces_the_old_one(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake is told with file and line, and leaves the old estate in force; a good file keeps it as .previous."""
    before = at_work.estate.read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("version: 1\nkeys:\n  - ref: aws-kms:cloud/k\n    porpose: sign\n", encoding="utf-8")
    code, _, err = text(capsys, "inventory", "import", str(wrong))
    assert (code, "wrong.yaml:4: keys.0.porpose" in err) == (ExitCode.USAGE, True)
    for bad in (tmp_path / "absent.yaml", tmp_path):
        assert text(capsys, "inventory", "import", str(bad))[0] == ExitCode.USAGE
    assert at_work.estate.read_text(encoding="utf-8") == before

    good = tmp_path / "good.yaml"
    good.write_text("version: 1\nkeys:\n  - ref: aws-kms:cloud/other\n", encoding="utf-8")
    code, document = answer(capsys, "inventory", "import", str(good))
    assert (code, document["keys"]) == (ExitCode.OK, 1)
    assert at_work.estate.with_name("estate.yaml.previous").read_text(encoding="utf-8") == before
    assert "aws-kms:cloud/other" in text(capsys, "inventory", "show")[1]


def test_the_inventory_shows_what_is_listed_and_discovers_what_is_not(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key that the backend holds and nobody wrote down is marked."""
    code, out, _ = text(capsys, "inventory", "show")
    assert (code, at_work.key in out, at_work.credential in out) == (ExitCode.OK, True, True)
    stray = f"aws-kms:cloud/{at_work.account.create_key('nobody wrote this down')}"
    code, document = answer(capsys, "inventory", "discover", "cloud")
    assert code == ExitCode.OK
    assert stray in document["unlisted"]
    assert at_work.key not in document["unlisted"]
    assert f"+ {stray}" in text(capsys, "inventory", "discover")[1]
    code, _, err = text(capsys, "inventory", "discover", "clowd")
    assert (code, "Configured: cloud, docs, services" in err) == (ExitCode.USAGE, True)


def test_the_blast_radius_names_what_is_reached_and_what_is_not_known(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a credential to its keys, their data and its user."""
    code, out, _ = text(capsys, "blast-radius", at_work.credential)
    assert code == ExitCode.OK
    for reached in (at_work.key, "files:docs/invoices", "svc-app"):
        assert reached in out
    assert answer(capsys, "blast-radius", at_work.credential)[0] == ExitCode.OK
    assert text(capsys, "blast-radius", "nonsense")[0] == ExitCode.USAGE


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


def test_doctor_is_content_with_a_shop_that_works_and_names_what_does_not(
    at_work: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """0 when a response could start; 1 and the fault when it could not."""
    code, document = answer(capsys, "doctor")
    assert (code, document["healthy"]) == (ExitCode.OK, True), document
    (at_work.root / "secrets" / "svc.old.json").unlink()
    code, out, _ = text(capsys, "doctor")
    assert code == ExitCode.FAILED
    assert f"✘ {at_work.credential}" in out


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
