"""Checkpoints leave the host: at least once, the latest, and a place that refuses them holds up no other case."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from anchored_case import GOES_ON, SIGNER, configured, contained, of_kind, opened
from written_case import ID, Case

from flows.anchoring import anchoring_feed, signing_feed
from flows.boards import remember
from flows.settings import load_settings
from flows.soundness import refuse_mistakes
from flows.wiring import Wiring
from playbooks.errors import BackendError, InvalidInput, Refused, Unreachable
from playbooks.evidence.anchors import Anchored, Sealed
from playbooks.record import EventKind

OTHER = ID.replace("abcd", "zzzz")


@dataclass
class Place:
    """A place for checkpoints that takes them, unless it was told to fail."""

    place: str = "shelf"
    fails: BackendError | None = None
    fails_for: str = ""
    has_room: bool = True
    taken: list[Sealed] = field(default_factory=list)

    def anchor(self, checkpoint: Sealed) -> Anchored | None:
        """Lay one down."""
        if self.fails is not None and self.fails_for in ("", checkpoint.incident):
            raise self.fails
        if not self.has_room:
            return None
        self.taken.append(checkpoint)
        return Anchored(f"shelf:{len(self.taken)}")

    def close(self) -> None:
        """Nothing is held."""


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    """One case that is contained, and a shelf in the settings that each test plays itself."""
    with opened(configured(tmp_path, anchors=[{"type": "shelf"}])) as made:
        contained(made)
        yield made


def reached(wiring: Wiring, incident: str, kind: EventKind = EventKind.RESTORED) -> None:
    """Another milestone."""
    wiring.records.append_next(incident, kind=kind, body={"consumers": []})


def test_a_milestone_is_signed_once_and_laid_down_once_also_after_a_restart(wiring: Wiring) -> None:
    """What was laid down is in the record; the next milestone is signed and laid down again."""
    place = Place()
    for _ in range(2):
        signing, laying = signing_feed(wiring), anchoring_feed(wiring, "shelf", lambda: place)
        for _ in range(3):
            signing.round(GOES_ON)
            laying.round(GOES_ON)
    [signed], [anchored] = of_kind(wiring, EventKind.CHECKPOINT_SIGNED), of_kind(wiring, EventKind.CHECKPOINT_ANCHORED)
    body = {"seq": signed.body["seq"], "head": signed.body["head"], "place": "shelf", "anchor": "shelf"}
    assert anchored.body == {**body, "reference": "shelf:1", "proof": ""}
    reached(wiring, ID)
    signing.round(GOES_ON)
    laying.round(GOES_ON)
    assert [each.seq for each in place.taken] == [signed.body["seq"], anchored.seq + 1]


def test_nothing_is_signed_before_a_milestone_or_laid_down_unsigned(tmp_path: Path) -> None:
    """An open case with a plan has none."""
    with opened(configured(tmp_path, anchors=[{"type": "shelf"}])) as wiring:
        Case().write_to(wiring.records)
        place = Place()
        assert signing_feed(wiring).round(GOES_ON) == 0
        assert anchoring_feed(wiring, "shelf", lambda: place).round(GOES_ON) == 0
        assert (of_kind(wiring, EventKind.CHECKPOINT_SIGNED), place.taken) == ([], [])


def test_a_place_that_was_away_gets_the_latest_checkpoint(wiring: Wiring) -> None:
    """It covers the earlier one; the failure stands in no record."""
    place = Place(fails=Unreachable("away."))
    signing, laying = signing_feed(wiring), anchoring_feed(wiring, "shelf", lambda: place)
    for _ in range(2):
        signing.round(GOES_ON)
        with pytest.raises(Unreachable):
            laying.round(GOES_ON)
        reached(wiring, ID)
    signing.round(GOES_ON)
    place.fails = None
    laying.round(GOES_ON)
    latest = of_kind(wiring, EventKind.CHECKPOINT_SIGNED)[-1]
    assert [each.head for each in place.taken] == [latest.body["head"]]
    assert len(of_kind(wiring, EventKind.CHECKPOINT_ANCHORED)) == 1


def test_a_case_that_a_place_refuses_keeps_no_other_waiting(wiring: Wiring, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, left for a minute, and tried again."""
    for each in Case().events[:2]:
        wiring.records.append_next(OTHER, kind=each.kind, body=each.body)
    reached(wiring, OTHER)
    place = Place(fails=Refused("not in the channel."), fails_for=ID)
    signing_feed(wiring).round(GOES_ON)
    laying = anchoring_feed(wiring, "shelf", lambda: place)
    with pytest.raises(Refused):
        laying.round(GOES_ON)
    assert [each.incident for each in place.taken] == [OTHER]
    place.fails = None
    laying.round(GOES_ON)
    assert len(place.taken) == 1
    later = time.monotonic() + 61
    monkeypatch.setattr("flows.feeds.time.monotonic", lambda: later)
    laying.round(GOES_ON)
    assert [each.incident for each in place.taken] == [OTHER, ID]


def test_a_case_gets_its_place_when_it_is_shown_there(wiring: Wiring) -> None:
    """Nobody was called when it was signed; somebody is called later."""
    place = Place(has_room=False)
    signing_feed(wiring).round(GOES_ON)
    laying = anchoring_feed(wiring, "shelf", lambda: place)
    assert laying.round(GOES_ON) == 0
    place.has_room = True
    remember(wiring, ID, "pagerduty", {"level-1": ID})
    assert laying.round(GOES_ON) == 1


def test_an_exercise_is_signed_and_laid_down_and_marked(tmp_path: Path) -> None:
    """Practised as it is done; the place can tell it apart."""
    with opened(configured(tmp_path, anchors=[{"type": "shelf"}])) as wiring:
        contained(wiring, exercise=True)
        place = Place()
        signing_feed(wiring).round(GOES_ON)
        anchoring_feed(wiring, "shelf", lambda: place).round(GOES_ON)
        assert [each.words.startswith("EXERCISE.") for each in place.taken] == [True]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"anchors": [{"type": "slack"}]}, "no slack is configured"),
        ({"anchors": [{"type": "pagerduty", "pager": "night"}]}, "no pager of PagerDuty is called 'night'"),
        ({"anchors": [{"type": "rfc3161"}]}, "url"),
        ({"anchors": [{"type": "fax"}]}, "no adapter in anchors is called 'fax'"),
        ({"anchors": [{"type": "slack"}, {"type": "slack"}]}, "2 of them are called 'slack'"),
        ({"evidence": SIGNER}, "there is none called 'kek-hsm'"),
    ],
)
def test_serve_refuses_what_cannot_work(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    """In one sentence that names the place, before anything is served."""
    with opened(configured(tmp_path, **settings)) as wiring, pytest.raises(InvalidInput, match=said):
        refuse_mistakes(wiring)


def test_a_signer_that_is_no_key_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """With file and field; what was pasted is not repeated."""
    with pytest.raises(InvalidInput, match=r"evidence\.signer") as caught:
        load_settings(configured(tmp_path, evidence={"signer": "hunter2-hunter2-hunter2"}))
    assert "hunter2-hunter2" not in str(caught.value)
