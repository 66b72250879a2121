"""What every command shares: its options, how it speaks to people or to programs, and its exit codes."""

from __future__ import annotations

import getpass
import os
import pwd
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from playbooks.errors import KeyquellError
from playbooks.visible import visible

_UNSEEN = re.compile("[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


class ExitCode(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1  # it ran, and the answer is no: not contained, not passed, not verified
    USAGE = 2  # the input is wrong; nothing was changed
    BACKEND = 3  # a backend refused or could not be reached
    WAITING = 4  # an approval is missing
    INTERRUPTED = 130
    TERMINATED = 143


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options that every command takes."""

    config: Annotated[Path | None, Parameter(help="Settings file. Default: $KEYQUELL_CONFIG, ./keyquell.yaml.")] = None
    json: Annotated[bool, Parameter(help="Print one JSON object instead of text.", negative="")] = False


class PlainConsole(Console):
    """Shows what others wrote without obeying it: names, notes and reasons cannot move the cursor or hide a line."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """The segments, in visible characters."""
        for each in super().render(renderable, options):
            yield each if each.control else Segment(visible(each.text), each.style)


def show(common: Common, data: Any, *text: RenderableType) -> None:
    """Print the data as JSON when asked to, else the text for people; a string is taken as it is, without markup."""
    if common.json:
        print_json(data)
        return
    console = people()
    for each in text:
        plain = Text(each) if isinstance(each, str) else each
        console.print(plain, highlight=False, soft_wrap=not console.is_terminal)


def print_json(data: Any) -> None:
    """Write one JSON document to standard output; what a terminal may take for a command is escaped."""
    text = orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode()
    sys.stdout.write(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")
    sys.stdout.flush()


def error_data(error: KeyquellError, code: int) -> dict[str, Any]:
    """An error for programs: what went wrong, what to do, and the exit code."""
    return {"error": error.message, "hint": error.hint, "exit_code": int(code)}


def people() -> Console:
    """The terminal."""
    return PlainConsole(highlight=False)


def whoami(given: str) -> str:
    """The name to record where there is no roster: the one that was given, else the login name."""
    return given or getpass.getuser()


def login_name() -> str:
    """The login by the operating system; the environment, which anybody may set, is not asked."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"
