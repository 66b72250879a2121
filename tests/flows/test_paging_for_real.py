"""Calls through the real PagerDuty client: rung once, taken there or here, and resolved when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.pagerduty_account import Incident as Theirs
from fakes.pagerduty_options import pager_options
from fakes.pagerduty_server import FakePagerDuty
from open_case import OpenedByHand, Running, eventually, wired
from written_case import ID, Case

from flows.background import Background
from flows.desk import ResponseDesk
from flows.escalation import Escalations
from flows.pager_words import hear_pager
from flows.wiring import Wiring
from playbooks.event_bodies import body_of
from playbooks.record import EventKind

ROSTER = {
    "people": [
        {"name": "asha", "pagerduty": ["PASHA01"], "roles": ["contain"]},
        {"name": "carla", "pagerduty": ["PCARL03"], "roles": ["contain"]},
    ],
    "escalation": {"people": ["carla"], "after_minutes": 5},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePagerDuty]:
    with FakePagerDuty(tmp_path_factory.mktemp("pagerduty")) as fake:
        yield fake


@pytest.fixture
def fake(server: FakePagerDuty) -> FakePagerDuty:
    """The server with nothing left of the test before."""
    server.reset()
    return server


@pytest.fixture
def wiring(fake: FakePagerDuty, tmp_path: Path) -> Iterator[OpenedByHand]:
    """A case that nobody has taken, and the pager's own adapter."""
    pager = {"type": "pagerduty", "name": "pd", **pager_options(tmp_path, fake)}
    with wired(tmp_path, Case(), roster=ROSTER, pagers=[pager]) as opened:
        opened.rings = Wiring.pagers(opened)
        yield opened


def theirs(fake: FakePagerDuty) -> list[Theirs]:
    return list(fake.account.incidents)


def escalations(wiring: OpenedByHand) -> Running:
    return Running(lambda on_trouble: Escalations(wiring, on_trouble=on_trouble))


def close(wiring: OpenedByHand) -> None:
    body = body_of(EventKind.CLOSED, by="asha", outcome="false-alarm")
    wiring.records.append_next(ID, kind=EventKind.CLOSED, body=body)


def test_an_acknowledge_in_pagerduty_is_one_here_and_our_end_is_theirs(
    wiring: OpenedByHand, fake: FakePagerDuty
) -> None:
    """One incident there for the whole case; the next person is not called any more."""
    with escalations(wiring):
        eventually(lambda: wiring.case.people.pages)
        (incident,) = theirs(fake)
        webhook = fake.click(incident, "acknowledge")
        desk = ResponseDesk(wiring, Background(wiring))
        assert hear_pager(wiring, desk, "pd", headers=webhook.headers, body=webhook.body) == 1
        assert hear_pager(wiring, desk, "pd", headers=webhook.headers, body=webhook.body) == 0
        taken = wiring.case.people.acknowledged
        assert taken is not None
        assert (taken.by, taken.via) == ("asha", "pagerduty")
        wiring.time.ahead += timedelta(minutes=10)
        close(wiring)
        eventually(lambda: [each.status for each in theirs(fake)] == ["resolved"])
    assert [(each.level, each.error) for each in wiring.case.people.pages] == [(0, "")]


def test_a_pager_that_is_down_rings_when_it_is_back_and_once(wiring: OpenedByHand, fake: FakePagerDuty) -> None:
    """A restart in between changes nothing."""
    fake.fault = "down"
    with escalations(wiring):
        eventually(lambda: wiring.case.people.pages)
    assert wiring.case.people.pages[0].error
    fake.fault = ""
    wiring.time.ahead += timedelta(minutes=1)
    for _ in range(2):
        with escalations(wiring):
            eventually(lambda: any(not each.error for each in wiring.case.people.pages))
    assert len(theirs(fake)) == 1


def test_the_next_person_is_called_into_the_same_incident(wiring: OpenedByHand, fake: FakePagerDuty) -> None:
    """By name, since PagerDuty knows them."""
    with escalations(wiring):
        eventually(lambda: len(wiring.case.people.pages) == 1)
        wiring.time.ahead += timedelta(minutes=6)
        eventually(lambda: len(wiring.case.people.pages) == 2)
    assert wiring.case.people.links["pd"]["level-1"] == "user:PCARL03"
    assert len(theirs(fake)) == 1
