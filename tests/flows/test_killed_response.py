"""Killing the responding process with SIGKILL at every boundary of the record loses nothing and doubles no harm."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from flows import intake
from flows.wiring import Wiring
from playbooks.exposures import Exposure, ExposureKind
from playbooks.milestones import recovered
from playbooks.plans import Action
from playbooks.record import EventKind, verify_chain
from simulations import phases
from simulations.environments import Environment, Site, build
from simulations.lab.processes import Processes
from simulations.scenario import load
from simulations.verification import verify
from simulations.journals import WorkloadRequest, read_journal

CHILD = Path(__file__).with_name("killed_child.py")
SEED = 7


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Environment]]:
    """A small lab of the scenario kms-credential-leak with its service at work."""
    directory = tmp_path_factory.mktemp("walk")
    directory.chmod(0o755)
    scenario = load("kms-credential-leak").model_copy(update={"datasets": {"invoices": 12, "cards": 12}})
    with Processes(directory) as processes:
        site = Site(directory, scenario, SEED, processes, lambda: datetime.now(UTC))
        environment = build(site)
        phases._start(site, phases.WORKLOAD, ["simulations.workload", "--config", str(environment.workload)])
        yield site, environment


def child(environment: Environment, incident_id: str, moment: str, number: int) -> int:
    """Run the responder until it dies (a negative code) or ends; returns its exit code."""
    command = [sys.executable, str(CHILD), str(environment.config), incident_id, moment, str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (-9, 0, 3), done.stderr
    return done.returncode


def test_a_response_killed_at_every_event_boundary_still_ends_with_every_object_safe(
    lab: tuple[Site, Environment],
) -> None:
    """After every append, and before the result of every effect: lost nothing, doubled nothing, closed as recovered."""
    site, environment = lab
    with Wiring.from_file(environment.config) as wiring:
        leaked = wiring.estate.credentials[0]
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=str(leaked.ref), confidence=1.0)
        incident_id = intake.declare(wiring, [exposure], requested_by="alice")
        digest = wiring.incident(incident_id).plan.digest  # type: ignore[union-attr]
        for approver in ("bob", "carol"):
            intake.approve(wiring, incident_id, approver=approver, digest=digest)
        boundaries = 0
        while True:
            if child(environment, incident_id, "after", 1) == 0:
                break
            boundaries += 1
            newest = wiring.records.events(incident_id)[-1]
            if newest.kind is EventKind.STEP_STARTED:
                assert child(environment, incident_id, "before", 2) in (-9, 3)
                if child(environment, incident_id, "after", 2) in (0, 3):
                    break
            assert boundaries < 200, "the response makes no progress"
        incident = wiring.incident(incident_id)
        events = wiring.records.events(incident_id)
        verify_chain(events)
        assert incident.plan is not None
        assert recovered(incident), {name: status for name, status in incident.steps.items() if not status.succeeded}
        finished = Counter(str(event.body["step"]) for event in events if event.kind is EventKind.STEP_FINISHED)
        assert set(finished.values()) == {1}
        created = [step for step in incident.plan.steps if step.action is Action.CREATE_KEY]
    time.sleep(1.0)
    phases.stop_world(site)
    _nothing_was_doubled(environment, keys=1 + len(created))
    requests = list(read_journal(environment.workload_journal, WorkloadRequest))
    data = verify(environment, seed=SEED, requests=requests, clock=site.clock)
    assert (data.lost, data.on_old_key) == (0, 0)
    assert data.verified == data.objects


def _nothing_was_doubled(environment: Environment, *, keys: int) -> None:
    cloud = environment.connections["cloud"]
    session = {"endpoint_url": cloud["endpoint_url"], "region_name": cloud["region"]}
    root = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    assert len(boto3.client("kms", **session, **root).list_keys()["Keys"]) == keys
    listed = boto3.client("iam", **session, **root).list_access_keys(UserName="svc-app")["AccessKeyMetadata"]
    assert sorted(each["Status"] for each in listed) == ["Active", "Inactive"]
