"""Somebody is called until somebody has the case, whatever breaks on the way; nobody is called twice."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from open_case import Bell, Channel, OpenedByHand, Running, eventually, wired
from written_case import ID, Case

from flows.escalation import OUTBOX, Escalations
from playbooks.dealings import Page
from playbooks.errors import Unreachable
from playbooks.event_bodies import body_of
from playbooks.record import EventKind

ROSTER = {
    "people": [{"name": "ann"}, {"name": "ben"}],
    "escalation": {"people": ["ann", "ben"], "after_minutes": 5},
}
PAGERS = [{"type": "pagerduty", "name": "pd"}]


def escalations(wiring: OpenedByHand) -> Running:
    return Running(lambda on_trouble: Escalations(wiring, on_trouble=on_trouble))


def opened(root: Path, *, exercise: bool = False, **settings: object) -> OpenedByHand:
    case = Case(exercise=exercise)
    given = {"roster": ROSTER, "pagers": PAGERS, **settings}
    return wired(root, case, **given)  # type: ignore[arg-type]


def note(wiring: OpenedByHand, kind: EventKind, **fields: object) -> None:
    wiring.records.append_next(ID, kind=kind, body=body_of(kind, **fields))


def pages(wiring: OpenedByHand) -> list[tuple[int, str, str, str]]:
    def said(page: Page) -> tuple[int, str, str, str]:
        return page.level, page.person, page.channel, page.error

    return [said(each) for each in wiring.case.people.pages]


def test_people_are_called_one_after_another_until_somebody_takes_the_case(tmp_path: Path) -> None:
    """Then the pager stops ringing, and when it is over the pager hears that too, once."""
    with opened(tmp_path) as wiring:
        bell = wiring.rings["pd"] = Bell()
        with escalations(wiring):
            eventually(lambda: len(pages(wiring)) == 1)
            wiring.time.ahead += timedelta(minutes=6)
            eventually(lambda: len(pages(wiring)) == 2)
            note(wiring, EventKind.ACKNOWLEDGED, by="ann", via="slack")
            eventually(lambda: bell.told == ["acknowledge"])
            wiring.time.ahead += timedelta(minutes=60)
            note(wiring, EventKind.CLOSED, by="ann", outcome="false-alarm")
            eventually(lambda: bell.told == ["acknowledge", "resolve"])
            eventually(lambda: "resolved" in wiring.case.people.links["pd"])
        assert bell.rung == [(0, "on-call"), (1, "ann")]
        assert pages(wiring) == [(0, "on-call", "pd", ""), (1, "ann", "pd", "")]


def test_when_all_were_called_in_vain_it_begins_again_and_the_record_says_so(tmp_path: Path) -> None:
    """With a level of its own, so that the pager rings again."""
    with opened(tmp_path) as wiring:
        bell = wiring.rings["pd"] = Bell()
        for level, person in ((0, "on-call"), (1, "ann"), (2, "ben")):
            note(wiring, EventKind.ESCALATED, level=level, person=person, channel="pd")
        with escalations(wiring):
            wiring.time.ahead += timedelta(minutes=6)
            eventually(lambda: bell.rung == [(100, "on-call")])
            eventually(lambda: len(pages(wiring)) == 4)
        last = [each for each in wiring.records.events(ID) if each.kind is EventKind.ESCALATED][-1]
        assert (last.body["level"], last.body["again"]) == (100, 1)


def test_a_restart_calls_nobody_again_and_goes_on_where_it_was(tmp_path: Path) -> None:
    """The record says who was called, and what the pager was told."""
    with opened(tmp_path) as wiring:
        note(wiring, EventKind.ESCALATED, level=0, person="on-call", channel="pd")
        bell = wiring.rings["pd"] = Bell()
        with escalations(wiring):
            note(wiring, EventKind.ACKNOWLEDGED, by="ann", via="cli")
            eventually(lambda: "acknowledged" in wiring.case.people.links.get("pd", {}))
        with escalations(wiring):
            note(wiring, EventKind.NOTE, text="again", by="ann")
            wiring.time.ahead += timedelta(minutes=60)
            note(wiring, EventKind.CLOSED, by="ann", outcome="false-alarm")
            eventually(lambda: "resolve" in bell.told)
        assert (bell.rung, bell.told) == ([], ["acknowledge", "resolve"])


def test_when_the_first_pager_fails_the_next_one_rings_at_once(tmp_path: Path) -> None:
    """Both tries are in the record."""
    with opened(tmp_path) as wiring:
        down, up = Bell(Unreachable("no answer.")), Bell()
        wiring.rings |= {"down": down, "up": up}
        with escalations(wiring):
            eventually(lambda: up.rung)
            eventually(lambda: len(pages(wiring)) == 2)
        assert pages(wiring) == [(0, "on-call", "down", "no answer."), (0, "on-call", "up", "")]


def test_when_no_pager_takes_the_call_a_message_goes_out_at_once(tmp_path: Path) -> None:
    """To the fall-back too when the ordinary channel is down; the pager is tried again later."""
    messengers = [
        {"type": "file", "name": "mail", "root": str(tmp_path / "a")},
        {"type": "file", "name": "spare", "root": str(tmp_path / "b"), "fallback": True},
    ]
    with opened(tmp_path, messengers=messengers) as wiring:
        bell = wiring.rings["pd"] = Bell(Unreachable("no answer."), ValueError("canary-secret"))
        spare = Channel()
        wiring.channels |= {"mail": Channel(*[Unreachable("down.")] * 9), "spare": spare}
        with escalations(wiring):
            eventually(lambda: spare.got)
            wiring.time.ahead += timedelta(seconds=20)
            eventually(lambda: len(pages(wiring)) == 2)
            wiring.time.ahead += timedelta(seconds=60)
            eventually(lambda: bell.rung)
            eventually(lambda: len(pages(wiring)) == 3)
        assert [each[3] for each in pages(wiring)] == ["no answer.", "ValueError", ""]
        assert [each.subject for each in spare.got] == ["calm-otter: call for whoever is on call"]
        assert "canary-secret" not in str([event.body for event in wiring.records.events(ID)])


def test_without_a_pager_people_are_called_by_message(tmp_path: Path) -> None:
    """By the roster's order; whoever is on call is known to a pager alone."""
    messengers = [{"type": "file", "name": "mail", "root": str(tmp_path / "a")}]
    with opened(tmp_path, pagers=[], messengers=messengers) as wiring:
        mail = wiring.channels["mail"] = Channel()
        note(wiring, EventKind.ESCALATED, level=0, person="on-call", channel="pd")
        with escalations(wiring):
            wiring.time.ahead += timedelta(minutes=6)
            eventually(lambda: len(pages(wiring)) == 2)
        assert pages(wiring)[1] == (1, "ann", OUTBOX, "")
        assert [each.audience for each in mail.got] == ["ann"]


