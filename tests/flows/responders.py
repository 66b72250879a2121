"""A lab with its services at work, and responders on it that die on order."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from flows import intake
from flows.wiring import Wiring
from playbooks.exposures import Exposure, ExposureKind
from simulations import phases
from simulations.environments import Environment, Site, build
from simulations.journals import WorkloadRequest, read_journal
from simulations.lab.processes import Processes
from simulations.results import DataScore
from simulations.scenario import load
from simulations.verification import verify

SEED = 7
_CHILD = Path(__file__).with_name("killed_child.py")


@contextmanager
def lab(directory: Path, scenario: str, *, objects: int) -> Iterator[tuple[Site, Environment]]:
    """The lab of a scenario, with few objects and short probing, and its legitimate services at work."""
    directory.chmod(0o755)
    loaded = load(scenario)
    small = loaded.model_copy(
        update={
            "datasets": dict.fromkeys(loaded.datasets, objects),
            "workload": loaded.workload.model_copy(update={"rate_per_second": 8}),
        }
    )
    with Processes(directory) as processes:
        site = Site(directory, small, SEED, processes, lambda: datetime.now(UTC))
        environment = build(site)
        set_policy(environment.config, probe_times=2, probe_window_seconds=0.05, shards=2)
        if environment.bystanders is not None:
            phases._start(site, phases.BYSTANDERS, ["simulations.bystanders", "--config", str(environment.bystanders)])
        phases._start(site, phases.WORKLOAD, ["simulations.workload", "--config", str(environment.workload)])
        yield site, environment


def set_policy(config: Path, **values: Any) -> None:
    """Write these fields of the policy into a settings file."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document["policy"] = {**document.get("policy", {}), **values}
    config.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def declared(wiring: Wiring, scenario: str) -> str:
    """An incident of this scenario, as a person would declare it, with its plan approved by two others."""
    estate = wiring.estate
    exposures: Mapping[str, tuple[ExposureKind, str]] = {
        "kms-credential-leak": (ExposureKind.CREDENTIAL, str(estate.credentials[0].ref)),
        "hsm-pin-leak": (ExposureKind.CREDENTIAL, str(estate.credentials[0].ref)),
        "transit-key-exported": (ExposureKind.KEY_MATERIAL, str(estate.keys[0].ref)),
        "signing-key-leak": (ExposureKind.SIGNING_KEY, str(estate.keys[0].ref)),
    }
    kind, target = exposures[scenario]
    incident_id = intake.declare(wiring, [Exposure(kind=kind, target=target, confidence=1.0)], requested_by="alice")
    plan = wiring.incident(incident_id).plan
    assert plan is not None
    for approver in ("bob", "carol"):
        intake.approve(wiring, incident_id, approver=approver, digest=plan.digest)
    return incident_id


class Responders:
    """Starts responders on one incident, one after the other; see ``killed_child``."""

    def __init__(self, config: Path, incident_id: str) -> None:
        self._log = (config.parent / "responders.log").open("w+", encoding="utf-8")
        self._server = subprocess.Popen(
            [sys.executable, str(_CHILD), str(config), incident_id],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def run(self, order: str) -> int:
        """One responder under this order; how it ended."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(f"{order}\n")
        self._server.stdin.flush()
        code = int(self._server.stdout.readline())
        assert code in (-9, 0, 3), self.said()
        return code

    def said(self) -> str:
        """What the responders wrote to standard error."""
        self._log.seek(0)
        return self._log.read()

    def __enter__(self) -> Responders:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(timeout=10)
        self._log.close()


def read_everything(site: Site, environment: Environment) -> DataScore:
    """Stop the services and read every object by the independent reader."""
    phases.stop_world(site)
    requests = list(read_journal(environment.workload_journal, WorkloadRequest))
    return verify(environment, seed=SEED, requests=requests, clock=site.clock)
