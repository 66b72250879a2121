"""An acknowledgement in the pager is one here; everything else is noted, and every word counts once."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from open_case import Bell, OpenedByHand, wired
from written_case import ID, Case

from flows.pager_words import hear_pager
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved, Refused
from playbooks.event_bodies import body_of
from playbooks.record import EventKind
from playbooks.surfaces import PagerWord


class Speaking(Bell):
    """A pager whose webhook says what the test gives it."""

    def __init__(self, *said: PagerWord) -> None:
        super().__init__()
        self.said = said

    def words(self, *, headers: Mapping[str, str], body: bytes) -> Sequence[PagerWord]:
        if headers.get("x-pagerduty-signature") != "right":
            raise Refused("the signature is not PagerDuty's.")
        return self.said


class Desk:
    """Knows one PagerDuty user, and writes what it is told to, as the real one does."""

    def __init__(self, wiring: OpenedByHand) -> None:
        self.wiring = wiring
        self.asked: list[Actor] = []

    def acknowledge(self, actor: Actor, incident: str) -> None:
        self.asked.append(actor)
        if actor.account != "PANN":
            raise NotApproved("nobody in the roster is meant.")
        body = body_of(EventKind.ACKNOWLEDGED, by="ann", via=actor.via)
        self.wiring.records.append_next(incident, kind=EventKind.ACKNOWLEDGED, body=body)


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    with wired(tmp_path, Case()) as opened:
        yield opened


def hear(wiring: OpenedByHand, desk: Desk, *words: PagerWord, signature: str = "right") -> int:
    wiring.rings["pd"] = Speaking(*words)
    headers = {"x-pagerduty-signature": signature}
    return hear_pager(wiring, desk, "pd", headers=headers, body=b"{}")  # type: ignore[arg-type]


def word(act: str, *, event: str = "E1", user: str = "PANN", incident: str = ID) -> PagerWord:
    return PagerWord(event_id=event, incident=incident, act=act, user=user)  # type: ignore[arg-type]


def notes(wiring: OpenedByHand) -> list[str]:
    return [str(event.body["text"]) for event in wiring.records.events(ID) if event.kind is EventKind.NOTE]


def test_an_acknowledgement_in_the_pager_is_one_here_and_a_redelivery_changes_nothing(wiring: OpenedByHand) -> None:
    """Idempotent by the fact itself."""
    desk = Desk(wiring)
    assert hear(wiring, desk, word("acknowledged")) == 1
    assert hear(wiring, desk, word("acknowledged")) == 0
    assert hear(wiring, desk, word("acknowledged", event="E2")) == 0
    assert desk.asked == [Actor(account="PANN", via="pagerduty")]
    taken = wiring.case.people.acknowledged
    assert taken is not None
    assert (taken.by, taken.via) == ("ann", "pagerduty")


def test_a_resolve_in_the_pager_closes_nothing_and_is_noted_once(wiring: OpenedByHand) -> None:
    """However often the webhook comes, also at the same moment."""
    wiring.rings["pd"] = Speaking(word("resolved"))
    desk = Desk(wiring)
    counted: list[int] = []
    threads = [threading.Thread(target=lambda: counted.append(hear(wiring, desk, word("resolved")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counted) == 1
    way = "which closes nothing here: stand down in the chat, or with `keyquell close`"
    assert notes(wiring) == [f"PANN resolved it in the pager, {way}. (event E1)"]
    assert wiring.case.closed is None


def test_a_stranger_cannot_acknowledge_and_a_redelivery_is_not_refused_again(wiring: OpenedByHand) -> None:
    """The desk records the refusal; the word is remembered."""
    desk = Desk(wiring)
    assert hear(wiring, desk, word("acknowledged", user="PEVE")) == 1
    assert hear(wiring, desk, word("acknowledged", user="PEVE")) == 0
    assert len(desk.asked) == 1
    assert wiring.case.people.acknowledged is None


def test_a_machine_s_acknowledgement_is_nobody_s(wiring: OpenedByHand) -> None:
    """Our own acknowledge comes back as a webhook, and must not be taken for a person's."""
    desk = Desk(wiring)
    assert hear(wiring, desk, word("acknowledged", user="")) == 0
    assert desk.asked == []


def test_words_about_other_incidents_are_left_out(wiring: OpenedByHand) -> None:
    """The same service may carry other people's trouble."""
    assert hear(wiring, Desk(wiring), word("resolved", incident="KQ-20200101-none")) == 0


def test_a_forged_webhook_and_an_unknown_pager_are_refused(wiring: OpenedByHand) -> None:
    """Nothing is written."""
    before = wiring.case.events
    with pytest.raises(Refused):
        hear(wiring, Desk(wiring), word("resolved"), signature="wrong")
    with pytest.raises(InvalidInput, match="no pager 'other'"):
        hear_pager(wiring, Desk(wiring), "other", headers={}, body=b"")  # type: ignore[arg-type]
    assert wiring.case.events == before
