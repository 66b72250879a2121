"""The terminal with a roster: who sits there, what they may, and how a passkey and a broken glass come about."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import at_terminal
import pyotp
import pytest
from approvers import CASE, CONTAIN, CREDENTIAL, PEOPLE, PEOPLE_BY_NAME, RENEW, Office, open_office, token_of
from fakes.authenticator import SoftAuthenticator

from console.main import run
from console.output import ExitCode, login_name
from flows import step_up
from playbooks.record import EventKind

SitAs = Callable[[str], None]


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    """A case of alice's, on the real clock, in the settings that every command finds."""
    with open_office(tmp_path) as office:
        office.now = datetime.now(UTC)
        office.roster(custodians=["dave"], escalation={"people": ["bob"]})
        office.case()
        monkeypatch.setenv("KEYQUELL_CONFIG", str(tmp_path / "keyquell.yaml"))
        monkeypatch.setenv("COLUMNS", "140")
        yield office


@pytest.fixture
def sit_as(monkeypatch: pytest.MonkeyPatch) -> SitAs:
    """Sit down at the terminal under another login."""

    def sit(login: str) -> None:
        for place in ("incidents", "people"):
            monkeypatch.setattr(f"console.commands.{place}.login_name", lambda: login)

    return sit


@pytest.fixture
def answer(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    """Run with --json; the exit code and the one document on standard output."""
    return partial(at_terminal.answer, capsys)


Answer = Callable[..., tuple[int, Any]]


def digest(office: Office) -> str:
    plan = office.wiring.incident(CASE).plan
    assert plan is not None
    return plan.digest


def test_the_login_is_the_operating_systems_and_not_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sets LOGNAME becomes nobody else."""
    monkeypatch.setenv("LOGNAME", "bob")
    monkeypatch.setenv("USER", "bob")
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_with_a_roster_nobody_acts_as_another(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """``--as`` may repeat who one is; a claim to be another is refused and recorded."""
    sit_as("alice")
    office.plan(RENEW)
    code, said = answer("approve", CASE, "--digest", digest(office), "--as", "bob")
    assert code == ExitCode.WAITING
    assert "act as bob" in said["error"]
    assert office.refused_here() == [("alice", "that is somebody else")]
    assert answer("acknowledge", CASE, "--as", "Alice")[0] == ExitCode.OK
    taken = office.wiring.incident(CASE).people.acknowledged
    assert taken is not None
    assert (taken.by, taken.via) == ("alice", "cli")


@pytest.mark.parametrize(
    "command",
    [
        ("declare", CREDENTIAL),
        ("undo", CASE),
        ("close", CASE, "--outcome", "false-alarm"),
        ("approve", CASE, "--digest", "DIGEST"),
        ("approve", CASE, "--digest", "DIGEST", "--deny"),
        ("break-glass", CASE, "--digest", "DIGEST", "--reason", "now"),
        ("review-glass", CASE, "--verdict", "justified"),
        ("acknowledge", CASE),
        ("who", CASE),
    ],
    ids=lambda command: " ".join(command[:1] + command[4:]),
)
def test_a_login_that_nobody_owns_may_nothing(
    office: Office, sit_as: SitAs, answer: Answer, command: tuple[str, ...]
) -> None:
    """Each command is refused with a hint, and the attempt stands in the record."""
    sit_as("mallory")
    code, said = answer(*(digest(office) if word == "DIGEST" else word for word in command))
    assert code == ExitCode.WAITING
    assert "mallory may not" in said["error"]
    assert said["hint"]
    assert [by for by, _ in office.refusals() + office.refused_here()] == ["mallory"]
    assert office.wiring.records.incidents() == [CASE]


def test_a_roster_that_cannot_be_read_stops_all_but_reading(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """The status is still shown; the check names the line."""
    sit_as("alice")
    (office.root / "roster.yaml").write_text("people:\n  - name: Bob\n", encoding="utf-8")
    assert answer("status", CASE)[0] == ExitCode.OK
    assert answer("acknowledge", CASE)[0] == ExitCode.WAITING
    code, said = answer("roster", "check")
    assert code == ExitCode.USAGE
    assert "roster.yaml:2" in said["error"]


def test_a_passkey_is_enrolled_shown_and_removed(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """The administrator invites, the browser answers, the roster shows it, and it can be taken away."""
    sit_as("root")
    code, said = answer("roster", "enrol", "bob")
    assert code == ExitCode.OK
    token = token_of(said["link"])
    made = SoftAuthenticator().create(step_up.invited(office.wiring, token).options)
    step_up.enrol(office.wiring, token, made, label="blue key")
    people = {each["name"]: each for each in answer("roster", "show")[1]["people"]}
    assert people["bob"]["roles"] == ["approve", "retire"]
    assert [each["label"] for each in people["bob"]["passkeys"]] == ["blue key"]
    assert people["carol"]["passkeys"] == []
    assert answer("roster", "remove-passkey", "bob", "red key", "--reason", "lost")[0] == ExitCode.USAGE
    assert answer("roster", "remove-passkey", "bob", "blue key", "--reason", "lost")[0] == ExitCode.OK
    people = {each["name"]: each for each in answer("roster", "show")[1]["people"]}
    assert people["bob"]["passkeys"] == []
    assert answer("roster", "enrol", "mallory")[0] == ExitCode.USAGE


def test_the_check_says_who_could_not_approve(office: Office, answer: Answer) -> None:
    """Until two have a passkey; then it is content."""
    code, said = answer("roster", "check")
    assert code == ExitCode.FAILED
    assert any("no passkey" in each and "carol" in each for each in said["faults"])
    office.roster(
        [each for each in PEOPLE if each["name"] != "frank"], custodians=["dave"], escalation={"people": ["bob"]}
    )
    office.enrol("bob")
    office.enrol("carol")
    assert answer("roster", "check") == (ExitCode.OK, {"people": 5, "ok": True, "faults": []})
    office.roster([PEOPLE_BY_NAME["bob"]])
    faults = answer("roster", "check")[1]["faults"]
    assert "0 may contain, 1 at least are needed." in faults
    assert "1 may retire, 2 at least are needed." in faults
    assert "custodians is empty: nobody is called." in faults


def test_without_a_roster_the_commands_say_that_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    """Names count as given, and ``who`` still answers."""
    with open_office(tmp_path, roster=False) as office:
        office.case()
        monkeypatch.setenv("KEYQUELL_CONFIG", str(tmp_path / "keyquell.yaml"))
        for command in (("check",), ("show",), ("enrol", "bob")):
            code, said = answer("roster", *command)
            assert (code, "no roster" in said["error"]) == (ExitCode.USAGE, True)
        assert answer("approve", CASE, "--digest", digest(office), "--as", "bob")[0] == ExitCode.OK
        assert answer("who", CASE)[1]["who"][0] == "alice asked for this response."


def test_a_link_is_printed_where_a_passkey_is_needed(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """Exit code 4: nothing is approved yet; the passkey behind the link does it."""
    authenticator = office.enrol("bob")
    sit_as("bob-l")
    code, said = answer("approve", CASE, "--digest", digest(office)[:12])
    assert code == ExitCode.WAITING
    assert office.wiring.incident(CASE).approvals == ()
    token = token_of(said["link"])
    signed = authenticator.get(step_up.look(office.wiring, token).options)
    step_up.redeem(office.wiring, token, signed, address="127.0.0.1")
    assert "bob" in answer("status", CASE)[1]["approvals"]


def test_a_one_time_code_approves_what_is_not_grave(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """And the same code does not a second time."""
    secret = pyotp.random_base32()
    (office.root / "bob.totp").write_text(secret, encoding="utf-8")
    with_code = PEOPLE_BY_NAME["bob"] | {"totp": f"file:{office.root / 'bob.totp'}"}
    office.roster([each for each in PEOPLE if each["name"] != "bob"] + [with_code])
    office.plan(RENEW)
    sit_as("bob-l")
    code = pyotp.TOTP(secret).now()
    assert answer("approve", CASE, "--digest", digest(office), "--code", code)[0] == ExitCode.OK
    assert [each.method for each in office.wiring.incident(CASE).approvals] == ["totp"]
    exit_code, said = answer("break-glass", CASE, "--digest", digest(office), "--reason", "now", "--code", code)
    assert exit_code == ExitCode.WAITING
    assert "used already" in said["error"]


def test_a_broken_glass_is_shown_until_another_reviews_it(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """Custodians' and responders' messages are queued; the status warns and then does not."""
    sit_as("bob-l")
    code, said = answer("break-glass", CASE, "--digest", digest(office), "--reason", "the keys are in the safe")
    assert code == ExitCode.OK
    assert any("bob broke the glass" in each for each in said["warnings"])
    assert len(office.wiring.records.of_kind(EventKind.MESSAGE_QUEUED)) == 2
    assert answer("review-glass", CASE, "--verdict", "justified")[0] == ExitCode.WAITING
    sit_as("dave")
    code, said = answer("review-glass", CASE, "--verdict", "justified", "--text", "seen it")
    assert code == ExitCode.OK
    assert not any("broke the glass" in each for each in said["warnings"])


def test_what_people_read_names_the_next_step(
    office: Office, sit_as: SitAs, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text for people, without --json."""
    office.enrol("bob")
    sit_as("bob-l")
    assert run(["approve", CASE, "--digest", digest(office)]) == ExitCode.WAITING
    assert "Not approved yet: open this until" in capsys.readouterr().out
    assert run(["who", CASE]) == ExitCode.OK
    assert "May still approve: bob, carol." in capsys.readouterr().out
    assert run(["roster", "show"]) == ExitCode.OK
    assert "key ring" in capsys.readouterr().out
    assert run(["roster", "check"]) == ExitCode.FAILED
    assert "carol may approve and cannot: no passkey" in capsys.readouterr().out
    assert run(["status", CASE]) == ExitCode.OK
    assert "other than alice must look" in capsys.readouterr().out


def test_undo_and_close_print_a_link_and_the_passkey_behind_it_does_it(
    office: Office, sit_as: SitAs, answer: Answer
) -> None:
    """Exit code 4: nothing is done yet."""
    office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
    authenticator = office.enrol("alice")
    sit_as("alice")
    links = []
    for command in (("undo", CASE), ("close", CASE, "--outcome", "false-alarm")):
        code, said = answer(*command)
        assert code == ExitCode.WAITING
        assert said["expires_at"]
        links.append(token_of(said["link"]))
    assert office.wiring.records.of_kind(EventKind.CONFIRMED) == []
    assert office.wiring.incident(CASE).closed is None
    for token in links:
        signed = authenticator.get(step_up.look(office.wiring, token).options)
        step_up.redeem(office.wiring, token, signed, address="127.0.0.1")
    said_so = [str(each.body["deed"]) for each in office.wiring.records.of_kind(EventKind.CONFIRMED)]
    assert said_so == ["undo", "close:false-alarm"]


def test_a_one_time_code_takes_back_and_ends_at_once(office: Office, sit_as: SitAs, answer: Answer) -> None:
    """Each needs a code of its own; a used one does nothing."""
    office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
    secret = pyotp.random_base32()
    (office.root / "alice.totp").write_text(secret, encoding="utf-8")
    office.roster([PEOPLE_BY_NAME["alice"] | {"totp": f"file:{office.root / 'alice.totp'}"}])
    sit_as("alice")
    code = pyotp.TOTP(secret).now()
    exit_code, said = answer("undo", CASE, "--code", code)
    assert exit_code == ExitCode.OK
    assert said["steps"] == [{"step": CONTAIN.id, "taken_back": False, "reason": "it cannot be taken back"}]
    exit_code, said = answer("close", CASE, "--outcome", "false-alarm", "--code", code)
    assert exit_code == ExitCode.WAITING
    assert "used already" in said["error"]
    exit_code, said = answer("close", CASE, "--outcome", "false-alarm")
    assert "no passkey of alice is enrolled" in said["error"]
    assert "--code" in said["hint"]
    assert office.wiring.incident(CASE).closed is None
    later = pyotp.TOTP(secret).at(datetime.now(UTC) + timedelta(seconds=30))
    assert answer("close", CASE, "--outcome", "false-alarm", "--code", later)[0] == ExitCode.OK
    closed = office.wiring.incident(CASE).closed
    assert closed is not None
    assert (closed.by, closed.outcome) == ("alice", "false-alarm")
    assert answer("close", CASE, "--outcome", "false-alarm")[0] == ExitCode.OK
