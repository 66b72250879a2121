"""Access keys to leak on the lab's AWS, the settings that answer for them, and the bare calls to compare with."""

from __future__ import annotations

import json
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import ClientError

from integrations.secrets import read_secret
from simulations.lab.aws_account import RECOVERY_POLICY, AwsAccount, LabUser, allow

_USE = ("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey")
_MOVES = ("kms:DisableKey", "kms:PutKeyPolicy", "kms:CreateKey", "kms:RotateKeyOnDemand", "kms:Sign")
_DENY_ALL = json.dumps({**allow("*"), "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})


def victim(account: AwsAccount, name: str) -> tuple[LabUser, str]:
    """A user with an access key, and the id of a key that it may use."""
    return account.create_user(name, allow(*_USE)), account.create_key(name)


def bare_calls(account: AwsAccount, user: LabUser, key: str) -> float:
    """Seconds to deactivate the access key, put the key policy, and see one call refused."""
    iam, kms = account.client("iam"), account.client("kms")
    victim = _client(account, "kms", json.loads(read_secret(user.credential)))
    blob = victim.encrypt(KeyId=key, Plaintext=b"probe")["CiphertextBlob"]
    policy = json.loads(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    started = time.perf_counter()
    iam.update_access_key(UserName=user.name, AccessKeyId=user.access_key_id, Status="Inactive")
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
    if _refused(lambda: victim.decrypt(KeyId=key, CiphertextBlob=blob)):
        return time.perf_counter() - started
    raise RuntimeError("the access key still works")


def same_calls(account: AwsAccount, user: LabUser, key: str) -> Callable[[], float]:
    """Every call that one of our incidents makes, bare, in one row: nothing waits, decides, claims or is written down.

    The clients are made beforehand.  The value makes the calls and gives the seconds that they took.
    """
    calls = _Calls.open(account, user, key)

    def run() -> float:
        started = time.perf_counter()
        calls.read()
        calls.contain()
        for _ in range(3):
            calls.probe()
        return time.perf_counter() - started

    return run


@dataclass(frozen=True, slots=True)
class _Calls:
    """The bare calls about one user and one key.

    ``iam`` and ``kms`` are the responder's clients, ``sts`` and ``theirs`` the user's, ``session`` one that the user
    made before; ``blob`` was encrypted under the key while the user could.
    """

    user: LabUser
    key: str
    iam: Any
    kms: Any
    sts: Any
    theirs: Any
    session: Any
    blob: bytes

    @classmethod
    def open(cls, account: AwsAccount, user: LabUser, key: str) -> _Calls:
        secret = json.loads(read_secret(user.credential))
        sts, theirs = (_client(account, service, secret) for service in ("sts", "kms"))
        made = sts.get_session_token()["Credentials"]
        minted = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
        session = _client(account, "kms", {**minted, "session_token": made["SessionToken"]})
        blob = theirs.encrypt(KeyId=key, Plaintext=b"probe")["CiphertextBlob"]
        return cls(user, key, account.client("iam"), account.client("kms"), sts, theirs, session, blob)

    def read(self) -> None:
        """What is asked before a plan is made, and the session that a canary needs."""
        arn = self.kms.describe_key(KeyId=self.key)["KeyMetadata"]["Arn"]
        self.kms.list_key_rotations(KeyId=self.key)
        self.kms.list_aliases(KeyId=self.key)
        self.iam.simulate_principal_policy(PolicySourceArn=self.user.arn, ActionNames=_MOVES, ResourceArns=[arn])
        _refused(lambda: self.kms.encrypt(KeyId=self.key, Plaintext=b"dry run", DryRun=True))
        self.iam.list_access_keys(UserName=self.user.name)
        self.iam.get_user(UserName=self.user.name)
        self.iam.list_roles()
        self.sts.get_session_token()

    def contain(self) -> None:
        """Cut the access key, quarantine the key, end the sessions."""
        user = self.user.name
        self.iam.update_access_key(UserName=user, AccessKeyId=self.user.access_key_id, Status="Inactive")
        blob = self.kms.encrypt(KeyId=self.key, Plaintext=b"probe")["CiphertextBlob"]
        self.kms.tag_resource(KeyId=self.key, Tags=[{"TagKey": "probe", "TagValue": blob.hex()[:200]}])
        policy = self.kms.get_key_policy(KeyId=self.key, PolicyName="default")["Policy"]
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=policy)
        self.kms.list_grants(KeyId=self.key)
        self.iam.list_roles()
        self.iam.put_user_policy(UserName=user, PolicyName="ended", PolicyDocument=_DENY_ALL)

    def probe(self) -> None:
        """Try everything that was cut.  Raises RuntimeError when something still works."""
        dead = [
            _refused(self.sts.get_caller_identity),
            _refused(self.theirs.list_aliases),
            _refused(self.session.list_aliases),
            _refused(lambda: self.theirs.decrypt(KeyId=self.key, CiphertextBlob=self.blob)),
        ]
        if not all(dead):
            raise RuntimeError("the access key still works")


def _client(account: AwsAccount, service: str, secret: Mapping[str, str]) -> Any:
    session: Any = boto3.session.Session()  # its overloads want the service as a literal
    return session.client(
        service,
        endpoint_url=account.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=secret["access_key_id"],
        aws_secret_access_key=secret["secret_access_key"],
        aws_session_token=secret.get("session_token"),
        config=Config(retries={"total_max_attempts": 1}),
    )


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except ClientError:
        return True
    return False


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
