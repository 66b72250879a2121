"""One process serves web, chat, pager and detectors; it survives being killed, and everybody else being down."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from fakes.pagerduty_server import FakePagerDuty
from serve_lab import HOOK, ServeLab, change, end, serve_lab, until

from playbooks.record import EventKind, verify_chain
from simulations.lab.aws_account import AwsAccount, LabUser

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def pagerduty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePagerDuty]:
    with FakePagerDuty(tmp_path_factory.mktemp("pagerduty")) as fake:
        yield fake


@pytest.fixture
def lab(shop_account: tuple[AwsAccount, LabUser], pagerduty: FakePagerDuty, tmp_path: Path) -> Iterator[ServeLab]:
    account, recovery = shop_account
    with serve_lab(account, recovery, pagerduty, tmp_path.name.replace("_", "-")[-24:]) as made:
        yield made


def whole(lab: ServeLab) -> None:
    """Every record is a chain, and nothing was done or told twice."""
    with lab.wiring() as wiring:
        for incident_id in wiring.records.incidents():
            events = wiring.records.events(incident_id)
            verify_chain(events)
            kinds = [event.kind for event in events]
            assert kinds.count(EventKind.INCIDENT_OPENED) == 1
            finished = [event.body["step"] for event in events if event.kind is EventKind.STEP_FINISHED]
            assert len(finished) == len(set(finished)), finished
    names = lab.channels()
    assert len(names) == len(set(names))
    assert len(names) <= len(lab.incidents())
    keys = [each.alert.key for each in lab.pagerduty.account.incidents]
    assert len(keys) == len(set(keys))


def test_a_leak_is_cut_shown_and_called_out_by_one_process(lab: ServeLab) -> None:
    """Webhook in; the key proven dead, a channel in Slack, one call in PagerDuty, whose acknowledge counts here."""
    with lab.serving() as child:
        assert lab.leak(0).status_code == 202
        until(lambda: lab.all_contained(1), "containment")
        assert not lab.active(0)
        until(lab.channels, "the channel")
        (theirs,) = until(lambda: list(lab.pagerduty.account.incidents), "the call")
        lab.pagerduty.click(theirs, "acknowledge")
        until(lambda: lab.incidents()[0].people.acknowledged, "the acknowledgement")
        assert lab.incidents()[0].people.acknowledged.by == "ann"
        assert lab.leak(0).status_code == 202
        assert len(lab.incidents()) == 1
        ready = httpx.get(f"{lab.url}/readyz", timeout=10)
        assert ready.status_code in (200, 503), ready.text
        started = psutil.Process(child.pid).children(recursive=True)
    until(lambda: not any(each.is_running() for each in started), "the end of what it started")
    whole(lab)
    assert HOOK not in lab.said()
    assert lab.slack.bot_token not in lab.said()
    assert len(lab.said().splitlines()) < 40, lab.said()


def test_with_slack_and_pagerduty_down_the_key_is_cut_and_word_follows(lab: ServeLab) -> None:
    """First refused, then hanging: containment waits for neither; each is told once, when it is back."""
    lab.slack.down()
    lab.pagerduty.fault = "down"
    with lab.serving():
        assert lab.leak(0).status_code == 202
        until(lambda: lab.all_contained(1), "containment while both refuse")
        lab.pagerduty.fault = "hang"
        assert lab.leak(1).status_code == 202
        until(lambda: lab.all_contained(2), "containment while the pager hangs")
        assert not lab.active(0)
        assert not lab.active(1)
        assert lab.channels() == []
        lab.pagerduty.fault = ""
        lab.slack.up()
        until(lambda: len(lab.channels()) == 2, "both channels", seconds=90)
        until(lambda: len(lab.pagerduty.account.incidents) == 2, "both calls", seconds=90)
    whole(lab)
    assert len(lab.said().splitlines()) < 60, lab.said()


@pytest.mark.parametrize("seed", [1])
def test_killed_again_and_again_every_open_case_goes_on(lab: ServeLab, seed: int) -> None:
    """Three leaks, kill -9 at random moments: in the end all are proven dead, and nothing was doubled."""
    chance = random.Random(seed)
    for number in range(3):
        child = lab.start()
        try:
            lab.listening(child)
            assert lab.leak(number).status_code == 202
            time.sleep(chance.uniform(0.0, 1.5))
            child.send_signal(signal.SIGKILL)
            assert child.wait(timeout=10) == -signal.SIGKILL
        finally:
            end(child)
    with lab.serving():
        until(lambda: lab.all_contained(3), "containment of all three", seconds=90)
        until(lambda: len(lab.channels()) == 3, "three channels", seconds=90)
        until(lambda: len(lab.pagerduty.account.incidents) == 3, "three calls", seconds=90)
    assert not any(lab.active(number) for number in range(3))
    whole(lab)


def test_a_second_process_is_refused_and_a_second_signal_ends_at_once(lab: ServeLab) -> None:
    """Exit code 2 and one sentence; the first goes on, and Ctrl-C twice does not wait."""
    child = lab.start()
    try:
        lab.listening(child)
        second = lab.start()
        assert second.wait(timeout=60) == 2
        assert f"process {child.pid} on" in lab.said()
        assert httpx.get(f"{lab.url}/healthz", timeout=5).status_code == 200
        child.send_signal(signal.SIGINT)
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=10) in (0, 130)
    finally:
        end(child)


def _mistake(name: str) -> Any:
    def roster(lab: ServeLab) -> None:
        (lab.shop.root / "roster.yaml").write_text("version: 1\npeople: [{name: ann, roles: [kontain]}]\n")

    return {
        "a detector that does not exist": lambda lab: change(lab, lambda s: s["detectors"][0].update(type="jsom")),
        "a field that does not exist": lambda lab: change(lab, lambda s: s["slack"].update(bot_tokken="x")),
        "a token that is not there": lambda lab: (lab.shop.root / "app_token").unlink(),
        "a roster with a typo": roster,
    }[name]


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        ("a detector that does not exist", "jsom"),
        ("a field that does not exist", "bot_tokken"),
        ("a token that is not there", "app_token"),
        ("a roster with a typo", "roster.yaml"),
    ],
)
def test_a_mistake_in_the_settings_is_named_and_stops_nothing_by_surprise(
    lab: ServeLab, mistake: str, named: str
) -> None:
    """Either it does not start (exit 2), or it serves and says what is wrong; never a traceback."""
    _mistake(mistake)(lab)
    child = lab.start()
    try:
        until(lambda: child.poll() is not None or named in lab.said(), mistake)
        assert named in lab.said()
        assert "Traceback" not in lab.said()
        assert child.poll() in (None, 2)
    finally:
        end(child)


def test_a_taken_port_is_said_and_the_detectors_go_on(lab: ServeLab) -> None:
    """Containment does not depend on the web page."""
    other = lab.start()
    try:
        lab.listening(other)
        copy = lab.shop.root / "state2"
        change(lab, lambda s: s.update(state=str(copy)))
        second = lab.start()
        until(lambda: str(lab.port) in lab.outputs[-1].read_text(), "the port in a sentence")
        assert "Traceback" not in lab.said()
        assert second.poll() in (None, 2)
        end(second)
    finally:
        end(other)


def test_slack_that_refuses_the_token_is_said_and_hinders_nothing(lab: ServeLab) -> None:
    """The key is cut all the same."""
    (lab.shop.root / "bot_token").write_text("xoxb-wrong-canary-55aa")
    with lab.serving():
        assert lab.leak(0).status_code == 202
        until(lambda: lab.all_contained(1), "containment")
        until(lambda: "invalid_auth" in lab.said() or "token" in lab.said(), "a word on the token")
    assert "xoxb-wrong-canary-55aa" not in lab.said()
