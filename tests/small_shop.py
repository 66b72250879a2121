"""A small estate on real servers, as a user would configure it: one IAM key, one KMS key, one folder, one service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import yaml

from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.refs import DatasetRef, KeyRef
from simulations.lab.aws_account import RECOVERY_POLICY, AwsAccount, LabUser, allow

SERVICE, FOLDER, FILES = "svc-app", "invoices", 3
DATASET = f"files:docs/{FOLDER}"


@dataclass(frozen=True)
class Shop:
    """The configuration of one shop and what a test needs to look behind the scenes."""

    account: AwsAccount
    user: LabUser
    key: str
    config: Path

    @property
    def credential(self) -> str:
        """URI of the service's access key."""
        return f"aws-iam:cloud/{self.user.name}/{self.user.access_key_id}"

    @property
    def root(self) -> Path:
        """The folder of everything."""
        return self.config.parent

    @property
    def estate(self) -> Path:
        """The inventory's file."""
        return self.root / "estate.yaml"

    def key_state(self) -> str:
        """What AWS says of the key, asked as root."""
        key_id = self.key.rpartition("/")[2]
        return str(self.account.client("kms").describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"])

    def credential_active(self) -> bool:
        """Is the service's access key active, asked as root?"""
        listed = self.account.client("iam").list_access_keys(UserName=self.user.name)["AccessKeyMetadata"]
        return {each["AccessKeyId"]: each["Status"] for each in listed}[self.user.access_key_id] == "Active"

    @contextmanager
    def wiring(self) -> Iterator[Wiring]:
        """The composition root on these settings."""
        with Wiring.from_file(self.config) as wiring:
            yield wiring


def open_shop(account: AwsAccount, recovery: LabUser, root: Path, name: str) -> Shop:
    """Make a shop with a user, key and data of its own in a running account."""
    root.mkdir(parents=True)
    for folder in ("data", f"services/{SERVICE}", "secrets"):
        (root / folder).mkdir(parents=True)
    user = account.create_user(f"{SERVICE}-{name}", allow("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"))
    shutil.copy(user.credential.removeprefix("file:"), root / "secrets" / "svc.old.json")
    key = f"aws-kms:cloud/{account.create_key(name)}"
    shop = Shop(account, user, key, root / "keyquell.yaml")
    settings = {
        "state": "state",
        "estate": "estate.yaml",
        "connections": {
            "cloud": account.connection_options(recovery.credential, recovery.arn),
            "docs": {"type": "files", "root": str(root / "data")},
            "services": {"type": "config-dir", "root": str(root / "services")},
        },
        "messengers": [{"type": "file", "root": str(root / "outbox")}],
        "policy": {"probe_times": 2, "probe_window_seconds": 0.05, "containment_deadline_seconds": 3.0},
    }
    shop.config.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    shop.estate.write_text(yaml.safe_dump(_estate(shop), sort_keys=False), encoding="utf-8")
    _seed(shop)
    health = {"at": datetime.now(UTC).isoformat(), "ok": True, "detail": ""}
    (root / "services" / SERVICE / "health.json").write_text(json.dumps(health), encoding="utf-8")
    return shop


def _estate(shop: Shop) -> dict[str, object]:
    return {
        "version": 1,
        "keys": [{"ref": shop.key, "owner": "platform"}],
        "datasets": [
            {"ref": DATASET, "key": shop.key, "envelope": "esdk", "owner": "shop", "backup_retention_days": 30}
        ],
        "credentials": [
            {
                "ref": shop.credential,
                "consumer": SERVICE,
                "may_use": [shop.key],
                "secret": f"file:{shop.root / 'secrets' / 'svc.old.json'}",
                "fingerprints": [{"kind": "access-key-id", "value": shop.user.access_key_id}],
            }
        ],
        "consumers": [
            {
                "name": SERVICE,
                "owner": "shop",
                "channel": "services",
                "uses": [shop.key],
                "datasets": [DATASET],
                "credential_file": f"file:{shop.root / 'secrets' / 'svc.json'}",
            }
        ],
        "contacts": {"responders": "on-call", "owners": "shop"},
    }


def _seed(shop: Shop) -> None:
    with Wiring.open(load_settings(shop.config)) as wiring:
        dataset, key = DatasetRef.parse(DATASET), KeyRef.parse(shop.key)
        for number in range(FILES):
            store = wiring.data(dataset)
            store.write(dataset, f"invoice-{number}.txt", b"two lattes", key=key, keys=wiring.keys)


def recovery_of(account: AwsAccount) -> LabUser:
    """The identity with which the response works."""
    return account.create_user("keyquell-recovery", RECOVERY_POLICY)
