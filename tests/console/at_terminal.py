"""Commands as a person or a program runs them, and what comes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from console.main import run


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
