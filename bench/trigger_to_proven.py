"""From a detector's signal to proven containment, against the bare API calls, on the lab's AWS, interleaved.

Ours is ``ingest`` (match, open, read facts, plan, each event synced) and ``contain_now`` (claim, cut the access key,
end its sessions and grants, quarantine the KMS key, probe each from fresh sessions, three times).  The reference makes
the bare calls: deactivate the access key, put the key policy, one refused call with the old credential.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from flows.engine import contain_now
from flows.intake import ingest
from flows.wiring import Wiring
from integrations.secrets import read_secret
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.record import EventKind
from simulations.lab.aws_account import RECOVERY_POLICY, AwsAccount, LabUser, allow
from simulations.lab.ministack import MiniStack
from simulations.lab.processes import Processes

INCIDENTS = 24
LIMIT_SECONDS = 1.0
_USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")


def run() -> dict[str, Any]:
    """Seconds; ``ours`` is the p95 from trigger to proven, ``reference`` the p95 of the bare calls."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        account = MiniStack.start(processes, Path(folder))
        victims = [_victim(account, f"svc-{number}") for number in range(INCIDENTS)]
        others = [_victim(account, f"bare-{number}") for number in range(INCIDENTS)]
        config = _configure(Path(folder), account, victims)
        first, proven, bare = [], [], []
        with Wiring.from_file(config) as wiring:
            for (user, _), other in zip(victims, others, strict=True):
                bare.append(_bare(account, *other))
                called, ended = _respond(wiring, user)
                first.append(called)
                proven.append(ended)
        account.close()
    ours, reference = _p95(proven), _p95(bare)
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
        "first_call_p95": _p95(first),
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


def _bare(account: AwsAccount, user: LabUser, key: str) -> float:
    iam, kms = account.client("iam"), account.client("kms")
    secret = json.loads(read_secret(user.credential))
    victim = boto3.session.Session().client(
        "kms",
        endpoint_url=account.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=secret["access_key_id"],
        aws_secret_access_key=secret["secret_access_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    blob = victim.encrypt(KeyId=key, Plaintext=b"probe")["CiphertextBlob"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    started = time.perf_counter()
    iam.update_access_key(UserName=user.name, AccessKeyId=user.access_key_id, Status="Inactive")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    try:
        victim.decrypt(KeyId=key, CiphertextBlob=blob)
    except ClientError:
        return time.perf_counter() - started
    raise RuntimeError("the access key still works")


def _victim(account: AwsAccount, name: str) -> tuple[LabUser, str]:
    return account.create_user(name, allow(*_USE)), account.create_key(name)


def _configure(root: Path, account: AwsAccount, victims: list[tuple[LabUser, str]]) -> Path:
    recovery = account.create_user("recovery", RECOVERY_POLICY)
    services = root / "services"
    services.mkdir()
    keys, credentials, consumers = [], [], []
    for user, key in victims:
        ref, secret = f"aws-kms:cloud/{key}", root / f"{user.name}.old.json"
        shutil.copy(user.credential.removeprefix("file:"), secret)
        keys.append({"ref": ref})
        credentials.append(
            {
                "ref": f"aws-iam:cloud/{user.name}/{user.access_key_id}",
                "consumer": user.name,
                "may_use": [ref],
                "secret": f"file:{secret}",
                "fingerprints": [{"kind": "access-key-id", "value": user.access_key_id}],
            }
        )
        consumers.append({"name": user.name, "channel": "services", "credential_file": f"file:{root / user.name}"})
    estate = {"version": 1, "keys": keys, "credentials": credentials, "consumers": consumers}
    (root / "estate.yaml").write_text(yaml.safe_dump(estate), encoding="utf-8")
    settings = {
        "state": "state",
        "estate": "estate.yaml",
        "connections": {
            "cloud": account.connection_options(recovery.credential, recovery.arn),
            "services": {"type": "config-dir", "root": str(services)},
        },
    }
    config = root / "keyquell.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
