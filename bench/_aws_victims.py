"""Access keys to leak on the lab's AWS, the settings that answer for them, and the bare calls to compare with."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from integrations.secrets import read_secret
from simulations.lab.aws_account import RECOVERY_POLICY, AwsAccount, LabUser, allow

_USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")


def victim(account: AwsAccount, name: str) -> tuple[LabUser, str]:
    """A user with an access key, and the id of a key that it may use."""
    return account.create_user(name, allow(*_USE)), account.create_key(name)


def bare_calls(account: AwsAccount, user: LabUser, key: str) -> float:
    """Seconds to deactivate the access key, put the key policy, and see one call refused."""
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


def configure(root: Path, account: AwsAccount, victims: list[tuple[LabUser, str]], **more: Any) -> Path:
    """Write settings and an estate for these victims; ``more`` are further sections.  Returns the settings' path."""
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
        **more,
    }
    config = root / "keyquell.yaml"
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return config


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]
