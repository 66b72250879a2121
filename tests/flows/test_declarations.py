"""What a person declares is one incident with a plan, however often it is submitted and whoever dies half-way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from leaked_key import declared, die_after
from small_shop import Shop

from flows import intake
from flows.background import Background
from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.exposures import Exposure, ExposureKind
from playbooks.record import EventKind

pytestmark = pytest.mark.lab


def form(wiring: Wiring, shop: Shop, origin: str = "view:V1", **more: Any) -> str:
    """The same form, submitted."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    return intake.declare(wiring, [exposure], requested_by="alice", origin=origin, **more)


def test_one_form_is_one_incident_however_often_it_is_submitted(wiring: Wiring, shop: Shop) -> None:
    """Eight at once, in two processes' worth of wirings; another form is another case."""
    with shop.wiring() as another, ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda number: form((wiring, another)[number % 2], shop), range(8)))
    [incident_id] = found
    assert wiring.records.incidents() == [incident_id]
    assert wiring.incident(incident_id).origin == "view:V1"
    assert form(wiring, shop, origin="view:V2") != incident_id
    assert len(wiring.records.incidents()) == 2


def test_a_form_submitted_again_after_midnight_is_still_the_same(shop: Shop) -> None:
    """The id holds the day; the record is asked whatever the day."""
    now = datetime(2026, 3, 2, 23, 59, 59, tzinfo=UTC)
    with Wiring.open(load_settings(shop.config), clock=lambda: now) as wiring:
        first = form(wiring, shop)
        now += timedelta(seconds=2)
        assert form(wiring, shop) == first


def test_a_form_is_remembered_when_its_case_is_closed(wiring: Wiring, shop: Shop) -> None:
    """A submission that comes late opens nothing and changes nothing."""
    incident_id = form(wiring, shop)
    intake.close(wiring, incident_id, by="alice", outcome="false-alarm")
    before = wiring.records.events(incident_id)
    assert form(wiring, shop) == incident_id
    assert wiring.records.events(incident_id) == before


@pytest.mark.parametrize("written", range(1, 5))
def test_a_declaration_that_died_half_way_is_finished_by_its_repetition(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    """One incident, one note, one exposure, one plan."""
    die_after(monkeypatch, written)
    with pytest.raises(KeyboardInterrupt):
        form(wiring, shop, note="seen in a public repository")
    monkeypatch.undo()
    incident_id = form(wiring, shop, note="seen in a public repository")
    assert wiring.records.incidents() == [incident_id]
    kinds = [event.kind for event in wiring.records.events(incident_id)]
    assert [kinds.count(kind) for kind in (EventKind.NOTE, EventKind.EXPOSURE_ADDED, EventKind.PLAN_MADE)] == [1, 1, 1]


def test_a_declaration_that_died_before_its_plan_is_planned_and_contained_by_whoever_comes(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process contains it at once, without waiting for the flow."""
    die_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        declared(wiring, shop)
    monkeypatch.undo()
    [incident_id] = wiring.records.incidents()
    background = Background(wiring)
    background.contain(incident_id)
    background.wait(seconds=30)
    assert wiring.incident(incident_id).contained_at is not None


def test_an_id_that_is_taken_is_not_shared(wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are short: chance may draw the same twice, and then draws again."""
    draws = iter([b"same", b"same", b"else"])
    monkeypatch.setattr("flows.opening._randomness", lambda origin, attempt: next(draws))
    assert declared(wiring, shop) != declared(wiring, shop)
