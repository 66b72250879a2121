"""Killing the responding process with SIGKILL at every boundary of the record loses nothing and doubles no harm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import boto3
import pytest
from responders import Responders, declared, lab, read_everything

from flows.wiring import Wiring
from playbooks.milestones import recovered
from playbooks.plans import Action
from playbooks.record import Event, EventKind, verify_chain
from simulations.environments import Environment

pytestmark = pytest.mark.lab


def test_a_response_killed_at_every_event_boundary_still_ends_with_every_object_safe(tmp_path: Path) -> None:
    """After every write, and before it (when its effect has happened): nothing lost, nothing doubled, recovered."""
    with lab(tmp_path, "kms-credential-leak", objects=6) as (site, environment):
        with Wiring.from_file(environment.config) as wiring:
            incident_id = declared(wiring, "kms-credential-leak")
            planned = len(wiring.records.events(incident_id))
            with Responders(environment.config, incident_id) as responders:
                kills = _walk(wiring, incident_id, responders)
            incident, events = wiring.incident(incident_id), wiring.records.events(incident_id)
        verify_chain(events)
        assert incident.plan is not None
        assert incident.closed is not None
        assert recovered(incident), {name: each for name, each in incident.steps.items() if not each.succeeded}
        started = Counter(str(each.body["step"]) for each in events if each.kind is EventKind.STEP_STARTED)
        assert set(started) == {step.id for step in incident.plan.steps if not step.unavailable}
        assert min(started.values()) >= 3, "every step was killed after its claim and before its result"
        assert kills >= 2 * len({_boundary(event) for event in events[planned:]})
        _nothing_was_doubled(environment, events)
        data = read_everything(site, environment)
        assert (data.lost, data.on_old_key, data.verified) == (0, 0, data.objects)


def _walk(wiring: Wiring, incident_id: str, responders: Responders) -> int:
    """Kill before and after each write until a responder finds nothing left to do; returns how many were killed."""
    kills, depth = 0, 1
    while True:
        for moment in ("before", "after"):
            if responders.run(f"{moment} {depth}") == 0:
                return kills
            kills += 1
            assert kills < 400, f"no progress: {responders.said()}"
        depth = _next_depth(depth, wiring.records.events(incident_id)[-1].kind)


def _next_depth(depth: int, newest: EventKind) -> int:
    """Which write of the next responder is new ground.

    A step under way is begun anew: its claim is written again, and so are shards and census, but no message.
    """
    match newest:
        case EventKind.STEP_STARTED | EventKind.MESSAGE_QUEUED:
            return 2
        case EventKind.SHARD_FINISHED | EventKind.CENSUS_TAKEN:
            return depth + 1
        case _:
            return 1


def _boundary(event: Event) -> tuple[str, str, str]:
    return event.kind.value, str(event.body.get("step", "")), str(event.body.get("shard", ""))


def _nothing_was_doubled(environment: Environment, events: list[Event]) -> None:
    """As the backend itself tells it: one successor of each thing, and one result for each step."""
    finished = Counter(str(event.body["step"]) for event in events if event.kind is EventKind.STEP_FINISHED)
    assert set(finished.values()) == {1}
    [plan] = [event.body["plan"] for event in events if event.kind is EventKind.PLAN_MADE]
    created = [step for step in plan["steps"] if step["action"] == Action.CREATE_KEY.value]  # type: ignore[index,call-overload]
    cloud = environment.connections["cloud"]
    session = {"endpoint_url": cloud["endpoint_url"], "region_name": cloud["region"]}
    root = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    assert len(boto3.client("kms", **session, **root).list_keys()["Keys"]) == 1 + len(created)
    listed = boto3.client("iam", **session, **root).list_access_keys(UserName="svc-app")["AccessKeyMetadata"]
    assert sorted(each["Status"] for each in listed) == ["Active", "Inactive"]
