"""Responders killed with SIGKILL at random moments, again and again: the next one goes on, and nothing is doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from responders import Responders, declared, lab, read_everything

from flows.wiring import Wiring
from integrations.registry import open_adapter
from integrations.secrets import read_secret
from playbooks.milestones import RETIREMENT_BLOCKED, recovered
from playbooks.plans import Action, Plan
from playbooks.record import EventKind, verify_chain
from playbooks.refs import KeyRef
from simulations.environments import Environment

pytestmark = pytest.mark.lab
KILLS = 8


@pytest.mark.parametrize("scenario", ["hsm-pin-leak", "transit-key-exported", "signing-key-leak"])
def test_a_response_killed_at_random_moments_ends_with_every_object_safe(
    tmp_path: Path, scenario: str, random_moments: random.Random
) -> None:
    """Nothing lost, nothing left under the old key, one successor of each thing; done but for what must wait."""
    with lab(tmp_path, scenario, objects=8) as (site, environment):
        with Wiring.from_file(environment.config) as wiring:
            keys = _keys(environment, wiring)
            incident_id = declared(wiring, scenario)
            with Responders(environment.config, incident_id) as responders:
                killed = sum(
                    responders.run(f"within {random_moments.uniform(0.05, 0.9):.3f}") == -9 for _ in range(KILLS)
                )
                responders.run("never")
            assert killed > 0
            _ended_well(wiring, incident_id)
            _nothing_was_doubled(wiring, incident_id, environment, keys)
        data = read_everything(site, environment)
        assert (data.lost, data.on_old_key, data.verified) == (0, 0, data.objects)
        assert data.objects > 0


def test_keyquell_run_on_prefect_goes_on_after_every_kill(
    tmp_path: Path, random_moments: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real command with its own Prefect server: killed, started again, done; and no server is left behind."""
    home = tmp_path / "home"
    monkeypatch.setenv("KEYQUELL_HOME", str(home))
    site_folder = tmp_path / "lab"
    site_folder.mkdir()
    tmp_path.chmod(0o755)
    try:
        with lab(site_folder, "hsm-pin-leak", objects=8) as (site, environment):
            with Wiring.from_file(environment.config) as wiring:
                keys = _keys(environment, wiring)
                incident_id = declared(wiring, "hsm-pin-leak")
                for _ in range(3):
                    _run_and_kill(environment, incident_id, wiring, events=random_moments.randrange(3, 14))
                done = _run(environment, incident_id)
                assert done.returncode in (0, 4), done.stderr
                assert json.loads(done.stdout)["ended"] in ("closed", "waiting")
                _ended_well(wiring, incident_id)
                _nothing_was_doubled(wiring, incident_id, environment, keys)
            data = read_everything(site, environment)
            assert (data.lost, data.on_old_key, data.verified) == (0, 0, data.objects)
        assert _servers_of(home) == []
    finally:
        for process in _servers_of(home):
            process.kill()


@pytest.fixture
def random_moments() -> random.Random:
    """Random moments whose seed is printed; set KEYQUELL_TEST_SEED to have the same again."""
    seed = int(os.environ.get("KEYQUELL_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
    print(f"KEYQUELL_TEST_SEED={seed}")
    return random.Random(seed)


def _command(environment: Environment, incident_id: str) -> list[str]:
    return [sys.executable, "-m", "console.main", "run", incident_id, "--config", str(environment.config), "--json"]


def _run(environment: Environment, incident_id: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(environment, incident_id), capture_output=True, text=True, timeout=120, check=False)


def _run_and_kill(environment: Environment, incident_id: str, wiring: Wiring, *, events: int) -> None:
    """Start the command and kill it when the record has grown by this many events."""
    before = len(wiring.records.events(incident_id))
    child = subprocess.Popen(_command(environment, incident_id), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and len(wiring.records.events(incident_id)) < before + events:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()


def _servers_of(home: Path) -> list[psutil.Process]:
    """Processes of Prefect's server and database below this home."""

    def belongs(process: psutil.Process) -> bool:
        try:
            return str(home) in " ".join(process.cmdline()) or process.environ().get("PREFECT_HOME", "").startswith(
                str(home)
            )
        except psutil.Error:
            return False

    mine = psutil.Process().pid
    return [each for each in psutil.process_iter() if each.pid != mine and belongs(each)]


def _ended_well(wiring: Wiring, incident_id: str) -> None:
    """Closed as recovered, or waiting for nothing but the retirement of the old key; the chain holds."""
    incident, events = wiring.incident(incident_id), wiring.records.events(incident_id)
    verify_chain(events)
    assert recovered(incident), {
        name: (each.state, each.error or each.detail) for name, each in incident.steps.items() if not each.succeeded
    }
    blocked = {each.code for each in incident.steps.values() if each.state == "failed"}
    assert incident.closed is not None or blocked == {RETIREMENT_BLOCKED}
    finished = Counter(str(event.body["step"]) for event in events if event.kind is EventKind.STEP_FINISHED)
    assert set(finished.values()) == {1}
    queued = [event.body["id"] for event in events if event.kind is EventKind.MESSAGE_QUEUED]
    assert len(queued) == len(set(queued))


def _keys(environment: Environment, wiring: Wiring) -> set[str]:
    """Every key of the backend, read by a connection of our own."""
    old = wiring.estate.keys[0].ref
    options = {name: value for name, value in environment.connections[old.connection].items() if name != "type"}
    backend = open_adapter("keys", old.scheme, name=old.connection, options=options, clock=wiring.clock)
    try:
        return {str(key) for key in backend.list_keys()}
    finally:
        backend.close()


def _nothing_was_doubled(wiring: Wiring, incident_id: str, environment: Environment, before: set[str]) -> None:
    """Exactly one new key for each create-key step, and one certificate for each issue-certificate step."""
    plan = wiring.incident(incident_id).plan
    assert plan is not None
    made = _keys(environment, wiring) - before
    wanted = _made_by(wiring, incident_id, plan, Action.CREATE_KEY, "key")
    assert made == {str(KeyRef.parse(each)) for each in wanted}
    for step in (each for each in plan.steps if each.action is Action.ISSUE_CERTIFICATE):
        assert _certificates(environment) == 2, f"{step.id} issued more than one successor"


def _made_by(wiring: Wiring, incident_id: str, plan: Plan, action: Action, output: str) -> set[str]:
    steps = wiring.incident(incident_id).steps
    return {str(steps[each.id].outputs[output]) for each in plan.steps if each.action is action}


def _certificates(environment: Environment) -> int:
    """Certificates that the issuer has ever issued to this subject, the CA's own left out."""
    vault: dict[str, Any] = dict(environment.connections["vault"])
    mount = "pki"
    answer = httpx.request(
        "LIST", f"{vault['url']}/v1/{mount}/certs", headers={"X-Vault-Token": read_secret(str(vault["token"]))}
    )
    return len(answer.raise_for_status().json()["data"]["keys"]) - 1
