"""A case is marked by the settings it is opened under: as an exercise, and as one whose times are virtual."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from open_case import wired
from written_case import EXPOSURE, Case

from flows.opening import open_case
from flows.overview import overview
from playbooks.errors import InvalidInput, RecordError
from playbooks.record import EventKind

DRILL = {"scenario": "kms-credential-leak"}


@pytest.mark.parametrize(
    ("settings", "exercise", "virtual_time"),
    [
        ({}, False, False),
        ({"exercise": DRILL}, True, False),
        ({"exercise": {**DRILL, "virtual_time": True}}, True, True),
    ],
)
def test_every_case_that_is_opened_has_the_marks_of_the_settings(
    tmp_path: Path, settings: dict[str, Any], *, exercise: bool, virtual_time: bool
) -> None:
    """In the record, and in its line."""
    with wired(tmp_path, Case(), **settings) as wiring:
        opened = open_case(wiring, [EXPOSURE], requested_by="alice", severity="high", playbook="")
        incident = wiring.incident(opened)
        assert (incident.exercise, incident.virtual_time) == (exercise, virtual_time)
        line = next(each for each in overview(wiring).all() if each.id == opened)
        assert (line.exercise, line.virtual_time) == (exercise, virtual_time)
        assert wiring.records.events(opened)[0].body["virtual_time"] is virtual_time


def test_virtual_time_is_a_part_of_an_exercise_alone(tmp_path: Path) -> None:
    """The settings have no place for it elsewhere, and the record takes it for no real case."""
    with pytest.raises(InvalidInput, match="virtual_time"):
        wired(tmp_path, Case(), virtual_time=True)
    with wired(tmp_path, Case()) as wiring:
        body = {**wiring.records.events(wiring.case.id)[0].body, "virtual_time": True}
        with pytest.raises(RecordError, match="only an exercise may have virtual times"):
            wiring.records.append_next("KQ-REAL", kind=EventKind.INCIDENT_OPENED, body=body)
        assert wiring.records.events("KQ-REAL") == []
