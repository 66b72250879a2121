"""``kill -9`` of the whole process, and of Prefect under it: every open case goes on, and nothing is doubled."""

from __future__ import annotations

import json
import random
import signal
import time

import psutil
import pytest
from serve_lab import ServeLab, end, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@pytest.mark.parametrize("seed", [1, 20261124])
def test_killed_again_and_again_every_open_case_goes_on(lab: ServeLab, seed: int) -> None:
    """A leak more before each kill, so that the cases stand at different phases when the next kill comes."""
    chance = random.Random(seed)
    for number in range(3):
        child = lab.start()
        try:
            lab.listening(child)
            assert lab.leak(number).status_code == 202
            time.sleep(chance.uniform(0.0, 2.5))
            child.send_signal(signal.SIGKILL)
            assert child.wait(timeout=10) == -signal.SIGKILL
        finally:
            end(child)
    assert len(lab.incidents()) == 3
    with lab.serving():
        until(lambda: lab.all_contained(3), "containment of all three", seconds=90)
        until(lambda: len(lab.channels()) == 3, "three channels", seconds=90)
        until(lambda: len(lab.pagerduty.account.incidents) == 3, "three calls", seconds=90)
        until(lambda: all(_renewed(lab, number) == 2 for number in range(3)), "successors", seconds=90)
    assert not any(lab.active(number) for number in range(3))
    lab.told_once()


def _renewed(lab: ServeLab, number: int) -> int:
    user = lab.credentials[number]
    return len(lab.shop.account.client("iam").list_access_keys(UserName=user.name)["AccessKeyMetadata"])


def test_containment_works_while_prefect_is_dead_and_what_follows_goes_on_when_it_is_back(lab: ServeLab) -> None:
    """Before it is up, and after it and its database were killed; it is started again by itself."""
    lab.home = lab.shop.root / "home"
    lab.home.mkdir(mode=0o755)
    with lab.serving():
        assert lab.leak(0).status_code == 202
        until(lambda: lab.all_contained(1), "containment before Prefect is up")
        assert "Ready." not in lab.said()
        until(lambda: "Ready." in lab.said(), "Prefect", seconds=120)
        until(lambda: _renewed(lab, 0) == 2, "the first successor", seconds=60)
        folder = lab.home / "prefect"
        server = json.loads((folder / "server.json").read_text())["pid"]
        postmaster = int((folder / "postgres" / "postmaster.pid").read_text().split()[0])
        for pid in (server, postmaster):
            psutil.Process(pid).kill()
        assert lab.leak(1).status_code == 202
        until(lambda: lab.all_contained(2), "containment without Prefect")
        until(lambda: "Prefect is back." in lab.said(), "Prefect again", seconds=120)
        until(lambda: _renewed(lab, 1) == 2, "the second successor", seconds=60)
    lab.told_once()
    assert "Traceback" not in lab.said(), lab.said()
    assert len(lab.said().splitlines()) < 20, lab.said()
