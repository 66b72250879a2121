"""The record as tables for spreadsheets and data tools: pure rows.

Real cases and exercises are told apart in each, and so are cases whose times are virtual.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import orjson

from playbooks.metrics.measure import Measure
from playbooks.record import Event
from playbooks.summary import Summary

Kind = Literal["text", "flag", "whole", "number", "moment"]
Cell = str | bool | int | float | datetime | None
Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and what stands in it; any cell may be None: not known, or not reached."""

    name: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """``rows`` may be read once; each has a cell for every column, in their order."""

    name: str
    columns: tuple[Column, ...]
    rows: Iterable[Row]


_MOMENTS = (
    "opened_at",
    "detected_at",
    "acknowledged_at",
    "contained_at",
    "data_safe_at",
    "restored_at",
    "closed_at",
)
_WHAT = (Column("incident"), Column("exercise", "flag"), Column("virtual_time", "flag"))
"""Which case a row is of, and what it must not be pooled with."""
_WORDS = ("codename", "severity", "scenario", "playbook", "phase", "requested_by", "outcome")


def incidents_table(cases: Iterable[Summary]) -> Table:
    """One row an incident; ``exposures`` and ``targets`` are parted by a space."""
    columns = (
        *_WHAT,
        *(Column(name) for name in (*_WORDS, "exposures", "targets")),
        Column("events", "whole"),
        *(Column(name, "moment") for name in _MOMENTS),
    )
    return Table("incidents", columns, (_incident(each) for each in cases))


def events_table(cases: Iterable[tuple[Summary, Iterable[Event]]]) -> Table:
    """One row an event, each incident's in order; ``body`` is canonical JSON, so that the chain can be verified."""
    columns = (
        *_WHAT,
        Column("seq", "whole"),
        Column("at", "moment"),
        *(Column(name) for name in ("kind", "body", "prev", "hash")),
    )
    return Table("events", columns, (_event(case, each) for case, events in cases for each in events))


def measures_table(cases: Iterable[tuple[Summary, Sequence[Measure]]], *, now: datetime) -> Table:
    """One row a span; ``to_seq`` and ``from_seq`` are the events that prove its ends.

    They are as of ``now`` (aware), which stands in ``as_of``: what is running has lasted ``lower_seconds`` then.
    """
    columns = (
        *_WHAT,
        Column("severity"),
        Column("measure"),
        Column("state"),
        Column("lower_seconds", "number"),
        Column("upper_seconds", "number"),
        Column("from_seq", "whole"),
        Column("to_seq", "whole"),
        Column("why"),
        Column("as_of", "moment"),
    )
    return Table("measures", columns, (_measure(case, each, now) for case, found in cases for each in found))


def _what(case: Summary) -> Row:
    return (case.id, case.exercise, case.virtual_time)


def _incident(case: Summary) -> Row:
    words = (getattr(case, name) for name in _WORDS)
    moments = (getattr(case, name) for name in _MOMENTS)
    return (
        *_what(case),
        *words,
        " ".join(case.exposures),
        " ".join(case.targets),
        case.seq + 1,
        *moments,
    )


def _event(case: Summary, event: Event) -> Row:
    body = orjson.dumps(event.body, option=orjson.OPT_SORT_KEYS).decode()
    return (*_what(case), event.seq, event.at, event.kind.value, body, event.prev, event.hash)


def _measure(case: Summary, measure: Measure, now: datetime) -> Row:
    return (
        *_what(case),
        case.severity,
        measure.name.value,
        measure.state,
        measure.lower_seconds,
        measure.upper_seconds,
        measure.from_seq,
        measure.to_seq,
        measure.why,
        now,
    )
