"""What others wrote reaches the terminal as text: names and notes cannot move the cursor or hide a line."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table

from console.output import Common, PlainConsole, print_json, show

EVIL = "key\x1b[2J\x1b]0;title\x07\x9b31m\u202egnp\u2066\r\n- nothing stops"


def test_a_terminal_is_told_nothing_by_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Escape sequences, C1 controls and direction marks are written out; markup stays text."""
    show(Common(), {}, EVIL, f"[bold red]{EVIL}")
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\u202e\u2066\r")
    assert "<U+001B>[2J" in out
    assert "[bold red]" in out


def test_a_table_is_told_nothing_either() -> None:
    """Cells are rendered by the same console."""
    console = PlainConsole(file=io.StringIO(), force_terminal=True, width=200)
    table = Table("name")
    table.add_row(EVIL)
    console.print(table)
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b[2J" not in out
    assert "\x9b" not in out
    assert "<U+001B>[2J" in out


def test_json_on_a_terminal_is_harmless_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """What a terminal may obey is escaped as JSON allows."""
    print_json({"name": EVIL, "city": "Zürich"})
    out = capsys.readouterr().out
    assert not set(out) & set("\x1b\x07\x9b\u202e\u2066\r")
    assert json.loads(out) == {"name": EVIL, "city": "Zürich"}
    assert "Zürich" in out
