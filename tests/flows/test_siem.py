"""Findings go out at least once and in order, and a receiver that is away costs nobody anything."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import JsonValue
from written_case import ID, START, Case

from flows.doctor import examine
from flows.settings import Settings
from flows.siem import Feeds, findings_feed
from flows.wiring import Wiring
from playbooks.errors import KeyquellError, RecordError, Unreachable
from playbooks.incident import Incident
from playbooks.record import Event, EventKind

GOES_ON = threading.Event()


class Receiver:
    """Takes findings, and is away when told to be."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.away_after = 10_000

    def send(self, finding: Mapping[str, JsonValue]) -> None:
        """One finding; Unreachable once it is away."""
        if len(self.taken) >= self.away_after:
            raise Unreachable("away.")
        metadata = finding["metadata"]
        assert isinstance(metadata, dict)
        self.taken.append(str(metadata["uid"]))

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    """One open case in the record, and a file as receiver beside one that cannot be written."""
    moments = iter(START + timedelta(seconds=number) for number in range(100_000))
    settings = Settings(
        state=tmp_path / "state",
        estate=tmp_path / "estate.yaml",
        source=tmp_path / "keyquell.yaml",
        siem=(
            {"type": "file", "name": "broken", "path": str(tmp_path / "none" / "x")},
            {"type": "file", "name": "good", "path": str(tmp_path / "good.ndjson")},
        ),
    )
    with Wiring.open(settings, clock=lambda: next(moments)) as opened:
        Case().write_to(opened.records)
        yield opened


def more(wiring: Wiring) -> None:
    """Two more things to tell."""
    case = Case()
    case.note(EventKind.ACKNOWLEDGED, by="alice", via="cli")
    case.contained()
    case.write_to(wiring.records)


def test_each_finding_is_told_once_also_after_a_restart(wiring: Wiring) -> None:
    """The place is remembered in the state folder."""
    receiver = Receiver()
    assert findings_feed(wiring, "r", receiver).round(GOES_ON) == 2
    assert findings_feed(wiring, "r", receiver).round(GOES_ON) == 0
    more(wiring)
    assert findings_feed(wiring, "r", receiver).round(GOES_ON) == 2
    assert receiver.taken == sorted(set(receiver.taken), key=lambda uid: int(uid.rpartition(":")[2]))


def test_a_receiver_that_was_away_gets_everything_in_order_later(wiring: Wiring) -> None:
    """Nothing overtakes what did not arrive."""
    more(wiring)
    receiver = Receiver()
    receiver.away_after = 1
    feed = findings_feed(wiring, "r", receiver)
    for _ in range(2):
        with pytest.raises(Unreachable):
            feed.round(GOES_ON)
    receiver.away_after = 10_000
    assert findings_feed(wiring, "r", receiver).round(GOES_ON) == 3
    fresh = Receiver()
    findings_feed(wiring, "other", fresh).round(GOES_ON)
    assert receiver.taken == fresh.taken


def test_a_crash_before_the_place_is_written_tells_twice_and_never_none(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same uid both times."""
    receiver = Receiver()
    feed = findings_feed(wiring, "r", receiver)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("flows.feeds.write_secret", full)
        with pytest.raises(OSError, match="No space"):
            feed.round(GOES_ON)
    findings_feed(wiring, "r", receiver).round(GOES_ON)
    assert receiver.taken == [f"{ID}:0", f"{ID}:0", f"{ID}:1"]


def test_a_new_receiver_is_not_told_of_what_was_over_before(wiring: Wiring) -> None:
    """But of all that comes after."""
    case = Case()
    case.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    case.write_to(wiring.records)
    assert findings_feed(wiring, "r", Receiver()).round(GOES_ON) == 0


def test_a_record_that_cannot_be_read_hides_no_other(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, left for a minute, and told when it can be read again."""
    whole = wiring.records.events

    def some(incident: str) -> list[Event]:
        if incident == ID:
            raise RecordError("event 1 was altered.")
        return whole(incident)

    opening = Case().events[0]
    later = ID.replace("abcd", "zzzz")
    wiring.records.append_next(later, kind=opening.kind, body=opening.body)
    receiver = Receiver()
    feed = findings_feed(wiring, "r", receiver)
    with monkeypatch.context() as broken:
        broken.setattr(wiring.records, "events", some)
        with pytest.raises(RecordError, match="altered"):
            feed.round(GOES_ON)
        assert receiver.taken == [f"{later}:0"]
        assert feed.round(GOES_ON) == 0
        in_a_minute = time.monotonic() + 61
        broken.setattr("flows.feeds.time", SimpleNamespace(monotonic=lambda: in_a_minute))
        with pytest.raises(RecordError, match="altered"):
            feed.round(GOES_ON)
    assert findings_feed(wiring, "r", receiver).round(GOES_ON) == 2


def test_a_new_receiver_is_opened_beside_a_record_that_cannot_be_read(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be of an open case, which is then told."""

    def unreadable(incident: str) -> Incident:
        raise RecordError(f"{incident} was altered.")

    with monkeypatch.context() as broken:
        broken.setattr(wiring, "incident", unreadable)
        feed = findings_feed(wiring, "r", Receiver())
    assert feed.round(GOES_ON) == 2


def test_doctor_names_a_receiver_that_cannot_be_opened(tmp_path: Path) -> None:
    """And says of a sound one that it is configured."""
    config = tmp_path / "keyquell.yaml"
    entries = "[{type: file, name: sound, path: /x}, {type: file, name: faulty}]"
    config.write_text(f"state: state\nestate: estate.yaml\nsiem: {entries}\n", encoding="utf-8")
    found = {each.what: each for each in examine(config)}
    assert found["siem sound"].advice == "configured"
    assert (found["siem faulty"].ok, "path" in found["siem faulty"].advice) == (False, True)


def test_a_broken_receiver_is_said_and_the_others_get_theirs(wiring: Wiring, tmp_path: Path) -> None:
    """Each has a thread of its own, and all end when they are told to."""
    said: list[tuple[str, KeyquellError]] = []
    stop = threading.Event()
    thread = threading.Thread(target=Feeds(wiring, on_trouble=lambda *each: said.append(each)).run, args=(stop,))
    thread.start()
    deadline = time.monotonic() + 20
    good = tmp_path / "good.ndjson"
    while time.monotonic() < deadline and not (said and good.exists() and good.read_text().count("\n") == 2):
        stop.wait(0.02)
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert {name for name, _ in said} == {"siem broken"}
    lines = [json.loads(line) for line in good.read_text(encoding="utf-8").splitlines()]
    assert [each["metadata"]["uid"] for each in lines] == [f"{ID}:0", f"{ID}:1"]
