"""Tables of the record: the same facts in every format, nothing a spreadsheet would run, whole or not at all."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from told import Told
from written_case import ID, START, Case

from flows.exports import TableName, export_table
from flows.settings import Settings
from flows.wiring import Wiring
from integrations.tables import Format, safe_cell, write_table
from playbooks.errors import InvalidInput
from playbooks.record import Event, EventKind, verify_chain
from playbooks.tables import Column, Table

HOSTILE = '=HYPERLINK("http://evil.example";"click")'


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    """One exercise in the record, contained."""
    moments = iter(START + timedelta(seconds=number) for number in range(10_000))
    settings = Settings(state=tmp_path / "state", estate=tmp_path / "estate.yaml", source=tmp_path / "keyquell.yaml")
    with Wiring.open(settings, clock=lambda: next(moments)) as opened:
        case = Case(exercise=True)
        case.contained()
        case.note(EventKind.NOTE, text=HOSTILE, by="mallory")
        case.write_to(opened.records)
        yield opened


def read(file: Path, form: Format) -> list[dict[str, object]]:
    """The rows of a file, with texts for what the format cannot tell apart."""
    if form == "csv":
        with file.open(encoding="utf-8", newline="") as lines:
            return [dict(each) for each in csv.DictReader(lines)]
    if form == "json":
        return list(json.loads(file.read_text(encoding="utf-8")))
    return list(parquet.read_table(file).to_pylist())


@pytest.mark.parametrize("form", get_args(Format))
@pytest.mark.parametrize("name", get_args(TableName))
def test_every_table_in_every_format_says_what_is_an_exercise(
    wiring: Wiring, tmp_path: Path, name: TableName, form: Format
) -> None:
    """In a column that is always there, and always filled."""
    count = export_table(wiring, name, tmp_path / "out", form)
    rows = read(tmp_path / "out", form)
    assert len(rows) == count > 0
    assert {each["incident"] for each in rows} == {ID}
    assert {each["exercise"] for each in rows} == {"true" if form == "csv" else True}


@pytest.mark.parametrize("form", get_args(Format))
@pytest.mark.parametrize("name", get_args(TableName))
def test_every_row_of_virtual_time_is_marked(wiring: Wiring, tmp_path: Path, name: TableName, form: Format) -> None:
    """And no other."""
    for event in Told("KQ-VIRTUAL", exercise=True, virtual_time=True).events:
        wiring.records.append_next(event.incident, kind=event.kind, body=event.body)
    export_table(wiring, name, tmp_path / "out", form)
    marks = {(each["incident"], each["virtual_time"]) for each in read(tmp_path / "out", form)}
    assert marks == {(ID, "false" if form == "csv" else False), ("KQ-VIRTUAL", "true" if form == "csv" else True)}


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_the_chain_can_be_verified_from_the_table_alone(wiring: Wiring, tmp_path: Path, form: Format) -> None:
    """Bodies, times and hashes survive the way out."""
    export_table(wiring, "events", tmp_path / "out", form)
    fields = ("incident", "seq", "at", "kind", "prev", "hash")
    events = [
        Event.model_validate({**{name: row[name] for name in fields}, "body": json.loads(str(row["body"]))})
        for row in read(tmp_path / "out", form)
    ]
    assert verify_chain(events) == wiring.records.events(ID)[-1].hash


def test_what_is_not_reached_is_empty_and_not_zero(wiring: Wiring, tmp_path: Path) -> None:
    """An open incident has no end."""
    export_table(wiring, "incidents", tmp_path / "out", "parquet")
    row = read(tmp_path / "out", "parquet")[0]
    assert row["closed_at"] is None
    assert row["contained_at"] == wiring.incident(ID).contained_at
    assert row["events"] == len(wiring.records.events(ID))


def test_measures_keep_their_bounds_and_the_events_that_prove_them(wiring: Wiring, tmp_path: Path) -> None:
    """As the summary has them."""
    export_table(wiring, "measures", tmp_path / "out", "json")
    found = {str(each["measure"]): each for each in read(tmp_path / "out", "json")}
    assert found["revoke-proven"]["state"] == "reached"
    assert isinstance(found["revoke-proven"]["to_seq"], int)
    assert found["residual-exposure"]["state"] != "reached"


@given(st.text(max_size=30))
def test_no_cell_of_text_begins_like_a_formula(text: str) -> None:
    """Whatever people and detectors wrote; and what is harmless stays as it is."""
    cell = safe_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert cell in (text, f"'{text}")


def test_a_formula_in_a_name_stays_text_in_csv_and_itself_elsewhere(tmp_path: Path) -> None:
    """Also when the cell must be quoted, and numbers below zero are numbers."""
    rows = [(HOSTILE, -1.5, datetime(2026, 3, 2, 9, tzinfo=UTC), None)]
    columns = (Column("name"), Column("size", "number"), Column("at", "moment"), Column("why"))
    for form, name in (("csv", f"'{HOSTILE}"), ("json", HOSTILE), ("parquet", HOSTILE)):
        write_table(Table("names", columns, rows), tmp_path / "out", form)
        row = read(tmp_path / "out", form)[0]
        assert row["name"] == name
        assert float(str(row["size"])) == -1.5
        assert row["why"] in (None, "")


def test_a_crash_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """The new one appears when it is whole."""
    file = tmp_path / "out.csv"
    file.write_text("old", encoding="utf-8")

    def rows() -> Iterator[tuple[str]]:
        yield ("first",)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError):
        write_table(Table("names", (Column("name"),), rows()), file, "csv")
    assert [each.name for each in tmp_path.iterdir()] == ["out.csv"]
    assert file.read_text(encoding="utf-8") == "old"
    write_table(Table("names", (Column("name"),), [("new",)]), file, "csv")
    assert file.read_text(encoding="utf-8").split() == ["name", "new"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """As input, not as a crash."""
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_table(Table("names", (Column("name"),), []), tmp_path / "none" / "out", "csv")


@pytest.mark.parametrize("form", get_args(Format))
def test_an_empty_table_has_its_columns(tmp_path: Path, form: Format) -> None:
    """Nothing happened yet is an answer too."""
    assert write_table(Table("names", (Column("name"),), []), tmp_path / "out", form) == 0
    assert read(tmp_path / "out", form) == []