def test_a_pager_that_cannot_be_told_is_told_later(tmp_path: Path) -> None:
    """It rests a little, and the record says when it was told."""
    with opened(tmp_path) as wiring:
        note(wiring, EventKind.ESCALATED, level=0, person="on-call", channel="pd")
        note(wiring, EventKind.ACKNOWLEDGED, by="ann", via="cli")
        bell = wiring.rings["pd"] = Bell(Unreachable("no answer."))
        with escalations(wiring) as running:
            eventually(lambda: bell.told == ["acknowledge"])
        assert ("pd", "no answer.") in running.troubles


def test_an_exercise_calls_nobody(tmp_path: Path) -> None:
    """Unless the policy says so; then the pager marks it."""
    with opened(tmp_path, exercise=True) as wiring:
        bell = wiring.rings["pd"] = Bell()
        with escalations(wiring):
            wiring.time.ahead += timedelta(minutes=60)
            note(wiring, EventKind.NOTE, text="still", by="ann")
        assert bell.rung == []
    (tmp_path / "on").mkdir()
    policy = {"poll_seconds": 0.02, "page_exercises": True}
    with opened(tmp_path / "on", exercise=True, policy=policy) as wiring:
        bell = wiring.rings["pd"] = Bell()
        with escalations(wiring):
            eventually(lambda: bell.rung == [(0, "on-call")])


def test_a_broken_estate_keeps_nobody_from_being_called(tmp_path: Path) -> None:
    """What is within reach is then not known; that it burns is."""
    with opened(tmp_path) as wiring:
        (tmp_path / "estate.yaml").write_text("keys: [", encoding="utf-8")
        bell = wiring.rings["pd"] = Bell()
        with escalations(wiring):
            eventually(lambda: bell.rung == [(0, "on-call")])
