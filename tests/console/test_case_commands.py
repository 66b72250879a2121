"""A case at the terminal: declared, planned, approved, taken back, closed, and its record and report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from at_terminal import answer, text
from small_shop import Shop

from console.output import ExitCode

pytestmark = pytest.mark.usefixtures("a_quiet_place")


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
