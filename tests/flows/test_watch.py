"""The watch goes on: a detector that breaks, hangs or falls silent costs no other anything, and is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_shop import Shop

from flows.background import Background
from flows.settings import Settings, load_settings
from flows.watch import heard, watch
from flows.wiring import Wiring
from playbooks.errors import InvalidInput, KeyquellError, NotFound, Unreachable
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.record import INSTALLATION, EventKind

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Polled:
    """A detector that answers each poll with the next of these, and finds nothing afterwards."""

    def __init__(self, *answers: Exception | Sequence[Signal]) -> None:
        self._answers = list(answers)
        self.polls = 0
        self.cursors: list[str] = []

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Raise or find what comes next."""
        self.polls += 1
        self.cursors.append(cursor)
        answer = self._answers.pop(0) if self._answers else ()
        if isinstance(answer, Exception):
            raise answer
        return answer, f"{self.polls}"

    def close(self) -> None:
        """Nothing is open."""


class Hanging(Polled):
    """A detector whose poll does not return before it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def poll(self, *, cursor: str) -> tuple[Sequence[Signal], str]:
        """Hang."""
        self.release.wait(30)
        return super().poll(cursor=cursor)


class Listening:
    """A detector that is only spoken to."""

    def hear(self, *, headers: dict[str, str], body: bytes) -> Sequence[Signal]:
        """Find nothing."""
        return ()

    def close(self) -> None:
        """Nothing is open."""


class Watched(Wiring):
    """A wiring with the detectors that the test chooses."""

    chosen: dict[str, Any]
    asked: set[str]

    def detector(self, name: str) -> Any:
        """The chosen one; a chosen error is raised."""
        self.asked.add(name)
        if isinstance(self.chosen[name], Exception):
            raise self.chosen[name]
        return self.chosen[name]


class Watch:
    """A watch under way, and what it said."""

    def __init__(self, wiring: Watched) -> None:
        self.wiring = wiring
        self.said: list[tuple[str, str]] = []
        self.done: list[str] = []
        self.stop = threading.Event()
        self.background = Background(wiring, on_done=self.done.append, on_trouble=self._on_trouble)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _on_trouble(self, name: str, error: KeyquellError) -> None:
        self.said.append((name, error.message))

    def _run(self) -> None:
        watch(self.wiring, self.background, on_trouble=self._on_trouble, stop=self.stop)

    def end(self) -> None:
        """Stop, and wait for it."""
        self.stop.set()
        self._thread.join(timeout=20)
        assert not self._thread.is_alive()
        self.background.wait(seconds=20)

    def events(self, detector: str = "hook") -> list[EventKind]:
        """What stands in the installation's chain about a detector."""
        events = self.wiring.records.events(INSTALLATION)
        return [event.kind for event in events if event.body["detector"] == detector]


@contextmanager
def watching(
    settings: Settings,
    chosen: dict[str, Any],
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    **entry: Any,
) -> Iterator[Watch]:
    """Watch these detectors, every few milliseconds."""
    fast = settings.policy.model_copy(update={"poll_seconds": 0.01})
    entries = tuple({"type": "x", "name": name, **entry} for name in chosen)
    settings = settings.model_copy(update={"detectors": entries, "policy": fast})
    with Watched.open(settings, clock=clock) as wiring:
        assert isinstance(wiring, Watched)
        wiring.chosen, wiring.asked = chosen, set()
        going = Watch(wiring)
        try:
            until(lambda: wiring.asked == set(chosen))
            yield going
        finally:
            for each in chosen.values():
                if isinstance(each, Hanging):
                    each.release.set()
            going.end()


@pytest.fixture
def bare(tmp_path: Path) -> Settings:
    """Settings of an installation that knows nothing."""
    return Settings.model_validate({"source": tmp_path / "k.yaml", "state": tmp_path, "estate": tmp_path / "e.yaml"})


def until(holds: Callable[[], Any], *, seconds: float = 20) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def finding(shop: Shop) -> Signal:
    """A scanner's finding of the shop's access key."""
    return Signal(
        source="scanner",
        external_id="f-1",
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=shop.user.access_key_id),),
        summary="An access key stands in a public place.",
        observed_at=datetime.now(UTC),
        confidence=0.9,
    )


def test_a_detector_that_breaks_is_reported_and_polled_again(bare: Settings) -> None:
    """Foreseen or not, a fault is said with its kind and never with its words, which may hold a secret."""
    detector = Polled(OSError("canary"), TypeError("canary"), Unreachable("the trail does not answer."))
    with watching(bare, {"broken": detector}) as going:
        until(lambda: detector.polls > 4)
    assert going.said == [
        ("broken", "unexpected OSError"),
        ("broken", "unexpected TypeError"),
        ("broken", "the trail does not answer."),
    ]


def test_a_fault_that_goes_on_is_said_once(bare: Settings) -> None:
    """A trail that is down for an hour does not fill the terminal; the same fault after a recovery is said again."""
    down = [Unreachable("the trail does not answer.") for _ in range(3)]
    detector = Polled(*down, (), *down)
    with watching(bare, {"trail": detector}) as going:
        until(lambda: detector.polls > 7)
    assert going.said == [("trail", "the trail does not answer.")] * 2


def test_a_detector_that_hangs_delays_no_other(bare: Settings) -> None:
    """Each is polled in a thread of its own."""
    hanging, sound = Hanging(), Polled()
    with watching(bare, {"hanging": hanging, "sound": sound}):
        until(lambda: sound.polls > 3)
        assert hanging.polls == 0


