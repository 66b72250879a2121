"""``/metrics`` is OpenMetrics that a collector reads, for a token or a visitor, and names no case."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from web_office import CASE, CODENAME, KEY, WebOffice, web_office

from console.web.sign_in import cookie_name
from flows.sign_in import SignIn
from playbooks.record import EventKind

TOKEN = "collector-token-of-the-tests"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """A real case and an exercise; a collector's token."""
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    with web_office(tmp_path / "office", web={"metrics_token": f"file:{tmp_path / 'token'}"}) as found:
        found.case()
        found.case("KQ-2027-0008", exercise=True)
        yield found


def read(office: WebOffice) -> dict[str, dict[tuple[str, ...], float]]:
    """Sample name → label values (sorted by label) → value, parsed by the strict parser."""
    answer = TestClient(office.app).get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            key = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[key] = sample.value
    return found


def test_open_cases_are_counted_apart_from_exercises(office: WebOffice) -> None:
    """By severity and phase; labels in alphabetical order are exercise, phase, severity."""
    assert read(office)["keyquell_cases_open"] == {("no", "planned", "high"): 1, ("yes", "planned", "high"): 1}
    office.write(EventKind.CLOSED, by="alice", outcome="false-alarm")
    assert read(office)["keyquell_cases_open"] == {("yes", "planned", "high"): 1}


def test_a_span_counts_once_it_has_ended_and_not_before(office: WebOffice) -> None:
    """An open span is in no bucket; the age of what burns is told instead, and ends with containment."""
    before = read(office)
    assert before["keyquell_contained_seconds_count"] == {("no",): 0, ("yes",): 0}
    assert before["keyquell_uncontained_oldest_seconds"][("no",)] > 0
    office.write(EventKind.CONTAINED, probes=3)
    after = read(office)
    assert after["keyquell_contained_seconds_count"] == {("no",): 1, ("yes",): 0}
    assert after["keyquell_uncontained_oldest_seconds"][("no",)] == 0
    assert after["keyquell_contained_seconds_bucket"][("no", "+Inf")] == 1


def test_what_has_virtual_times_is_counted_and_in_no_duration(office: WebOffice) -> None:
    """Its ages and spans would be those of a clock that was set."""
    before = read(office)
    office.case("KQ-2027-0009", exercise=True, virtual_time=True)
    office.write(EventKind.CONTAINED, incident="KQ-2027-0009", probes=3)
    office.case("KQ-2027-0010", exercise=True, virtual_time=True)
    after = read(office)
    assert before["keyquell_cases_virtual_time"] == {(): 0}
    assert after["keyquell_cases_virtual_time"] == {(): 2}
    assert after["keyquell_contained_seconds_count"] == before["keyquell_contained_seconds_count"]
    assert sum(after["keyquell_cases_open"].values()) == 4
    office.write(EventKind.CONTAINED, incident="KQ-2027-0008", probes=3)
    assert read(office)["keyquell_uncontained_oldest_seconds"][("yes",)] == 0


def test_neither_case_nor_key_nor_person_is_named(office: WebOffice) -> None:
    """A collector and its dashboards are read by many."""
    text = TestClient(office.app).get("/metrics", headers={"authorization": f"Bearer {TOKEN}"}).text
    assert not [word for word in (CASE, CODENAME, KEY, "alice") if word in text]


def test_a_wrong_token_is_refused_and_a_visitor_needs_none(office: WebOffice) -> None:
    """Without either, nothing is shown."""
    client = TestClient(office.app, base_url=office.wiring.settings.web.url)
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers={"authorization": "Bearer \u00e9".encode("latin-1")}).status_code == 401
    client.cookies.set(cookie_name(office.wiring), SignIn(office.wiring).begin("bob", "passkey"))
    assert client.get("/metrics").status_code == 200
