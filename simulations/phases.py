"""The parts of a drill, one function each; ``harness`` decides their order and notes the state before each."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import simulations
from flows.settings import load_settings
from integrations.records.export import export
from integrations.records.sql import SqlRecords
from integrations.secrets import write_secret
from playbooks.record import Event, EventKind
from simulations.environments import Environment, Site
from simulations.journals import WorkloadRequest, read_journal
from simulations.lab.processes import LabError
from simulations.narration import tell

RESPONDER, WORKLOAD, ADVERSARY, BYSTANDERS = "responder", "workload", "adversary", "bystanders"
_POLL_SECONDS = 0.1
_CALM_REQUESTS = 8
_WARM_UP_LIMIT_SECONDS = 120.0
"""Prefect makes its database when it is started for the first time, which takes a minute on a busy machine."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of live progress: when, in which part of the drill, and what happened."""

    at: datetime
    phase: str
    text: str


Report = Callable[[str, str], None]
"""Takes the phase and the text of a progress line."""


def start_response(site: Site, environment: Environment) -> None:
    """Start the responder in a process of its own; it watches by itself and is told nothing."""
    _start(site, RESPONDER, ["console.main", "serve", "--config", str(environment.config), "--until-closed"])


def start_world(site: Site, environment: Environment) -> None:
    """Start the workload, the services beside it, and the adversary, who has nothing yet."""
    if environment.bystanders is not None:
        _start(site, BYSTANDERS, ["simulations.bystanders", "--config", str(environment.bystanders)])
    _start(site, WORKLOAD, ["simulations.workload", "--config", str(environment.workload)])
    _start(site, ADVERSARY, ["simulations.adversary", "--config", str(environment.adversary)])


def warm_up(site: Site, environment: Environment) -> None:
    """Let the service work for a while; raises LabError when it, or the response, is not up before anything leaks."""
    deadline = time.monotonic() + site.scenario.timing.warm_up_seconds
    limit = time.monotonic() + _WARM_UP_LIMIT_SECONDS
    calm = False
    while time.monotonic() < limit:
        time.sleep(_POLL_SECONDS)
        for name in (RESPONDER, WORKLOAD, ADVERSARY):
            if not site.processes.running(name):
                raise LabError(f"the {name} ended before the leak.", hint=f"See {site.directory / f'{name}.log'}.")
        recent = list(read_journal(environment.workload_journal, WorkloadRequest))[-_CALM_REQUESTS:]
        calm = len(recent) == _CALM_REQUESTS and all(request.ok for request in recent)
        if calm and time.monotonic() >= deadline and _response_ready(site):
            return
    late, log = ("response was not up", RESPONDER) if calm else ("service did not work", WORKLOAD)
    raise LabError(f"the {late} before the leak.", hint=f"See {site.directory / f'{log}.log'}.")


def detonate(site: Site, environment: Environment) -> datetime:
    """Hand the leaked thing to the adversary; returns the moment."""
    write_secret(f"file:{environment.loot_file}", environment.loot.model_dump(mode="json"))
    return site.clock()


def wait_until_closed(site: Site, environment: Environment, report: Report) -> bool:
    """Follow the record until an incident is closed; False when the deadline passes or the responder ends first."""
    deadline = time.monotonic() + site.scenario.timing.deadline_seconds
    shown = 0
    with open_record(environment) as record:
        while time.monotonic() < deadline:
            events = newest_incident(record)
            for sentence in filter(None, map(tell, events[shown:])):
                report("response", sentence)
            shown = len(events)
            if any(event.kind is EventKind.CLOSED for event in events):
                return True
            if not site.processes.running(RESPONDER):
                return _closed_after_all(record)
            time.sleep(_POLL_SECONDS)
    return False


def linger(site: Site) -> tuple[bool, bool]:
    """Let adversary and workload go on for a while; returns whether each was still running at the end of it."""
    time.sleep(site.scenario.timing.after_seconds)
    return site.processes.running(ADVERSARY), site.processes.running(WORKLOAD)


def stop_world(site: Site) -> None:
    """End adversary, workload and responder; the servers stay up for the verification."""
    for name in (ADVERSARY, WORKLOAD, BYSTANDERS, RESPONDER):
        site.processes.stop(name)


@contextmanager
def open_record(environment: Environment) -> Iterator[SqlRecords]:
    """The responder's record, for reading."""
    settings = load_settings(environment.config)
    settings.state.mkdir(parents=True, exist_ok=True)
    record = SqlRecords.open(settings.records_url, clock=lambda: datetime.now(UTC))
    try:
        yield record
    finally:
        record.close()


def newest_incident(record: SqlRecords) -> list[Event]:
    """The events of the newest incident; empty before there is one."""
    incidents = [record.events(name) for name in record.incidents()]
    return max(incidents, key=lambda events: events[0].at, default=[])


def export_record(environment: Environment, output: Path) -> list[Event]:
    """The events of the newest incident, which are also exported to ``record.ndjson``; empty when there is none."""
    with open_record(environment) as record:
        events = newest_incident(record)
        if events:
            export(record, events[0].incident, output / "record.ndjson")
    return events


def keep_evidence(site: Site, environment: Environment, output: Path) -> None:
    """Copy the journals and the logs of our own processes out of the lab, which is about to be removed."""
    for journal in (environment.adversary_journal, environment.workload_journal):
        if journal.exists():
            shutil.copy(journal, output / journal.name)
    keep_logs(site.directory, output)


def keep_logs(directory: Path, output: Path) -> None:
    """Copy the logs of adversary, workload and responder."""
    for name in (RESPONDER, WORKLOAD, ADVERSARY, BYSTANDERS):
        log = directory / f"{name}.log"
        if log.exists():
            shutil.copy(log, output / log.name)


def _start(site: Site, name: str, arguments: list[str]) -> None:
    root = str(Path(simulations.__file__).parents[1])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    environment = {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    site.processes.start(name, [sys.executable, "-m", *arguments], environment=environment)


def _response_ready(site: Site) -> bool:
    """Does the responder say that all of it is up?  In real life it has been running for long when something leaks."""
    log = site.directory / f"{RESPONDER}.log"
    return "Ready." in log.read_text(encoding="utf-8", errors="replace")


def _closed_after_all(record: SqlRecords) -> bool:
    return any(event.kind is EventKind.CLOSED for event in newest_incident(record))