def test_one_that_cannot_be_opened_delays_no_other_and_is_tried_again(bare: Settings) -> None:
    """A wrong field of one detector does not blind the installation."""
    sound = Polled()
    chosen: dict[str, Any] = {"wrong": InvalidInput("detector 'wrong', field 'file': missing"), "sound": sound}
    with watching(bare, chosen) as going:
        until(lambda: sound.polls > 3 and going.said)
        chosen["wrong"] = mended = Polled()
        until(lambda: mended.polls)
    assert going.said == [("wrong", "detector 'wrong', field 'file': missing")]


def test_one_that_only_listens_is_not_polled(bare: Settings) -> None:
    """A webhook has no poll; its thread ends and nothing is said."""
    sound = Polled()
    with watching(bare, {"hook": Listening(), "sound": sound}) as going:
        until(lambda: sound.polls > 3)
    assert going.said == []


@pytest.mark.lab
def test_a_finding_is_contained_in_the_background_and_its_cursor_kept(shop: Shop) -> None:
    """The case is opened and contained; the next poll goes on behind it."""
    detector = Polled([finding(shop)])
    with watching(load_settings(shop.config), {"scanner": detector}) as going:
        until(lambda: detector.polls > 2 and going.done)
        [incident_id] = going.wiring.records.incidents()
        assert going.wiring.incident(incident_id).contained_at is not None
    assert not shop.credential_active()
    assert detector.cursors[:2] == ["", "1"]
    assert going.done == [incident_id]


@pytest.mark.lab
def test_a_finding_that_cannot_be_taken_in_comes_again(shop: Shop) -> None:
    """The cursor waits until the estate can be read again; nothing is lost."""
    estate = shop.estate.read_text(encoding="utf-8")
    shop.estate.write_text("keys: 7\n", encoding="utf-8")
    detector = Polled([finding(shop)], [finding(shop)], [finding(shop)], [finding(shop)], [finding(shop)])
    with watching(load_settings(shop.config), {"scanner": detector}) as going:
        until(lambda: going.said)
        shop.estate.write_text(estate, encoding="utf-8")
        until(lambda: going.done)
        until(lambda: detector.cursors[-1] != "")
        assert len(going.wiring.records.incidents()) == 1
    assert detector.cursors[1] == ""
    assert "estate.yaml" in going.said[0][1]


def test_a_poller_that_fails_for_five_minutes_is_silent_once_and_then_heard_again(bare: Settings) -> None:
    """Both are in the installation's chain, and the people are told; being silent longer is no news."""
    clock, detector = Clock(), Polled(*[Unreachable("no answer.") for _ in range(3)])
    hanging = Hanging()
    with watching(bare, {"trail": hanging, "other": detector}, clock=clock) as going:
        until(lambda: detector.polls > 4)
        clock.now += timedelta(seconds=301)
        until(lambda: going.events("trail") == [EventKind.DETECTOR_SILENT])
        clock.now += timedelta(hours=1)
        time.sleep(0.05)
        hanging.release.set()
        until(lambda: going.events("trail") == [EventKind.DETECTOR_SILENT, EventKind.DETECTOR_HEARD])
    silent = [message for name, message in going.said if name == "trail"]
    assert silent == ["it is silent: no poll has succeeded for 5 minutes, and 5 minutes are the most."]


def test_a_listener_is_silent_only_when_its_owner_said_how_often_it_speaks(bare: Settings) -> None:
    """Without ``expect_every_seconds`` a webhook may be quiet for ever."""
    clock = Clock()
    with watching(bare, {"hook": Listening()}, clock=clock) as going:
        clock.now += timedelta(days=400)
        time.sleep(0.05)
    assert going.events() == []


def test_a_listener_that_is_heard_too_seldom_raises_its_own_alarm(bare: Settings) -> None:
    """Once a day was promised; a sign of life ends the silence."""
    clock = Clock()
    with watching(bare, {"hook": Listening()}, clock=clock, expect_every_seconds=86400) as going:
        heard(going.wiring, "hook")
        clock.now += timedelta(hours=25)
        until(lambda: going.events() == [EventKind.DETECTOR_SILENT])
        [event] = going.wiring.records.events(INSTALLATION)
        assert event.body["last_heard"] == "2026-03-02T09:00:00Z"
        heard(going.wiring, "hook")
        until(lambda: going.events() == [EventKind.DETECTOR_SILENT, EventKind.DETECTOR_HEARD])


def test_a_restart_forgets_neither_when_a_listener_spoke_nor_that_it_was_silent(bare: Settings) -> None:
    """The sign of life is on disk, the silence in the record: neither is told twice there."""
    clock = Clock()
    for _ in range(2):
        with watching(bare, {"hook": Listening()}, clock=clock, expect_every_seconds=3600) as going:
            if clock.now == START:
                heard(going.wiring, "hook")
            clock.now += timedelta(hours=2)
            until(lambda: going.said)
            until(lambda: going.events() == [EventKind.DETECTOR_SILENT])
    assert "nothing has arrived for 4 hours" in going.said[0][1]


def test_what_is_expected_of_a_detector_does_not_reach_its_adapter(tmp_path: Path) -> None:
    """The field belongs to the watch; a wrong value is named, and so is an unknown detector."""
    entry = {"type": "trufflehog", "name": "scan", "file": "f.json", "expect_every_seconds": 60}
    base = {"source": tmp_path / "k.yaml", "state": tmp_path, "estate": tmp_path / "e.yaml"}
    with Wiring.open(Settings.model_validate({**base, "detectors": [entry]})) as wiring:
        assert hasattr(wiring.detector("scan"), "poll")
        with pytest.raises(NotFound, match="no detector is called 'scam'"):
            wiring.detector("scam")
    entry["expect_every_seconds"] = "often"
    with (
        Wiring.open(Settings.model_validate({**base, "detectors": [entry]})) as wiring,
        pytest.raises(InvalidInput, match="expect_every_seconds"),
    ):
        wiring.detector("scan")
