"""Serving: a scheduled drill becomes a Prefect cron deployment, is run, and is there again after a restart."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import flows
from flows.schedules import add_schedule, parse_schedule

CHILD = Path(__file__).with_name("serving_child.py")
SCENARIO = "hsm-pin-leak"
CRON = "0 6 * * 1"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may pass through, with settings and one schedule."""
    folder = Path(tempfile.mkdtemp(prefix="kq-serve-"))
    folder.chmod(0o755)
    (folder / "keyquell.yaml").write_text("state: state\nestate: estate.yaml\n", encoding="utf-8")
    add_schedule(folder / "home", parse_schedule(scenario=SCENARIO, cron=CRON, timezone="Europe/Berlin"))
    (folder / "home").chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def serving(place: Path) -> Iterator[httpx.Client]:
    """The serving process until it has said that it keeps the schedule; ended by SIGTERM, which it obeys in order."""
    root = str(Path(flows.__file__).parents[1])
    environment = {**os.environ, "KEYQUELL_HOME": str(place / "home"), "PYTHONPATH": root}
    log = place / "serve.log"
    with log.open("w") as stream:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(place / "keyquell.yaml"), str(place / "marker")],
            cwd=place, env=environment, stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        until(lambda: f"{SCENARIO} runs at {CRON}" in log.read_text(), log=log, child=child)
        note = json.loads((place / "home" / "prefect" / "server.json").read_text(encoding="utf-8"))
        with httpx.Client(base_url=note["url"], timeout=10) as client:
            yield client
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=30) == 0, log.read_text()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def until(holds: Callable[[], bool], *, log: Path, child: subprocess.Popen[bytes]) -> None:
    """Wait for a condition; what the process said is shown when it does not come."""
    deadline = time.monotonic() + 150
    while not holds():
        assert child is None or child.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def the_deployment(client: httpx.Client) -> dict[str, Any]:
    """The one deployment that Prefect knows."""
    [found] = client.post("/deployments/filter", json={}).raise_for_status().json()
    return dict(found)


def planned(client: httpx.Client) -> list[dict[str, Any]]:
    """The runs that Prefect's scheduler has made of the cron by itself."""
    wanted = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
    found = client.post("/flow_runs/filter", json=wanted).raise_for_status().json()
    return [each for each in found if each["auto_scheduled"]]


@pytest.mark.lab
@pytest.mark.timeout(180)
def test_a_scheduled_drill_is_served_run_and_there_again_after_a_restart(place: Path) -> None:
    """Prefect holds the cron with its time zone and plans runs ahead; a due run executes the drill's own command."""
    with serving(place) as client:
        first = the_deployment(client)
        assert (first["name"], first["paused"]) == (SCENARIO, False)
        schedule = first["schedules"][0]
        assert (schedule["active"], schedule["schedule"]["cron"]) == (True, CRON)
        assert schedule["schedule"]["timezone"] == "Europe/Berlin"
    with serving(place) as client:
        again = the_deployment(client)
        assert again["id"] == first["id"]
        assert again["paused"] is False
        run = client.post(f"/deployments/{again['id']}/create_flow_run", json={"state": {"type": "SCHEDULED"}}).json()
        marker, deadline = place / "marker", time.monotonic() + 60
        while not marker.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        assert marker.exists(), (place / "serve.log").read_text()
        assert marker.read_text(encoding="utf-8") == f"{SCENARIO}\n"
        while client.get(f"/flow_runs/{run['id']}").json()["state"]["type"] not in ("COMPLETED", "FAILED", "CRASHED"):
            assert time.monotonic() < deadline, (place / "serve.log").read_text()
            time.sleep(0.2)
        assert client.get(f"/flow_runs/{run['id']}").json()["state"]["type"] == "COMPLETED"
        while not planned(client):
            assert time.monotonic() < deadline, "Prefect has planned no run of the schedule"
            time.sleep(0.5)
