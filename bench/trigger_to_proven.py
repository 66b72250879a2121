"""From a detector's signal to proven containment, against the bare API calls, on the lab's AWS, interleaved.

Ours is ``ingest`` (match, open, read facts, plan, each event synced) and ``contain_now`` (claim, cut the access key,
end its sessions and grants, quarantine the KMS key, probe each from fresh sessions, three times).  The reference makes
the bare calls: deactivate the access key, put the key policy, one refused call with the old credential.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench._aws_victims import bare_calls, configure, p95, victim
from flows.engine import contain_now
from flows.intake import ingest
from flows.wiring import Wiring
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.record import EventKind
from simulations.lab.aws_account import LabUser
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

INCIDENTS = 24
LIMIT_SECONDS = 1.0


def run() -> dict[str, Any]:
    """Seconds; ``ours`` is the p95 from trigger to proven, ``reference`` the p95 of the bare calls."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        account = MiniStack.start(processes, Path(folder))
        victims = [victim(account, f"svc-{number}") for number in range(INCIDENTS)]
        others = [victim(account, f"bare-{number}") for number in range(INCIDENTS)]
        config = configure(Path(folder), account, victims)
        first, proven, bare = [], [], []
        with Wiring.from_file(config) as wiring:
            for (user, _), other in zip(victims, others, strict=True):
                bare.append(bare_calls(account, *other))
                called, ended = _respond(wiring, user)
                first.append(called)
                proven.append(ended)
        account.close()
    ours, reference = p95(proven), p95(bare)
    return {
        "name": "trigger → proven dead, p95 (AWS credential and key)",
        "ours": ours,
        "reference": reference,
        "ratio": reference / ours,
        "target": 0.0,
        "limit": LIMIT_SECONDS,
        "unit": "s",
        "incidents": INCIDENTS,
        "proven_p50": statistics.median(proven),
        "proven_p95": ours,
        "first_call_p50": statistics.median(first),
        "first_call_p95": p95(first),
        "bare_p50": statistics.median(bare),
        "bare_p95": reference,
    }


def _respond(wiring: Wiring, user: LabUser) -> tuple[float, float]:
    """Seconds from the signal to the first containing call's answer, and to the milestone ``contained``."""
    signal = Signal(
        source="bench",
        external_id=user.access_key_id,
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="access-key-id", value=user.access_key_id),),
        summary="An access key was found in a public repository.",
        observed_at=datetime.now(UTC),
        confidence=0.95,
    )
    started, begun = time.perf_counter(), datetime.now(UTC)
    incident_id = ingest(wiring, signal)
    if incident_id is None:
        raise RuntimeError("the signal matched nothing")
    incident = contain_now(wiring, incident_id)
    elapsed = time.perf_counter() - started
    if incident.contained_at is None:
        raise RuntimeError(f"not contained: {incident.not_contained}")
    events = wiring.records.events(incident_id)
    receipts = [event.body["receipt"] for event in events if event.kind is EventKind.STEP_FINISHED]
    accepted = [datetime.fromisoformat(str(each["accepted_at"])) for each in receipts if isinstance(each, dict)]
    return (min(accepted) - begun).total_seconds(), elapsed


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
