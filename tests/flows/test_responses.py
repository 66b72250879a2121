"""One flow for each open case: gone on with when there is a reason, tried again when it broke, alone in its trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from open_case import OpenedByHand, wired
from sqlalchemy import text
from written_case import ID, Case

from flows.responses import Responses
from flows.saying import Sayings
from playbooks.event_bodies import body_of
from playbooks.record import EventKind

OTHER = "KQ-20260302-other"


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    with wired(tmp_path, Case()) as opened:
        yield opened


class Flow:
    """Ends as it is told to, each time with the next ending; keeps which incidents it drove."""

    def __init__(self, *endings: str | Exception) -> None:
        self.endings = list(endings)
        self.driven: list[str] = []

    async def __call__(self, incident_id: str) -> str:
        self.driven.append(incident_id)
        ending = self.endings.pop(0) if self.endings else "closed"
        if isinstance(ending, Exception):
            raise ending
        return ending


def run(wiring: OpenedByHand, flow: Flow, *between: Callable[[], object], said: list[str] | None = None) -> None:
    """Run the responses; make each move after the number of drives has not grown for a while."""

    async def go() -> None:
        stop = asyncio.Event()
        words = said if said is not None else []
        responses = Responses(wiring, flow, sayings=Sayings(words.append), busy=lambda _: False)
        running = asyncio.create_task(responses.run(stop, until_closed=False))
        for move in (*between, lambda: None):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(move)
        await asyncio.sleep(0.3)
        stop.set()
        await running

    asyncio.run(go())


def note(wiring: OpenedByHand, kind: EventKind, **fields: object) -> None:
    wiring.records.append_next(ID, kind=kind, body=body_of(kind, **fields))


@pytest.mark.parametrize("ending", ["blocked", "waiting"])
def test_an_approval_that_comes_later_lets_the_response_go_on_by_itself(wiring: OpenedByHand, ending: str) -> None:
    """What is only talk does not."""
    flow = Flow(ending, ending)
    counts: list[int] = []

    def talk() -> None:
        note(wiring, EventKind.NOTE, text="still looking", by="bob")

    def approve() -> None:
        counts.append(len(flow.driven))
        plan = wiring.case.plan
        assert plan is not None
        note(wiring, EventKind.APPROVAL_GIVEN, approver="bob", digest=plan.digest, method="cli")

    run(wiring, flow, talk, approve)
    assert counts == [1]
    assert flow.driven == [ID, ID]


def test_a_response_that_broke_is_tried_again_and_said_once(wiring: OpenedByHand) -> None:
    """The text of what broke may hold a secret: only its type is said."""
    said: list[str] = []
    flow = Flow(ConnectionError("canary-secret"), "blocked")
    run(wiring, flow, *[lambda: None] * 4, said=said)
    assert flow.driven == [ID, ID]
    assert "unexpected ConnectionError" in said[0]
    assert said[1:] == [f"The response to {ID} is blocked."]
    assert "canary" not in str(said)


def test_a_record_that_cannot_be_read_costs_the_others_nothing(wiring: OpenedByHand) -> None:
    """It is said, and the other case is driven."""
    body = body_of(
        EventKind.INCIDENT_OPENED, codename="wet-fox", severity="high", exercise=False, requested_by="bob", playbook="",
    )  # fmt: skip
    wiring.records.append_next(OTHER, kind=EventKind.INCIDENT_OPENED, body=body)
    with wiring.records.engine.connect() as connection:  # somebody alters the database
        connection.execute(text("UPDATE events SET body = '{}', hash = 'x' WHERE incident = :one"), {"one": OTHER})
    said: list[str] = []
    flow = Flow("blocked")
    run(wiring, flow, said=said)
    assert flow.driven == [ID]
    assert any(OTHER in each for each in said)
