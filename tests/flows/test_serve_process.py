"""One process serves web, chat, pager and detectors; it is alone, ends in order, and refuses what cannot work."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from fakes.slack_direct import direct_messages
from serve_lab import HOOK, ServeLab, change, end, until

from playbooks.incident import Incident

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def test_a_leak_is_cut_shown_and_called_out_by_one_process(lab: ServeLab) -> None:
    """By webhook and by a form in Slack; proven dead, a channel each, a call each, whose acknowledge counts here."""
    with lab.serving():
        until(lambda: lab.slack.sockets.live, "Socket Mode")
        assert httpx.get(f"{lab.url}/healthz", timeout=5).json()["status"] == "alive"
        assert lab.leak(0).status_code == 202
        lab.declare(1)
        until(lambda: lab.all_contained(2), "containment")
        assert not lab.active(0)
        assert not lab.active(1)
        until(lambda: len(lab.channels()) == 2, "the channels")
        until(lambda: len(lab.pagerduty.account.incidents) == 2, "the calls")
        until(lambda: httpx.get(f"{lab.url}/readyz", timeout=10).status_code == 200, "readiness")
        found = {each.id: each for each in lab.incidents()}
        lab.pagerduty.click(lab.pagerduty.account.incidents[0], "acknowledge")
        until(lambda: any(each.people.acknowledged for each in lab.incidents()), "the acknowledgement")
        taken = [each.people.acknowledged for each in lab.incidents() if each.people.acknowledged]
        assert [each.by for each in taken] == ["ann"]
        assert lab.leak(0).status_code == 202
        assert {each.id for each in lab.incidents()} == set(found)
        until(lambda: direct_messages(lab.slack, lab.ann), "an answer to the form")
    lab.told_once()
    assert lab.slack.troubles == []
    assert HOOK not in lab.said()
    assert len(lab.said().splitlines()) < 15, lab.said()


def test_what_the_process_started_ends_with_it_and_its_lock_is_free(lab: ServeLab, tmp_path: Path) -> None:
    """With a Prefect server of its own: SIGINT while that comes up, then SIGTERM once it is up; both end with 0."""
    lab.home = lab.shop.root / "home"
    lab.home.mkdir(mode=0o755)
    for number, wait in ((signal.SIGINT, "listens on"), (signal.SIGTERM, "Ready.")):
        child = lab.start()
        try:
            until(lambda wait=wait: wait in lab.outputs[-1].read_text(), wait, seconds=90)
            started = psutil.Process(child.pid).children(recursive=True)
            child.send_signal(number)
            assert child.wait(timeout=40) == 0, lab.said()
        finally:
            end(child)
        until(lambda: not [each for each in started if each.is_running()], "the end of what it started")  # noqa: B023
        assert servers_of(lab.home) == []
    assert not (lab.shop.root / "state" / "serve.holder.json").exists()


def test_a_stop_waits_for_no_retry_and_the_next_process_goes_on(lab: ServeLab) -> None:
    """Three cases pause before they try an unreachable account again: none is waited for, all are taken up again."""
    change(lab, lambda s: s["policy"].update(retry_delay_seconds=600.0, containment_deadline_seconds=60.0))
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        change(lab, lambda s: s["connections"]["cloud"].update(endpoint_url=away))
        with lab.serving():
            for number in range(3):
                assert lab.leak(number).status_code == 202
            until(lambda: [_pauses(each) for each in lab.incidents()] == [True] * 3, "a first attempt of each")
    assert "broken off" not in lab.said()
    there = lab.shop.account.endpoint_url
    change(lab, lambda s: s["connections"]["cloud"].update(endpoint_url=there))
    with lab.serving():
        until(lambda: lab.all_contained(3), "containment")
    assert not any(lab.active(number) for number in range(3))
    lab.told_once()


def _pauses(incident: Incident) -> bool:
    """Has a step failed that may be tried again?"""
    return any(step.state == "failed" and step.retryable for step in incident.steps.values())


def servers_of(home: Path) -> list[psutil.Process]:
    """Database servers on this home."""
    running = psutil.process_iter(["cmdline"])
    return [each for each in running if any(str(home) in word for word in each.info["cmdline"] or ())]


def test_a_second_process_is_refused_and_a_second_signal_ends_at_once(lab: ServeLab) -> None:
    """Exit code 2 and one sentence that names the holder; the first goes on, and Ctrl-C twice does not wait."""
    child = lab.start()
    try:
        lab.listening(child)
        second = lab.start()
        assert second.wait(timeout=60) == 2
        assert f"process {child.pid} on" in lab.said()
        assert httpx.get(f"{lab.url}/healthz", timeout=5).status_code == 200
        lab.pagerduty.fault = "hang"
        assert lab.leak(0).status_code == 202
        until(lambda: ("POST", "/v2/enqueue") in lab.pagerduty.requests, "a call that hangs")
        child.send_signal(signal.SIGINT)
        until(lambda: "A second signal" in lab.said(), "the word on it")
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=5) in (0, 130)
    finally:
        lab.pagerduty.fault = ""
        end(child)


def _no_token(lab: ServeLab) -> None:
    (lab.shop.root / "app_token").unlink()


def _odd_roster(lab: ServeLab) -> None:
    (lab.shop.root / "roster.yaml").write_text("version: 1\npeople: [{name: ann, roles: [kontain]}]\n")


def _odd_estate(lab: ServeLab) -> None:
    lab.shop.estate.write_text("version: 1\nkeyz: []\n")


def _odd_detector(lab: ServeLab) -> None:
    change(lab, lambda s: s["detectors"][0].update(type="jsom"))


def _odd_field(lab: ServeLab) -> None:
    change(lab, lambda s: s["slack"].update(bot_tokken="x"))


def _twins(lab: ServeLab) -> None:
    change(lab, lambda s: s["detectors"].append(s["detectors"][0]))


def _no_folder(lab: ServeLab) -> None:
    change(lab, lambda s: s["pagers"][0].update(routing_key="file:./nowhere"))


@pytest.mark.parametrize(
    ("mistake", "named"),
    [
        pytest.param(_odd_detector, "jsom", id="a detector that does not exist"),
        pytest.param(_odd_field, "bot_tokken", id="a field that does not exist"),
        pytest.param(_no_token, "app_token", id="a token that is not there"),
        pytest.param(_no_folder, "routing_key", id="a routing key that is not there"),
        pytest.param(_odd_roster, "roster.yaml", id="a roster with a typo"),
        pytest.param(_odd_estate, "estate.yaml", id="an estate with a typo"),
        pytest.param(_twins, "scanner", id="two detectors of one name"),
    ],
)
def test_a_mistake_in_the_settings_is_named_and_nothing_is_begun(
    lab: ServeLab, mistake: Callable[[ServeLab], None], named: str
) -> None:
    """Exit code 2, a sentence and the way out; never a traceback."""
    mistake(lab)
    child = lab.start()
    try:
        assert child.wait(timeout=60) == 2, lab.said()
    finally:
        end(child)
    lines = lab.said().splitlines()
    assert named in lines[0]
    assert len(lines) <= 2, lines


def test_a_taken_port_is_said_and_nothing_is_begun(lab: ServeLab) -> None:
    """Exit code 2, and which setting to change."""
    with socket.create_server(("127.0.0.1", lab.port)):
        child = lab.start()
        try:
            assert child.wait(timeout=60) == 2, lab.said()
        finally:
            end(child)
    assert f"port {lab.port} cannot be listened on" in lab.said()
    assert "web.port" in lab.said()
    assert "Watching" not in lab.said()


def test_slack_that_refuses_the_tokens_is_said_and_hinders_nothing(lab: ServeLab) -> None:
    """The key is cut all the same; the word comes before any case is open, once."""
    for name in ("bot_token", "app_token"):
        (lab.shop.root / name).write_text("xoxb-wrong-canary-55aa")
    with lab.serving():
        until(lambda: "invalid_auth" in lab.said(), "a word on the token")
        assert lab.leak(0).status_code == 202
        until(lambda: lab.all_contained(1), "containment")
        until(lambda: len(lab.pagerduty.account.incidents) == 1, "the call")
        time.sleep(2)
    assert "xoxb-wrong-canary-55aa" not in lab.said()
    assert lab.said().count("invalid_auth") <= 4, lab.said()


def test_readiness_says_why_when_the_record_cannot_be_written(lab: ServeLab) -> None:
    """A writer that holds the database: alive all the time, ready only before and after."""
    import sqlite3

    with lab.serving():
        until(lambda: httpx.get(f"{lab.url}/readyz", timeout=10).status_code == 200, "readiness")
        other = sqlite3.connect(lab.shop.root / "state" / "records.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            answer = httpx.get(f"{lab.url}/readyz", timeout=20)
            assert answer.status_code == 503
            assert "The record cannot be written: the database is busy." in answer.text
            assert str(os.getpid()) not in answer.text
            assert httpx.get(f"{lab.url}/healthz", timeout=5).status_code == 200
        finally:
            other.execute("ROLLBACK")
            other.close()
        until(lambda: httpx.get(f"{lab.url}/readyz", timeout=10).status_code == 200, "readiness again")
