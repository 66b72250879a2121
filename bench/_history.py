"""An installation with a long history: an inventory of many keys and a record of many incidents, made at once.

The events are those of real cases (same bodies, same chain, same plans); only the waiting between them is made up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import insert

from integrations.records.engines import create
from integrations.records.schema import EVENTS
from integrations.records.sql import SqlRecords
from playbooks.estate import Estate
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind, Interval, Signal
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.planner import make_plan
from playbooks.plans import Gate, Plan
from playbooks.playbook import catalog, choose
from playbooks.receipts import Census, Outcome, ProbeResult, Receipt
from playbooks.record import GENESIS, Event, EventKind
from playbooks.refs import KeyRef

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
DATASETS_PER_KEYS, CREDENTIALS_PER_KEYS, CONSUMERS_PER_KEYS = 5, 10, 100
"""One dataset for so many keys, and so on."""
_OPEN_EACH, _EXERCISE_EACH = 500, 3
_BATCH = 20_000


def key(number: int) -> str:
    """URI of a key of the inventory."""
    return f"aws-kms:cloud/{number:08x}-0000-4000-8000-{number:012x}"


def credential(number: int) -> str:
    """URI of a credential of the inventory."""
    return f"aws-iam:cloud/svc-{number}/AKIA{number:016d}"


def write_estate(path: Path, *, keys: int) -> None:
    """An inventory in JSON: every fifth key holds a dataset, every tenth is used by a credential of a service."""
    services = max(1, keys // CONSUMERS_PER_KEYS)
    held = range(0, keys, DATASETS_PER_KEYS)
    used = range(0, keys, CREDENTIALS_PER_KEYS)
    estate = {
        "keys": [{"ref": key(n), "owner": f"team-{n % 97}" if n % 11 else ""} for n in range(keys)],
        "datasets": [
            {"ref": f"files:docs/folder-{n}", "key": key(n), "envelope": "esdk", "owner": f"team-{n % 97}",
             "backup_retention_days": 30, "readers": [credential(n)] if n % CREDENTIALS_PER_KEYS == 0 else []}
            for n in held
        ],
        "credentials": [
            {"ref": credential(n), "consumer": f"service-{n % services}", "may_use": [key(n), key(n + 1)]}
            for n in used if n + 1 < keys
        ],
        "consumers": [
            {"name": f"service-{n}", "owner": f"team-{n % 97}", "channel": "hooks", "uses": [key(n)]}
            for n in range(services)
        ],
    }  # fmt: skip
    path.write_bytes(orjson.dumps(estate))


def write_history(url: str, *, incidents: int, keys: int) -> int:
    """A record of so many incidents over two years; most ended well, every third is an exercise; how many events."""
    SqlRecords.open(url, clock=lambda: NOW).close()
    engine, events, batch = create(url), 0, []
    chance = random.Random(1)  # noqa: S311 - nothing secret is drawn
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        for number in range(incidents):
            rows = [_row(each) for each in _Told(number, chance, key(chance.randrange(keys))).whole()]
            events += len(rows)
            batch += rows
            if len(batch) >= _BATCH or number == incidents - 1:
                connection.execute(insert(EVENTS), batch)
                batch = []
        connection.exec_driver_sql("COMMIT")
    engine.dispose()
    return events


def _row(event: Event) -> dict[str, Any]:
    return {
        "incident": event.incident,
        "seq": event.seq,
        "at": event.at.isoformat(timespec="microseconds"),
        "kind": str(event.kind),
        "body": orjson.dumps(event.body, option=orjson.OPT_SORT_KEYS).decode(),
        "prev": event.prev,
        "hash": event.hash,
    }


@dataclass(frozen=True, slots=True)
class _Pattern:
    """What all cases share: the plan of a leaked key."""

    plan: Plan

    @classmethod
    def make(cls) -> _Pattern:
        leaked, dataset = "aws-kms:cloud/pattern", "files:docs/pattern"
        estate = Estate.model_validate({
            "keys": [{"ref": leaked}],
            "datasets": [{"ref": dataset, "key": leaked, "envelope": "esdk", "backup_retention_days": 30}],
            "credentials": [{"ref": "aws-iam:cloud/app/AKIAEXAMPLE1", "consumer": "app", "may_use": [leaked]}],
            "consumers": [{"name": "app", "channel": "hooks", "uses": [leaked]}],
        })  # fmt: skip
        exposures = [Exposure(kind=ExposureKind.CREDENTIAL, target="aws-iam:cloud/app/AKIAEXAMPLE1", confidence=1.0)]
        return cls(
            make_plan(
                incident_id="KQ-pattern",
                exposures=exposures,
                estate=estate,
                facts={},
                playbook=choose(catalog(), exposures),
            )
        )


_PATTERN = _Pattern.make()


class _Told:
    """One incident, event by event."""

    def __init__(self, number: int, chance: random.Random, leaked: str) -> None:
        self.chance, self.leaked = chance, leaked
        self.open, self.exercise = number % _OPEN_EACH == 7, number % _EXERCISE_EACH == 1
        age = timedelta(hours=chance.uniform(0.5, 6)) if self.open else timedelta(hours=chance.uniform(24, 17_000))
        self.at = NOW - age
        self.name = f"KQ-{self.at:%Y%m%d}-{number:08x}"
        self.codename = f"case-{number}"
        self.plan = _PATTERN.plan.model_copy(update={"incident_id": self.name})
        self.events: list[Event] = []

    def add(self, kind: EventKind, **fields: Any) -> None:
        self.at += timedelta(seconds=self.chance.expovariate(1 / 20))
        self.events.append(
            Event.link(
                incident=self.name,
                seq=len(self.events),
                at=self.at,
                kind=kind,
                body=body_of(kind, **fields),
                prev=self.events[-1].hash if self.events else GENESIS,
            )
        )

    def whole(self) -> list[Event]:
        self._opening()
        for _ in self._steps("contain"):
            pass
        self.add(EventKind.CONTAINED, probes=6)
        self.add(EventKind.ACKNOWLEDGED, by="bob", via="cli") if not self.open else None
        if self.open:
            return self.events
        for _ in self._steps("renew", "reencrypt", "revoke", "verify", "notify"):
            pass
        census = Census(
            dataset="files:docs/pattern", objects=900, bytes=4_000_000, on_new=900, on_old=0, taken_at=self.at
        )
        self.add(EventKind.CENSUS_TAKEN, census=census)
        self.add(EventKind.DATA_SAFE, datasets=("files:docs/pattern",))
        self.add(EventKind.RESTORED, consumers=("app",))
        for name in ("bob", "carol"):
            self.add(EventKind.APPROVAL_GIVEN, approver=name, digest=self.plan.digest, method="cli")
        self.add(EventKind.CLOSED, by="bob", outcome="recovered")
        return self.events

    def _opening(self) -> None:
        self.add(
            EventKind.INCIDENT_OPENED,
            codename=self.codename,
            severity="high",
            exercise=self.exercise,
            requested_by="detector:trail",
            playbook=self.plan.playbook,
            scenario="kms-credential-leak" if self.exercise else "",
        )
        signal = Signal(
            source="trail",
            external_id=self.name,
            kind=ExposureKind.CREDENTIAL,
            fingerprints=(),
            summary="The key is used by an unknown client.",
            observed_at=self.at - timedelta(seconds=4),
            confidence=0.9,
        )
        self.add(EventKind.SIGNAL_RECEIVED, signal=signal)
        occurred = Interval(not_before=self.at - timedelta(days=3), not_after=self.at - timedelta(hours=2))
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=self.leaked, occurred=occurred, confidence=0.9)
        self.add(EventKind.EXPOSURE_ADDED, exposure=exposure)
        facts = KeyFacts(
            ref=KeyRef.parse(self.leaked),
            algorithm="AES-256",
            state=KeyState.ACTIVE,
            purpose="encrypt",
            version="1",
            capabilities=frozenset({Capability.DISABLE}),
            containment_unit="key",
            read_at=self.at,
        )
        self.add(EventKind.FACTS_READ, facts={self.leaked: facts})
        self.add(EventKind.PLAN_MADE, plan=self.plan)

    def _steps(self, *phases: str) -> Iterator[None]:
        for step in self.plan.steps:
            if step.phase.value not in phases or step.unavailable or step.gate is Gate.TWO_PERSON:
                continue
            self.add(EventKind.STEP_STARTED, step=step.id, attempt=1, owner="host/1/1.0")
            asked = self.at
            probes = tuple(
                ProbeResult(
                    subject=step.target,
                    operation="Decrypt",
                    expected="refused",
                    outcome=Outcome.REFUSED,
                    code="AccessDeniedException",
                    at=asked,
                )
                for _ in range(3)
            )
            receipt = Receipt(
                subject=step.target, move=step.action.value, requested_at=asked, accepted_at=asked, proven_at=asked
            )
            self.add(EventKind.STEP_FINISHED, step=step.id, outcome="proven", receipt=receipt, probes=probes)
            yield
