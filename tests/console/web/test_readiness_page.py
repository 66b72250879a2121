"""The readiness page: what was drilled, when and how it ended, what is not covered, and the one thing to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from report_example import result as drill_result
from told import Told, at
from visiting import visiting
from web_office import CASE, CODENAME, WebOffice, web_office

from console.kept_drills import KeptDrills
from flows.readiness import planned
from flows.schedules import add_schedule, parse_schedule
from integrations.records.export import export
from integrations.records.sql import SqlRecords
from playbooks.exposures import Exposure, ExposureKind
from playbooks.record import EventKind


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """One signing key in an HSM, and nothing was drilled."""
    with web_office(tmp_path / "office") as found:
        yield found


def words(text: str) -> str:
    found = re.sub(r"<[^>]+>", " ", text.partition('id="main"')[2])
    return re.sub(r" ([,.;:)])", r"\1", " ".join(found.split())).replace("( ", "(")


def page(office: WebOffice) -> str:
    answer = visiting(office).get("/readiness")
    assert answer.status_code == 200
    return words(answer.text)


def keep(office: WebOffice, *, scenario: str, playbook: str, target: str, kind: ExposureKind, passed: bool) -> Path:
    """The kept result of a drill that began at nine on 2 March 2026."""
    told = Told("KQ-D1", exercise=True, codename="brisk-owl")
    told.events.clear()
    opened = {"codename": "brisk-owl", "severity": "high", "exercise": True, "requested_by": "mei"}
    told.add(0, EventKind.INCIDENT_OPENED, **opened, playbook=playbook, scenario=scenario)
    told.add(0, EventKind.EXPOSURE_ADDED, exposure=Exposure(kind=kind, target=target, confidence=1.0))
    place = office.root / "home" / "drills" / f"20260302-090000-{scenario}-ab"
    place.mkdir(parents=True)
    moments = iter(each.at for each in told.events)
    records = SqlRecords.open(f"sqlite:///{place}/drill.db", clock=lambda: next(moments))
    for each in told.events:
        records.append_next(each.incident, kind=each.kind, body=each.body)
    export(records, "KQ-D1", place / "record.ndjson")
    records.close()
    score = drill_result().model_copy(update={"scenario": scenario, "passed": passed, "valid": True})
    (place / "result.json").write_text(score.model_dump_json(), encoding="utf-8")
    office.ahead = at(60) + timedelta(days=3) - office.wiring.clock() + office.ahead
    return place


def signing(office: WebOffice, *, passed: bool) -> Path:
    return keep(
        office,
        scenario="signing-key-leak",
        playbook="signing-key-leak",
        target="pkcs11:token=lab;object=release",
        kind=ExposureKind.SIGNING_KEY,
        passed=passed,
    )


def test_nothing_drilled_is_said_with_the_command_to_run(office: WebOffice) -> None:
    """Four ways to lose the key, of which two have a scenario."""
    text = page(office)
    assert "0 of 1 class of keys was drilled with success." in text
    assert "What next Run hsm-pin-leak: it was never drilled, and 1 pkcs11 key can be lost that way." in text
    assert "keyquell drill run hsm-pin-leak" in text
    assert "0 of 4 ways drilled and passed." in text
    assert text.count("no scenario here practises it") == 2
    assert "%" not in text


def test_a_drill_that_passed_covers_its_class_and_says_when_and_by_whom(office: WebOffice) -> None:
    """Three days and an hour ago."""
    signing(office, passed=True)
    text = page(office)
    assert "1 of 1 class of keys was drilled with success." in text
    assert "drilled 3 d 1 h ago, passed (brisk-owl, asked for by mei)" in text
    assert "1 of 1 keys of a class that was drilled and passed" in text
    assert "1 of 4 ways drilled and passed." in text


def test_a_drill_that_failed_covers_nothing_and_is_next(office: WebOffice) -> None:
    """Again, before anything that never was."""
    signing(office, passed=False)
    text = page(office)
    assert "0 of 1 class of keys was drilled with success." in text
    assert "did not pass" in text
    assert "What next Run signing-key-leak again" in text


def test_an_old_drill_is_called_old(office: WebOffice) -> None:
    """People and backends change within a year."""
    signing(office, passed=True)
    office.ahead += timedelta(days=400)
    assert "passed, over a year old" in page(office)


def test_an_exercise_of_the_record_was_not_scored(office: WebOffice) -> None:
    """It is linked, and counts as no proof."""
    office.case("KQ-DRILL", exercise=True)
    text = page(office)
    assert "was not scored" in text
    assert "0 of 1 exercises, scored and passed" in text
    assert 'href="/incidents/KQ-DRILL"' in visiting(office).get("/readiness").text


def test_a_tabletop_on_a_set_clock_is_no_drill(office: WebOffice) -> None:
    """No key was touched, and its date is none; the key stays never drilled."""
    office.case("KQ-TABLE", exercise=True, virtual_time=True)
    text = page(office)
    assert "was not scored" not in text
    assert text.count("never drilled") >= 4
    assert "never drilled" in visiting(office).get("/keys").text


def test_real_cases_are_no_drills(office: WebOffice) -> None:
    """What happened in earnest shows no readiness."""
    office.case()
    text = page(office)
    assert CODENAME not in text
    assert text.count("never drilled") >= 4


def test_open_actions_stand_with_owner_day_and_case(office: WebOffice) -> None:
    """Overdue ones are marked; what is settled is gone."""
    office.case()
    for name, text in (("a1", "Rotate yearly"), ("a2", "Buy a safe")):
        office.write(EventKind.ACTION_ADDED, action=name, text=text, owner="Bo", due="2026-04-01", by="mei")
    office.write(EventKind.ACTION_SETTLED, action="a2", outcome="done", by="mei")
    text = page(office)
    assert f"overdue Rotate yearly Bo, by 2026-04-01; {CODENAME}" in text
    assert "Buy a safe" not in text
    assert f'href="/incidents/{CASE}/review"' in visiting(office).get("/readiness").text


def test_scheduled_drills_say_when_they_run_next(office: WebOffice) -> None:
    """Mondays at six in Berlin; 9 March 2026 is one."""
    office.ahead = at(60) - office.wiring.clock() + office.ahead
    schedule = parse_schedule(scenario="signing-key-leak", cron="0 6 * * 1", timezone="Europe/Berlin")
    add_schedule(office.root / "home", schedule)
    assert "next at 05:00 UTC on 9 March 2026 (0 6 * * 1, Europe/Berlin)" in page(office)
    assert [each.scenario for each in planned(office.root / "home", now=at(0))] == ["signing-key-leak"]


def test_a_damaged_file_of_schedules_or_of_keys_hides_nothing_else(office: WebOffice) -> None:
    """The page says which file, and shows the rest."""
    home = office.root / "home"
    home.mkdir()
    (home / "schedules.yaml").write_text("- {cron: x}\n", encoding="utf-8")
    assert "schedules.yaml cannot be understood" in page(office)
    (office.root / "estate.yaml").write_text("keys: 3\n", encoding="utf-8")
    text = page(office)
    assert "Correct what cannot be read." in text
    assert "Scenarios" in text


def test_an_estate_without_keys_asks_for_one(office: WebOffice) -> None:
    """Nothing can be ready that nobody knows of."""
    (office.root / "estate.yaml").write_text("version: 1\n", encoding="utf-8")
    text = page(office)
    assert "No key is known" in text
    assert "keyquell inventory import FILE" in text


def test_many_keys_are_counted_and_some_are_listed(office: WebOffice) -> None:
    """Nothing of ten thousand is left uncounted."""
    keys = [{"ref": f"aws-kms:prod/{number}"} for number in range(10_000)]
    (office.root / "estate.yaml").write_text(yaml.safe_dump({"version": 1, "keys": keys}), encoding="utf-8")
    text = page(office)
    assert "10,000 keys, 0 datasets under them" in text
    assert "And 9,975 more." in text


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """In actions."""
    office.case()
    evil = "<script>alert(1)</script>\u202e"
    office.write(EventKind.ACTION_ADDED, action="a1", text=evil, owner=evil, due="2026-04-01", by="mei")
    text = visiting(office).get("/readiness").text
    assert "<script>alert" not in text
    assert "\u202e" not in text


def test_damaged_and_unfinished_drills_are_left_out_and_each_is_read_once(office: WebOffice) -> None:
    """A result without a record, a record without a result, a result that is none."""
    good = signing(office, passed=True)
    folder = good.parent
    for name, files in {"a": {"result.json": "{"}, "b": {"record.ndjson": "x"}, "c": {"result.json": "{}"}}.items():
        (folder / name).mkdir()
        for file, text in files.items():
            (folder / name / file).write_text(text, encoding="utf-8")
    drills = KeptDrills(folder)
    found = drills.all()
    assert [(each.folder, each.passed) for each in found] == [(good.name, True)]
    (good / "record.ndjson").write_text("damaged", encoding="utf-8")
    assert drills.all() == found
