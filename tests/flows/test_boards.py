"""Boards are brought up to date from the record alone; one that is down costs nobody else anything."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from open_case import Board, Channel, OpenedByHand, Running, eventually, wired
from written_case import ID, Case

from flows.boards import Boards, pause_after
from flows.outbox import queue
from playbooks.errors import KeyquellError, Refused, Throttled, Unreachable
from playbooks.event_bodies import body_of
from playbooks.ports import Message
from playbooks.record import EventKind


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    with wired(tmp_path, Case(), messengers=[{"type": "file", "root": str(tmp_path / "out")}]) as opened:
        yield opened


def boards(wiring: OpenedByHand) -> Running:
    return Running(lambda on_trouble: Boards(wiring, on_trouble=on_trouble))


def note(wiring: OpenedByHand, kind: EventKind, **fields: object) -> None:
    wiring.records.append_next(ID, kind=kind, body=body_of(kind, **fields))


def test_an_open_case_is_shown_and_where_it_is_shown_is_remembered(wiring: OpenedByHand) -> None:
    """The ids go into the record once; what only keeps the books is no reason to show it again."""
    board = wiring.boards["slack"] = Board()
    with boards(wiring) as running:
        eventually(lambda: EventKind.LINKED in wiring.kinds())
        note(wiring, EventKind.ACKNOWLEDGED, by="bob", via="slack")
        eventually(lambda: len(board.views) == 2)
    assert board.views[0].links == {}
    assert board.views[1].links == {"channel": "C1"}
    assert board.views[1].card.acknowledged_by == "bob"
    assert wiring.kinds().count(EventKind.LINKED) == 1
    assert running.troubles == []


def test_what_happens_while_a_board_is_shown_something_is_shown_together(wiring: OpenedByHand) -> None:
    """One call at a time for a case, and the last state is never missed."""
    board = wiring.boards["slack"] = Board()
    board.hold = threading.Event()
    with boards(wiring):
        eventually(lambda: board.views)
        for number in range(20):
            note(wiring, EventKind.NOTE, text=str(number), by="bob")
        board.hold.set()
        eventually(lambda: any(event.body.get("text") == "19" for event in board.views[-1].events))
    assert len(board.views) <= 4


def test_a_board_is_never_called_sooner_than_it_allows(wiring: OpenedByHand) -> None:
    """Whatever happens meanwhile is coalesced."""
    board = wiring.boards["slack"] = Board(interval_seconds=0.3)
    with boards(wiring):
        for number in range(10):
            note(wiring, EventKind.NOTE, text=str(number), by="bob")
        eventually(lambda: len(board.views) >= 2)
    gaps = [later - sooner for sooner, later in zip(board.moments, board.moments[1:], strict=False)]
    assert min(gaps) >= 0.2


def test_one_board_that_is_down_does_not_hold_up_the_other(wiring: OpenedByHand) -> None:
    """It is tried again, and has what it missed; an unforeseen error is told by its type alone."""
    down = wiring.boards["down"] = Board(Unreachable("no answer."), ValueError("canary-secret"))
    up = wiring.boards["up"] = Board()
    with boards(wiring) as running:
        eventually(lambda: up.views)
        eventually(lambda: down.views)
    assert [message for _, message in running.troubles] == ["no answer.", "unexpected ValueError"]
    assert running.troubles[0][0] == f"down of {ID}"


def test_a_restart_shows_every_open_case_again_with_its_links_and_the_last_word_of_a_closed_one(
    wiring: OpenedByHand,
) -> None:
    """Decided from the record: nothing else was kept."""
    note(wiring, EventKind.LINKED, surface="slack", ids={"channel": "C1"})
    note(wiring, EventKind.CLOSED, by="bob", outcome="false-alarm")
    board = wiring.boards["slack"] = Board()
    other = wiring.boards["never-shown"] = Board()
    with boards(wiring):
        eventually(lambda: board.views)
    assert board.views[0].card.tone == "over"
    assert board.views[0].links == {"channel": "C1"}
    assert other.views == []
    assert wiring.kinds().count(EventKind.LINKED) == 1


def test_messages_are_delivered_without_a_flow_that_runs(wiring: OpenedByHand) -> None:
    """Also when no board can be opened."""
    channel = wiring.channels["file"] = Channel(Unreachable("full."))
    queue(wiring.records, ID, Message("m1", "responders", "s", "b", exercise=False))
    with boards(wiring):
        eventually(lambda: [each.id for each in channel.got] == ["m1"], seconds=8)
    assert wiring.case.messages["m1"].failures == {"file": 1}
    assert wiring.kinds().count(EventKind.MESSAGE_DELIVERED) == 1


def test_a_failing_channel_does_not_flood_the_record(wiring: OpenedByHand) -> None:
    """The pause grows with each failure that the record holds."""
    wiring.channels["file"] = Channel(*[Unreachable("full.")] * 50)
    queue(wiring.records, ID, Message("m1", "responders", "s", "b", exercise=False))
    board = wiring.boards["slack"] = Board()
    with boards(wiring):
        eventually(lambda: EventKind.MESSAGE_FAILED in wiring.kinds())
        eventually(lambda: board.views)
    assert wiring.kinds().count(EventKind.MESSAGE_FAILED) <= 2


@pytest.mark.parametrize(
    ("error", "failures", "seconds"),
    [
        (Throttled("slow down", hint="Come back in 7 seconds."), 1, 7.0),
        (Throttled("slow down: retry after 30 s."), 5, 30.0),
        (Throttled("slow down, retry after 4000 s"), 1, 60.0),
        (Throttled("slow down"), 3, 4.0),
        (Unreachable("no answer within 5 s"), 1, 1.0),
        (Refused("no."), 20, 60.0),
    ],
)
def test_a_board_is_left_alone_as_long_as_it_asks_or_longer_each_time(
    error: KeyquellError, failures: int, seconds: float
) -> None:
    """A minute at most; the seconds of a timeout are no wish."""
    assert pause_after(error, failures) == seconds
