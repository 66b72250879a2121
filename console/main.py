"""The ``keyquell`` command: assembles the commands, and turns errors into one sentence and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError
from rich.console import Console
from rich.markup import escape

from console.commands import drills, estates, incidents, playbooks, records, service
from console.output import ExitCode
from playbooks.errors import BackendError, InvalidInput, KeyquellError, NotApproved

app = App(
    name="keyquell",
    help="Answers a leaked cryptographic key: contain, renew, re-encrypt, prove, report.",
    version_flags=["--version"],
    result_action="return_value",
)
app.command(drills.drill)
for command in (
    incidents.declare,
    incidents.plan,
    incidents.approve,
    incidents.run,
    incidents.status,
    incidents.undo,
    incidents.close,
    records.report,
    service.serve,
    service.doctor,
):
    app.command(command)
app.command(estates.blast_radius, name="blast-radius")
app.command(estates.inventory)
app.command(playbooks.playbook)
app.command(records.record)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; errors end in one sentence on standard error."""
    errors = Console(stderr=True, highlight=False)
    try:
        code = app(list(arguments), exit_on_error=False, print_error=True, error_console=errors)
    except CycloptsError:
        return ExitCode.USAGE
    except KeyboardInterrupt:
        errors.print("Interrupted; nothing that was begun is lost. Run the command again to go on.")
        return ExitCode.INTERRUPTED
    except KeyquellError as error:
        errors.print(f"[bold red]keyquell:[/] {escape(error.message)}")
        if error.hint:
            errors.print(escape(error.hint))
        return _code_of(error)
    return code if isinstance(code, int) else ExitCode.OK


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
