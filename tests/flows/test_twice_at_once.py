"""Two processes answer one incident at once: each step has one owner, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from small_shop import Shop

from flows import intake
from flows.engine import contain_now, step_once
from flows.wiring import Wiring
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Phase
from playbooks.record import Event, EventKind, verify_chain

CHILD = Path(__file__).with_name("killed_child.py")
pytestmark = pytest.mark.lab


@contextmanager
def responder(config: Path, incident_id: str, order: str) -> Iterator[subprocess.Popen[str]]:
    """A process that begins to respond at once."""
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(config), incident_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    child.stdin.write(f"{order}\n")
    child.stdin.close()
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def declare(wiring: Wiring, shop: Shop) -> str:
    """The shop's access key is out; two people have approved the plan."""
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
    incident_id = intake.declare(wiring, [exposure], requested_by="alice")
    plan = wiring.incident(incident_id).plan
    assert plan is not None
    for approver in ("bob", "carol"):
        intake.approve(wiring, incident_id, approver=approver, digest=plan.digest)
    return incident_id


def nobody_interfered(events: list[Event]) -> None:
    """No step is started while another hand is at it, and none again after it succeeded."""
    under_way, succeeded = set[str](), set[str]()
    for event in events:
        step = str(event.body.get("step", ""))
        if event.kind is EventKind.STEP_STARTED:
            assert step not in under_way | succeeded, f"{step} was started a second time"
            under_way.add(step)
        elif event.kind in (EventKind.STEP_FINISHED, EventKind.STEP_FAILED):
            under_way.discard(step)
            if event.body.get("outcome") in ("proven", "done"):
                succeeded.add(step)
    assert succeeded


def test_two_responders_at_once_do_every_step_once(shop: Shop) -> None:
    """Both drive to the end: each step is started once, by one of them, and one new key and credential exist."""
    with shop.wiring() as wiring:
        incident_id = declare(wiring, shop)
        before = len(shop.account.client("kms").list_keys(Limit=1000)["Keys"])
        with responder(shop.config, incident_id, "never") as one, responder(shop.config, incident_id, "never") as two:
            said = [process.stdout.read() for process in (one, two) if process.stdout]
        events = wiring.records.events(incident_id)
        incident = wiring.incident(incident_id)
    verify_chain(events)
    assert incident.plan is not None
    assert all(answer.strip() in ("0", "3") for answer in said), said
    nobody_interfered(events)
    owners = {str(event.body["owner"]) for event in events if event.kind is EventKind.STEP_STARTED}
    assert len(owners) == 2, "only one of them did anything: the test shows nothing"
    assert len(shop.account.client("kms").list_keys(Limit=1000)["Keys"]) == before + 1
    listed = shop.account.client("iam").list_access_keys(UserName=shop.user.name)["AccessKeyMetadata"]
    assert sorted(each["Status"] for each in listed) == ["Active", "Inactive"]
    assert sum(event.kind is EventKind.CLOSED for event in events) <= 1


def test_the_step_of_a_dead_owner_is_taken_over_at_once(shop: Shop) -> None:
    """Killed after its claim: the next hand starts the same step without waiting for any lease."""
    with shop.wiring() as wiring:
        incident_id = declare(wiring, shop)
        with responder(shop.config, incident_id, "after 1") as dead:
            assert dead.stdout is not None
            assert dead.stdout.read().strip() == "-9"
        [held] = [event for event in wiring.records.events(incident_id) if event.kind is EventKind.STEP_STARTED]
        begun = time.monotonic()
        status = step_once(wiring, incident_id, str(held.body["step"]))
        assert time.monotonic() - begun < 60, "it waited for a lease of somebody who is dead"
    assert (status.state, status.attempts) == ("proven", 2)


def test_the_step_of_a_living_owner_is_waited_for(shop: Shop) -> None:
    """While its process lives the step is not started again, however long it takes; when it dies, it is."""
    with shop.wiring() as wiring:
        incident_id = declare(wiring, shop)
        plan = wiring.incident(incident_id).plan
        assert plan is not None
        step = plan.in_phase(Phase.CONTAIN)[0]
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        try:
            body = body_of(EventKind.STEP_STARTED, step=step.id, attempt=1, owner=_owner_of(sleeper.pid))
            wiring.records.append_next(incident_id, kind=EventKind.STEP_STARTED, body=body)
            with responder(shop.config, incident_id, "never") as other:
                time.sleep(3)
                assert other.poll() is None
                assert wiring.incident(incident_id).steps[step.id].attempts == 1
                os.kill(sleeper.pid, signal.SIGKILL)
                sleeper.wait()
                assert other.stdout is not None
                other.stdout.read()
            assert wiring.incident(incident_id).steps[step.id].attempts == 2
            assert wiring.incident(incident_id).steps[step.id].succeeded
        finally:
            sleeper.kill()
            sleeper.wait()


def test_the_hot_path_and_a_responder_share_the_work(shop: Shop) -> None:
    """Containing at once, beside a process that drives the whole response: still one start for each step."""
    with shop.wiring() as wiring:
        incident_id = declare(wiring, shop)
        with responder(shop.config, incident_id, "never") as other:
            incident = contain_now(wiring, incident_id)
            assert other.stdout is not None
            other.stdout.read()
        events = wiring.records.events(incident_id)
    assert incident.contained_at is not None
    nobody_interfered(events)
    assert sum(event.kind is EventKind.CONTAINED for event in events) == 1


def _owner_of(pid: int) -> str:
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.2f}"
