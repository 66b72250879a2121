"""One-time codes: right, of this moment, once, also after a restart and for racing callers."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest

from integrations.one_time_codes import PAUSE, WRONG_IN_A_ROW, OneTimeCodes
from playbooks.errors import InvalidInput, NotApproved

START = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)


@dataclass
class App:
    """A person's authenticator app and the installation that checks it, on one clock."""

    place: Path
    secret_file: Path
    secret: str
    now: datetime = START

    @property
    def codes(self) -> OneTimeCodes:
        """Opened anew each time, as a command does."""
        return OneTimeCodes(self.place, clock=lambda: self.now)

    def code(self, *, steps: int = 0) -> str:
        return pyotp.TOTP(self.secret).at(self.now, counter_offset=steps)

    def accept(self, code: str, person: str = "bob") -> None:
        self.codes.accept(person, code, secret=f"file:{self.secret_file}")


@pytest.fixture
def app(tmp_path: Path) -> App:
    secret = pyotp.random_base32()
    (tmp_path / "totp").write_text(secret, encoding="utf-8")
    return App(tmp_path / "codes.json", tmp_path / "totp", secret)


def test_a_code_counts_once(app: App) -> None:
    """The library alone would take it again and again; a restart forgets nothing."""
    code = app.code()
    app.accept(code)
    for _ in range(2):
        with pytest.raises(NotApproved, match="used already"):
            app.accept(code)


def test_an_earlier_code_is_worth_nothing_after_a_later_one(app: App) -> None:
    """Somebody who read it over a shoulder comes too late."""
    earlier, code = app.code(steps=-1), app.code()
    app.accept(code)
    with pytest.raises(NotApproved, match="used already"):
        app.accept(earlier)
    app.now += timedelta(seconds=30)
    app.accept(app.code())


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_clocks_may_differ_by_one_step(app: App, steps: int) -> None:
    """Thirty seconds either way; spaces do not matter."""
    code = app.code(steps=steps)
    app.accept(f" {code[:3]} {code[3:]} ")


@pytest.mark.parametrize("steps", [-2, 2, 100])
def test_codes_of_another_time_are_wrong(app: App, steps: int) -> None:
    """Two steps are too many."""
    with pytest.raises(NotApproved, match="not right"):
        app.accept(app.code(steps=steps))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", "-12345"])
def test_what_is_no_code_is_wrong(app: App, code: str) -> None:
    """Too short, too long, no digits, digits of another script."""
    with pytest.raises(NotApproved, match="not right"):
        app.accept(code)


def test_codes_cannot_be_guessed(app: App) -> None:
    """After a few wrong ones even the right one must wait; then it counts."""
    wrong = "000000" if app.code() != "000000" else "000001"
    for _ in range(WRONG_IN_A_ROW):
        with pytest.raises(NotApproved, match="not right"):
            app.accept(wrong)
    with pytest.raises(NotApproved, match="in a row"):
        app.accept(app.code())
    app.now += PAUSE
    with pytest.raises(NotApproved, match="not right"):
        app.accept(wrong)
    with pytest.raises(NotApproved, match="in a row"):
        app.accept(app.code())
    app.now += PAUSE
    app.accept(app.code())


def test_people_do_not_use_up_each_others_codes(app: App) -> None:
    """Each has a memory of their own, also of wrong ones."""
    app.accept(app.code(), "bob")
    app.accept(app.code(), "carol")


def test_of_racing_callers_one_is_let_through(app: App) -> None:
    """The same code, eight times at the same moment."""
    outcomes: list[str] = []
    together, code = threading.Barrier(8), app.code()

    def accept() -> None:
        together.wait()
        try:
            app.accept(code)
            outcomes.append("in")
        except NotApproved:
            outcomes.append("out")

    threads = [threading.Thread(target=accept) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(outcomes) == ["in"] + ["out"] * 7


def test_a_memory_that_cannot_be_read_lets_no_code_in(app: App) -> None:
    """It might have been used; a passkey still works."""
    app.place.write_text("{", encoding="utf-8")
    with pytest.raises(NotApproved, match="none counts"):
        app.accept(app.code())


def test_a_secret_that_is_none_is_named_and_not_repeated(app: App) -> None:
    """Not base-32, or not there."""
    app.secret_file.write_text("not base 32 !!", encoding="utf-8")
    with pytest.raises(InvalidInput, match="bob") as refusal:
        app.accept("123456")
    assert "not base 32" not in str(refusal.value)
    app.secret_file.unlink()
    with pytest.raises(InvalidInput):
        app.accept("123456")


def test_the_memory_holds_no_secret_and_is_the_owners_alone(app: App) -> None:
    """Only numbers of steps."""
    app.accept(app.code())
    assert app.secret not in app.place.read_text(encoding="utf-8")
    assert app.place.stat().st_mode & 0o077 == 0
