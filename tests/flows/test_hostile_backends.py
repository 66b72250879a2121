"""A backend that hangs, resets or throttles never stops containment elsewhere, and is never taken for a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile_door import HostileDoor, Mood
from responders import set_policy
from small_shop import Shop, open_shop

from flows import intake
from flows.engine import contain_now, step_once
from flows.wiring import Wiring
from playbooks.exposures import Exposure, ExposureKind
from playbooks.incident import Incident
from playbooks.plans import Phase
from playbooks.receipts import Outcome
from playbooks.record import EventKind
from playbooks.refs import CredentialRef
from simulations.lab.aws_account import AwsAccount, LabUser

pytestmark = pytest.mark.lab


@dataclass
class TwoClouds:
    """One estate whose service ``svc-app`` is in two clouds: ``cloud`` behind a hostile door, ``safe`` directly."""

    hostile: Shop
    sound: Shop
    door: HostileDoor
    config: Path

    @property
    def exposures(self) -> list[Exposure]:
        """The access keys of both clouds are out."""
        targets = (self.hostile.credential, self.sound.credential.replace(":cloud/", ":safe/"))
        return [Exposure(kind=ExposureKind.CREDENTIAL, target=target, confidence=1.0) for target in targets]


@pytest.fixture
def clouds(shop_account: tuple[AwsAccount, LabUser], tmp_path: Path) -> Iterator[TwoClouds]:
    """Both clouds, the door still letting everything pass."""
    account, recovery = shop_account
    name = tmp_path.name.replace("_", "-")[-30:]
    hostile = open_shop(account, recovery, tmp_path / "hostile", f"h{name}")
    sound = open_shop(account, recovery, tmp_path / "sound", f"s{name}")
    with HostileDoor(account.endpoint_url) as door:
        yield TwoClouds(hostile, sound, door, _joined(hostile, sound, door.url))


def _joined(hostile: Shop, sound: Shop, door: str) -> Path:
    settings, estate = (yaml.safe_load(path.read_text()) for path in (hostile.config, hostile.estate))
    settings["connections"]["safe"] = yaml.safe_load(sound.config.read_text())["connections"]["cloud"]
    settings["connections"]["cloud"]["endpoint_url"] = door
    settings["policy"] |= {"retries": 0, "retry_delay_seconds": 0.1}
    other: dict[str, list[dict[str, Any]]] = yaml.safe_load(
        sound.estate.read_text()
        .replace("aws-kms:cloud/", "aws-kms:safe/")
        .replace("aws-iam:cloud/", "aws-iam:safe/")
        .replace("consumer: svc-app", "consumer: svc-safe")
    )
    estate["keys"] += other["keys"]
    estate["credentials"] += other["credentials"]
    estate["consumers"] += [{**other["consumers"][0], "name": "svc-safe", "datasets": []}]
    hostile.config.write_text(yaml.safe_dump(settings))
    hostile.estate.write_text(yaml.safe_dump(estate))
    return hostile.config


def _by_cloud(incident: Incident, connection: str) -> dict[str, str]:
    """State of the containing steps on this connection."""
    assert incident.plan is not None
    steps = incident.plan.in_phase(Phase.CONTAIN)
    return {step.id: incident.steps[step.id].state for step in steps if f":{connection}/" in step.target}


@pytest.mark.parametrize("mood", ["hang", "reset"])
@pytest.mark.parametrize("when", ["before the plan", "after the plan"])
def test_containment_elsewhere_is_proven_while_one_backend_gives_no_answer(
    clouds: TwoClouds, mood: Mood, when: str
) -> None:
    """The sound cloud is proven before the other one gives up; the silent one ends as not contained, with why."""
    with Wiring.from_file(clouds.config) as wiring:
        if when == "before the plan":
            clouds.door.mood = mood
        incident_id = intake.declare(wiring, clouds.exposures, requested_by="alice")
        clouds.door.mood = mood
        incident = contain_now(wiring, incident_id)
        events = wiring.records.events(incident_id)
    assert set(_by_cloud(incident, "safe").values()) <= {"proven", "done"}
    assert "proven" in _by_cloud(incident, "safe").values()
    assert not clouds.sound.credential_active()
    silent = _by_cloud(incident, "cloud")
    assert silent
    assert set(silent.values()) <= {"failed", "pending"}
    assert incident.contained_at is None
    assert any("cloud/" in reason for reason in incident.not_contained)
    errors = [str(event.body["error"]) for event in events if event.kind is EventKind.STEP_FAILED]
    assert errors
    assert all("was not reached" in error or "did not answer" in error for error in errors)
    if mood == "hang":
        ended = [each for each in events if each.kind in (EventKind.STEP_FINISHED, EventKind.STEP_FAILED)]
        kinds = [each.kind for each in ended]
        good = len(_by_cloud(incident, "safe"))
        assert kinds[:good] == [EventKind.STEP_FINISHED] * good, "the sound cloud waited for the silent one"


def test_a_throttled_step_succeeds_after_back_off(clouds: TwoClouds) -> None:
    """Throttled twice, contained at the third try; each refusal to serve is in the record as one that may pass."""
    set_policy(clouds.config, retries=2)
    with Wiring.from_file(clouds.config) as wiring:
        incident_id = intake.declare(wiring, clouds.exposures, requested_by="alice")
        clouds.door.refusals, clouds.door.mood = 2, "throttle"
        incident = contain_now(wiring, incident_id)
        failures = [each.body for each in wiring.records.events(incident_id) if each.kind is EventKind.STEP_FAILED]
    assert failures
    assert all(failure["retryable"] and "Throttling" in str(failure["code"]) for failure in failures)
    assert incident.contained_at is not None
    assert not clouds.hostile.credential_active()


@pytest.mark.parametrize("mood", ["hang", "reset", "throttle"])
def test_a_probe_without_an_answer_is_no_proof(clouds: TwoClouds, mood: Mood) -> None:
    """The move is made, then the backend falls silent: the probes are inconclusive, the step is not proven."""
    with Wiring.from_file(clouds.config) as wiring:
        incident_id = intake.declare(wiring, clouds.exposures[:1], requested_by="alice")
        cut = next(iter(_by_cloud(wiring.incident(incident_id), "cloud")))
        adapter = wiring.credentials(CredentialRef.parse(clouds.hostile.credential))
        real = adapter.cut

        def cut_and_fall_silent(*arguments: Any, **options: Any) -> Any:
            receipt = real(*arguments, **options)
            clouds.door.mood, clouds.door.refusals = mood, 10_000
            return receipt

        adapter.cut = cut_and_fall_silent
        status = step_once(wiring, incident_id, cut)
        incident = wiring.incident(incident_id)
    assert status.state == "not-proven"
    assert {probe.outcome for probe in status.probes} == {Outcome.INCONCLUSIVE}
    assert status.receipt is not None
    assert status.receipt.proven_at is None
    assert "Nothing is shown" in status.detail
    assert incident.contained_at is None


def test_the_door_itself_changes_nothing(clouds: TwoClouds) -> None:
    """With a door that lets everything pass, both clouds are contained: what fails above fails by its mood."""
    with Wiring.from_file(clouds.config) as wiring:
        incident_id = intake.declare(wiring, clouds.exposures, requested_by="alice")
        incident = contain_now(wiring, incident_id)
    assert incident.contained_at is not None
    assert clouds.door.seen > 0
