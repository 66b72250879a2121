"""Usage anomalies: what was found, what is usual, what was not read, and what nobody looks at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from visiting import visiting
from web_office import CASE, KEY, WebOffice, web_office

from console.web.usage_bars import HEIGHT, WIDTH, usage_bars
from flows.installation import note_heard, note_silent
from integrations.detectors.key_usage import readings
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.key_use import KeyUse, key_use
from playbooks.record import INSTALLATION, EventKind
from playbooks.usage_baseline import Baseline, hour_of

WATCHED = "aws-kms:prod/orders"
DETECTOR: dict[str, Any] = {"type": "key-usage", "name": "usage", "connection": "prod", "keys": [WATCHED]}


@contextmanager
def opened(root: Path, *detectors: dict[str, Any]) -> Iterator[WebOffice]:
    """Alice's case, with these detectors."""
    connection = {"region": "eu-central-1"}
    with web_office(root, detectors=list(detectors), connections={"prod": {"type": "aws", **connection}}) as found:
        found.case()
        yield found


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """One detector that watches one key."""
    with opened(tmp_path / "office", DETECTOR) as found:
        yield found


def cursor(office: WebOffice, hours: dict[int, int], **more: Any) -> None:
    """What the detector keeps of its readings."""
    now = office.wiring.clock().isoformat()
    state = {"read": now, "hours": hours, "began": min(hours), "principals": ["arn:aws:iam::1:user/a"], **more}
    place = office.wiring.settings.state / "cursors" / "usage"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps({"read": now, "keys": {WATCHED: state}}), encoding="utf-8")


def a_week(office: WebOffice, last: int) -> dict[int, int]:
    """Ten uses an hour, and so many in the last one."""
    this = hour_of(office.wiring.clock())
    return dict.fromkeys(range(this - 200, this), 10) | {this: last}


def signal(summary: str = "Unusual volume: it was used 900 times", source: str = "usage") -> Signal:
    """A detector's finding of now."""
    return Signal(
        source=source,
        external_id=summary,
        kind=ExposureKind.POLICY,
        fingerprints=(Fingerprint(kind="key-uri", value=KEY),),
        summary=summary,
        observed_at=datetime.now(UTC),
        confidence=0.5,
    )


def test_without_a_detector_the_page_says_that_nobody_looks(tmp_path: Path) -> None:
    """And how many keys that leaves."""
    with opened(tmp_path / "office") as office:
        text = visiting(office).get("/usage").text
    assert "Nobody watches how keys are used." in text
    assert "1 of 1 keys of the inventory is not looked at." in text


def test_a_key_that_was_never_read_is_told(office: WebOffice) -> None:
    """The detector is configured, and has kept nothing yet."""
    text = visiting(office).get("/usage").text
    assert "No trail was read yet." in text
    assert "1 watched key was never read." in text


def test_usual_use_is_shown_against_its_bound(office: WebOffice) -> None:
    """With when it was read and by whom it is used."""
    cursor(office, a_week(office, 10))
    text = visiting(office).get("/usage").text
    assert "Nothing unusual was found at the 1 key that is watched." in text
    assert "as usual" in text
    assert "<polyline" in text
    assert "arn:aws:iam::1:user/a" in text


def test_an_hour_over_the_bound_is_told_with_the_bound(office: WebOffice) -> None:
    """First of all when nothing worse is there."""
    cursor(office, a_week(office, 900))
    text = visiting(office).get("/usage").text
    assert "1 key was used more than usual." in text
    assert "900 uses in the hour; up to " in text
    assert 'class="over"' in text


def test_a_short_history_judges_nothing(office: WebOffice) -> None:
    """It is still learning."""
    this = hour_of(office.wiring.clock())
    cursor(office, {this - 3: 1, this: 999})
    text = visiting(office).get("/usage").text
    assert "still learning what is usual" in text
    assert 'class="over"' not in text


def test_what_is_found_after_containment_comes_first(office: WebOffice) -> None:
    """From whatever detector; what another one found before it is no matter of this page."""
    office.write(EventKind.SIGNAL_RECEIVED, signal=signal())
    office.write(EventKind.SIGNAL_RECEIVED, signal=signal("a scanner's finding", source="scanner"))
    before = visiting(office).get("/usage").text
    assert "1 unusual use was found in 90 days." in before
    assert "a scanner&#39;s finding" not in before
    office.write(EventKind.CONTAINED, probes=3)
    office.write(EventKind.SIGNAL_RECEIVED, signal=signal("signed again", source="releases"))
    after = visiting(office).get("/usage").text
    assert "1 finding was made after containment." in after
    assert after.index("signed again") < after.index("Unusual volume")


def test_exercises_stand_apart_and_what_no_case_took_in_is_told(office: WebOffice) -> None:
    """The headline counts real findings alone."""
    office.case("KQ-DRILL", exercise=True)
    office.write(EventKind.SIGNAL_RECEIVED, incident="KQ-DRILL", signal=signal("in a drill"))
    assert "No trail was read yet." in visiting(office).get("/usage").text
    assert "Exercises</h2>" in visiting(office).get("/usage").text
    office.write(EventKind.SIGNAL_UNMATCHED, incident=INSTALLATION, signal=signal("of another key"))
    text = visiting(office).get("/usage").text
    assert "no case took it in" in text
    assert "1 unusual use was found" in text


def test_silence_and_damaged_readings_are_told(office: WebOffice) -> None:
    """Until the detector is heard again."""
    note_silent(office.wiring, "usage", last_heard=None, reason="not heard for 2 h")
    assert "usage is silent: not heard for 2 h" in visiting(office).get("/usage").text
    note_heard(office.wiring, "usage")
    assert "is silent" not in visiting(office).get("/usage").text
    cursor(office, {1: 1}, read="yesterday")
    assert "cannot be read" in visiting(office).get("/usage").text
    with pytest.raises(InvalidInput):
        readings("{")
    assert readings("") == {}


def test_what_others_wrote_is_text(office: WebOffice) -> None:
    """In findings and principals."""
    evil = "<script>alert(1)</script>\u202e"
    cursor(office, a_week(office, 10), principals=[evil])
    office.write(EventKind.SIGNAL_RECEIVED, signal=signal(evil))
    text = visiting(office).get("/usage").text
    assert "<script>alert" not in text
    assert "\u202e" not in text
    assert CASE in text


def test_bars_stay_within_the_picture() -> None:
    """Also with one hour, and with none."""
    now = datetime(2027, 3, 2, 12, 30, tzinfo=UTC)
    hour = hour_of(now)
    baseline = Baseline({each: each % 7 for each in range(hour - 300, hour + 1)}, began=hour - 300)
    for use in (
        key_use("k", "d", baseline, now, least=timedelta(hours=72)),
        key_use("k", "d", Baseline({hour: 3}, began=hour), now, least=timedelta(hours=72)),
        key_use("k", "d", Baseline({}), now, least=timedelta(hours=72)),
        KeyUse("k", "d"),
    ):
        for x, y, width, height, _ in usage_bars(use).bars:
            assert 0 <= x < x + width <= WIDTH
            assert 0 <= y < y + height <= HEIGHT + 0.1
