"""A case with PagerDuty at the other end: rings, is taken there, is over there, and survives its absence."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.pagerduty_options import pager_options
from fakes.pagerduty_server import FakePagerDuty
from open_case import Channel, OpenedByHand, Running, eventually, wired
from written_case import ID, Case

from flows.background import Background
from flows.desk import ResponseDesk
from flows.escalation import Escalations
from flows.pager_words import hear_pager
from integrations.paging.pagerduty import PagerDuty
from playbooks.event_bodies import body_of
from playbooks.record import EventKind

ROSTER = {
    "people": [
        {"name": "asha", "roles": ["contain"], "pagerduty": ["PASHA01"]},
        {"name": "carla", "roles": ["contain"], "pagerduty": ["PCARL03"]},
    ],
    "escalation": {"people": ["carla"], "after_minutes": 5},
}


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakePagerDuty]:
    with FakePagerDuty(tmp_path) as server:
        yield server


@pytest.fixture
def wiring(tmp_path: Path, fake: FakePagerDuty) -> Iterator[OpenedByHand]:
    pagers = [{"type": "pagerduty", "name": "pd"}]
    messengers = [{"type": "file", "name": "mail", "root": str(tmp_path / "mail")}]
    with wired(tmp_path, Case(), roster=ROSTER, pagers=pagers, messengers=messengers) as opened:
        opened.rings["pd"] = PagerDuty.open("pd", pager_options(tmp_path, fake), clock=opened.clock)
        opened.channels["mail"] = Channel()
        yield opened


def escalations(wiring: OpenedByHand) -> Running:
    return Running(lambda on_trouble: Escalations(wiring, on_trouble=on_trouble))


def rung(fake: FakePagerDuty) -> list[str]:
    return [user for _, user in fake.account.rings]


def test_a_case_is_taken_in_pagerduty_and_is_over_there_when_it_is_here(
    fake: FakePagerDuty, wiring: OpenedByHand
) -> None:
    """On call first, then the next person; a click there is an acknowledge here, once, however often it is sent."""
    desk = ResponseDesk(wiring, Background(wiring))
    with escalations(wiring):
        eventually(lambda: len(wiring.case.people.pages) == 1)
        wiring.time.ahead += timedelta(minutes=6)
        eventually(lambda: len(wiring.case.people.pages) == 2)
        assert rung(fake) == ["PASHA01", "PCARL03"]
        (incident,) = fake.account.incidents
        webhook = fake.click(incident, "acknowledge", user="PCARL03")
        taken = [hear_pager(wiring, desk, "pd", headers=webhook.headers, body=webhook.body) for _ in range(3)]
        assert taken == [1, 0, 0]
        assert wiring.case.people.acknowledged is not None
        assert wiring.case.people.acknowledged.by == "carla"
        body = body_of(EventKind.CLOSED, by="carla", outcome="false-alarm")
        wiring.records.append_next(ID, kind=EventKind.CLOSED, body=body)
        eventually(lambda: incident.status == "resolved")
    assert len(fake.account.incidents) == 1


def test_a_case_is_called_by_mail_while_pagerduty_is_down_and_rings_when_it_is_back(
    fake: FakePagerDuty, wiring: OpenedByHand
) -> None:
    """The record has both tries, and the page rings once."""
    mail = wiring.channels["mail"]
    assert isinstance(mail, Channel)
    fake.fault = "down"
    with escalations(wiring):
        eventually(lambda: mail.got)
        eventually(lambda: len(wiring.case.people.pages) == 1)
        assert not rung(fake)
        fake.fault = ""
        wiring.time.ahead += timedelta(seconds=20)
        eventually(lambda: rung(fake) == ["PASHA01"])
        eventually(lambda: len(wiring.case.people.pages) == 2)
    failed, taken = wiring.case.people.pages
    assert "not reached" in failed.error
    assert taken.error == ""


def test_a_stranger_in_pagerduty_takes_nothing(fake: FakePagerDuty, wiring: OpenedByHand) -> None:
    """A user whom the roster does not know acknowledges there; here nobody has the case, and it is in the record."""
    desk = ResponseDesk(wiring, Background(wiring))
    with escalations(wiring):
        eventually(lambda: rung(fake) == ["PASHA01"])
    webhook = fake.click(fake.account.incidents[0], "acknowledge", user="PBENN02")
    hear_pager(wiring, desk, "pd", headers=webhook.headers, body=webhook.body)
    assert wiring.case.people.acknowledged is None
    assert EventKind.ATTEMPT_REFUSED in wiring.kinds() or EventKind.NOTE in wiring.kinds()
