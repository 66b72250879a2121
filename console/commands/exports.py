"""The command that writes tables for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from console.output import Common, ExitCode, show


def export(
    table: Annotated[Literal["incidents", "events", "measures"], Parameter(help="What to write: a row for each.")],
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="File to write; what it held is replaced.")],
    format: Annotated[  # noqa: A002 - the option is called so
        Literal["csv", "parquet", "json"], Parameter(help="Parquet needs the extra 'parquet'.")
    ] = "csv",
    common: Common = Common(),
) -> int:
    """Write a table over all incidents for a spreadsheet or a data tool; a column tells exercises from real cases."""
    from flows.exports import export_table
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        count = export_table(wiring, table, output, format)
    noun = table if count != 1 else table[:-1]
    show(common, {"table": table, "file": str(output), "rows": count}, f"{output} holds {count} {noun}.")
    return ExitCode.OK
