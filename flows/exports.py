"""Tables of everything that the record holds, to a file for other systems."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from flows.overview import overview
from flows.wiring import Wiring
from integrations.tables import Format, write_table
from playbooks.metrics.measuring import measures_of
from playbooks.tables import Table, events_table, incidents_table, measures_table

TableName = Literal["incidents", "events", "measures"]


def export_table(wiring: Wiring, name: TableName, file: Path, form: Format) -> int:
    """Write one table over all incidents, the oldest first; returns the number of rows.

    Raises InvalidInput when the file cannot be written, RecordError when a record cannot be read.
    """
    return write_table(_table(wiring, name), file, form)


def _table(wiring: Wiring, name: TableName) -> Table:
    cases = list(reversed(overview(wiring).all()))
    match name:
        case "incidents":
            return incidents_table(cases)
        case "events":
            return events_table((each, wiring.records.events(each.id)) for each in cases)
        case "measures":
            now = wiring.clock()
            measured = ((each, measures_of(wiring.records.events(each.id), now=now)) for each in cases)
            return measures_table(measured, now=now)
