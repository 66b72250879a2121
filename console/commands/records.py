"""Commands on the record: verify, export; and the report made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from console.output import Common, ExitCode, show

record = App(name="record", help="The hash-chained record of an incident.")


@record.command
def verify(
    source: Annotated[str, Parameter(help="An exported file, or the id of an incident.")],
    /,
    *,
    head: Annotated[str, Parameter(help="The head that was noted elsewhere; shows a dropped tail.")] = "",
    common: Common = Common(),
) -> int:
    """Check every link of a record; exit code 1 when anything was altered, dropped or swapped."""
    from flows.lookup import named
    from flows.wiring import Wiring
    from integrations.records.export import read_export, verify_export
    from playbooks.errors import RecordError
    from playbooks.record import verify_chain

    try:
        if Path(source).exists():
            found = verify_export(Path(source), expected_head=head)
            count = len(read_export(Path(source)))
        else:
            with Wiring.from_file(common.config) as wiring:
                source = named(wiring, source)
                events = wiring.records.events(source)
                found, count = verify_chain(events, expected_head=head), len(events)
    except RecordError as error:
        show(common, {"source": source, "verified": False, "why": str(error)}, f"NOT VERIFIED: {error}")
        return ExitCode.FAILED
    data = {"source": source, "verified": True, "events": count, "head": found}
    show(common, data, f"Verified: {count} events, unbroken up to head {found}.")
    return ExitCode.OK


@record.command
def export(
    incident: Annotated[str, Parameter(help="Id or code name of the incident.")],
    file: Annotated[Path, Parameter(help="File to write.")],
    /,
    *,
    common: Common = Common(),
) -> int:
    """Write an incident's record to one file that can be verified offline."""
    from flows.lookup import named
    from flows.wiring import Wiring
    from integrations.records.export import export as write

    with Wiring.from_file(common.config) as wiring:
        incident = named(wiring, incident)
        head = write(wiring.records, incident, file)
    show(common, {"incident": incident, "file": str(file), "head": head}, f"{file} ends at head {head}.")
    return ExitCode.OK


def report(
    incident: Annotated[str, Parameter(help="Id or code name of the incident.")],
    /,
    *,
    output: Annotated[Path | None, Parameter(help="Folder for report.html. Default: STATE/reports/INCIDENT.")] = None,
    common: Common = Common(),
) -> int:
    """Write the report of an incident as one self-contained HTML page."""
    from console.report import write_report
    from flows.lookup import named
    from flows.wiring import Wiring

    with Wiring.from_file(common.config) as wiring:
        incident = named(wiring, incident)
        events = wiring.records.events(incident)
        folder = output or wiring.settings.state / "reports" / incident
        folder.mkdir(parents=True, exist_ok=True)
        page = write_report(folder, events=events)
    show(common, {"incident": incident, "report": str(page)}, str(page))
    return ExitCode.OK
