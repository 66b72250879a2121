"""A drill is briefed with what earlier cases left open, and its report stands beside earlier drills."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import report_example as example
import yaml

from console.earlier_drills import briefing, earlier_drills, left_to_do
from console.report import write_drill_report
from flows.reviews import add_action, settle_action
from flows.wiring import Wiring
from integrations.records.export import export
from integrations.records.sql import SqlRecords
from playbooks.comparison import Returned, beside, earlier
from playbooks.desk import Actor
from playbooks.errors import InvalidInput
from playbooks.event_bodies import body_of
from playbooks.oversight import Action
from playbooks.record import GENESIS, EventKind
from playbooks.summary import Summary, summary_of

MEI = Actor(account="mei", via="cli")


def keep(folder: Path, *, name: str, days: int) -> Path:
    """The record of a drill that was run so many days ago, in a folder of its own; returns that folder."""
    place = folder / name
    place.mkdir(parents=True)
    moments = iter(each.at - timedelta(days=days) for each in example.events())
    records = SqlRecords.open(f"sqlite:///{place}/drill.db", clock=lambda: next(moments))
    for each in example.events():
        records.append_next(each.incident, kind=each.kind, body=each.body)
    export(records, example.events()[0].incident, place / "record.ndjson")
    records.close()
    return place


def returned(text: str = "Rotate yearly") -> Returned:
    """An action of an earlier case."""
    agreed = datetime(2026, 3, 1, tzinfo=UTC)
    action = Action("a1", text, "Bo", date(2026, 4, 1), "mei", at=agreed, seq=9)
    return Returned("KQ-1", "amber-heron", exercise=True, action=action)


def test_a_report_stands_beside_earlier_drills_and_asks_for_open_actions(tmp_path: Path) -> None:
    """Each with its own figures; what others wrote is text."""
    keep(tmp_path, name="20260312-000000-leak-aa", days=2)
    this = keep(tmp_path, name="20260314-000000-leak-bb", days=0)
    (tmp_path / "20260313-000000-leak-cc").mkdir()
    (tmp_path / "20260313-000000-leak-cc" / "record.ndjson").write_text("damaged\n", encoding="utf-8")
    before = earlier_drills(tmp_path, "leak")
    assert len(before) == 2
    page = write_drill_report(example.result(), this, before=renamed(before), returned=[returned("<b>Rotate</b>")])
    text = page.read_text(encoding="utf-8")
    assert "Beside earlier drills of the same playbook" in text
    assert "&lt;b&gt;Rotate&lt;/b&gt;" in text
    assert "2026-03-12" in text
    alone = write_drill_report(example.result(), this).read_text(encoding="utf-8")
    assert "Beside earlier drills" not in alone


def renamed(found: tuple[Summary, ...]) -> list[Summary]:
    """In a lab every drill has a case of its own."""
    return [each.model_copy(update={"id": f"{each.id}-{number}"}) for number, each in enumerate(found)]


def test_drills_stand_beside_drills_of_the_same_playbook_alone() -> None:
    """Not beside real ones, later ones or those of another playbook, and never beside more than four."""
    this = summary_of(example.events())
    past = [
        this.model_copy(update={"id": f"d{n}", "opened_at": this.opened_at - timedelta(days=n)}) for n in range(1, 7)
    ]
    others = [
        past[0].model_copy(update={"id": "real", "exercise": False}),
        past[0].model_copy(update={"id": "other", "playbook": "another"}),
        past[0].model_copy(update={"id": "later", "opened_at": this.opened_at + timedelta(days=1)}),
    ]
    found = beside(this, earlier(this, [*others, *past]), [returned()], now=example.at(60))
    assert [each.incident for each in found.columns] == [this.id, "d1", "d2", "d3", "d4"]
    assert found.more == 2
    assert found.names
    assert found.columns[0].ended
    going_on = this.model_copy(update={"closed_at": None})
    assert not beside(going_on, past, [], now=example.at(60)).columns[0].ended
    assert beside(going_on, past, [], now=None).columns[0].ended
    real = this.model_copy(update={"exercise": False})
    assert beside(real, past, [returned()], now=example.at(60)).columns == ()


def test_the_briefing_names_what_is_open(tmp_path: Path) -> None:
    """Of the same playbook alone, by day; nothing where nothing is configured."""
    config = tmp_path / "keyquell.yaml"
    config.write_text(yaml.safe_dump({"state": "state", "estate": "estate.yaml"}), encoding="utf-8")
    (tmp_path / "estate.yaml").write_text("version: 1\n", encoding="utf-8")
    with Wiring.from_file(config) as wiring:
        kind = EventKind.INCIDENT_OPENED
        for incident, playbook in (("KQ-1", "leak"), ("KQ-2", "leak"), ("KQ-3", "other")):
            opened = {"codename": incident.lower(), "severity": "high", "exercise": True, "requested_by": "mei"}
            body = body_of(kind, playbook=playbook, **opened)
            wiring.records.append(incident, kind=kind, body=body, expected_head=GENESIS)
        day = wiring.clock().date()
        for incident, text, days in (("KQ-1", "second", 9), ("KQ-2", "first", 3), ("KQ-3", "other", 1)):
            add_action(wiring, MEI, incident, text=text, owner="Bo", due=day + timedelta(days=days))
        done = add_action(wiring, MEI, "KQ-1", text="done", owner="Bo", due=day)
        settle_action(wiring, MEI, "KQ-1", done.id, outcome="done", reason="")
    lines = briefing(left_to_do(config, "leak"))
    assert [line.split(": ")[1] for line in lines[1:]] == ["first (kq-2)", "second (kq-1)"]
    assert briefing(()) == []
    with pytest.raises(InvalidInput):
        left_to_do(tmp_path / "none.yaml", "leak")
