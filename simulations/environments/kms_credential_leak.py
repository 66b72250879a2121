"""An IAM access key that may decrypt under the KMS key of a folder and a column; ``kms: moto`` is the lying backend."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from integrations.secrets import read_secret
from playbooks.errors import InvalidInput
from playbooks.estate import ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.exposures import Fingerprint
from playbooks.refs import CredentialRef, DatasetRef, KeyRef
from simulations.environments import Environment, Site, table
from simulations.environments.desk import Desk, in_parallel, seed_datasets
from simulations.environments.findings import aws_finding
from simulations.journals import Loot, WorkloadConfig, WorkloadDataset
from simulations.lab.aws_account import RECOVERY_POLICY, REGION, AwsAccount, LabUser, allow
from simulations.lab.ministack import MiniStack
from simulations.lab.moto import Moto
from simulations.lab.postgres import PostgresServer
from simulations.techniques.stolen import copy_object

SERVICE, CLOUD, STOLEN_OBJECTS = "svc-app", "cloud", 12
_SERVERS: dict[str, type[AwsAccount]] = {"ministack": MiniStack, "moto": Moto}


def build(site: Site) -> Environment:
    """Bring the cloud and the database up, seed both datasets and write every configuration."""
    desk = Desk.lay_out(site)
    account, database = in_parallel(lambda: _start_cloud(site), lambda: table.start(site))
    recovery = account.create_user("keyquell-recovery", RECOVERY_POLICY)
    service = account.create_user(SERVICE, allow("kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "sts:AssumeRole"))
    role = account.create_role("data-reader", service.arn, allow("kms:Decrypt"))
    key = KeyRef.parse(f"aws-kms:{CLOUD}/{account.create_key('shop data', alias='shop')}")
    datasets = _datasets(site, key)
    connections = {
        CLOUD: account.connection_options(
            desk.secret_copy(desk.response, "recovery.aws.json", recovery.credential), recovery.arn
        ),
        table.CONNECTION: table.options(database.admin_dsn_file),
        "docs": desk.documents,
        "services": desk.channel,
    }
    settings = desk.consumer(SERVICE, {f"key.{dataset.ref}": str(key) for dataset in datasets})
    seed_datasets(site, datasets, connections)
    config = desk.write_settings(
        connections=connections, detectors=_detectors(desk, service), estate=_estate(desk, service, key, datasets)
    )
    loot = _loot(desk, service, connections[table.CONNECTION])
    finding = aws_finding(loot.access_key_id, loot.secret_access_key) if _scanned(site) else ""
    environment = desk.environment(
        config=config,
        adversary=desk.attack(endpoint_url=account.endpoint_url, region=REGION, role_arn=role),
        workload=_workload(desk, account, database, service, datasets, settings),
        loot=loot,
        connections=connections,
        datasets=datasets,
        consumer_settings=settings,
        finding=finding,
        finding_file=desk.findings / "trufflehog.json" if finding else None,
    )
    account.close()
    return environment


def _start_cloud(site: Site) -> AwsAccount:
    kind = site.scenario.environment.backends.get("kms", "ministack")
    if kind not in _SERVERS:
        raise InvalidInput(f"there is no KMS server {kind!r}.", hint=f"Known: {', '.join(_SERVERS)}.")
    folder = site.directory / "cloud"
    folder.mkdir(mode=0o700)
    account: AwsAccount = _SERVERS[kind].start(site.processes, folder)  # type: ignore[attr-defined]  # both have it
    return account


def _datasets(site: Site, key: KeyRef) -> tuple[WorkloadDataset, ...]:
    sizes = site.scenario.datasets
    return (
        WorkloadDataset(
            ref=DatasetRef.parse("files:docs/invoices"), envelope="esdk", key=key, objects=sizes["invoices"]
        ),
        WorkloadDataset(ref=DatasetRef.parse(table.DATASET), envelope="tink", key=key, objects=sizes["cards"]),
    )


def _estate(desk: Desk, service: LabUser, key: KeyRef, datasets: tuple[WorkloadDataset, ...]) -> Estate:
    refs = tuple(dataset.ref for dataset in datasets)
    return Estate(
        keys=(KeyEntry(ref=key, owner="platform"),),
        datasets=tuple(
            DatasetEntry(ref=each.ref, key=key, envelope=each.envelope, owner="shop", backup_retention_days=21)
            for each in datasets
        ),
        credentials=(
            CredentialEntry(
                ref=CredentialRef.parse(f"aws-iam:{CLOUD}/{SERVICE}/{service.access_key_id}"),
                consumer=SERVICE,
                may_use=(key,),
                secret=desk.secret_copy(desk.response, "svc-app.old.aws.json", service.credential),
                fingerprints=(Fingerprint(kind="access-key-id", value=service.access_key_id),),
                approved_agents=("Boto3/",),
            ),
        ),
        consumers=(
            ConsumerEntry(
                name=SERVICE,
                owner="shop",
                channel="services",
                uses=(key,),
                datasets=refs,
                credential_file=f"file:{desk.service / 'svc-app.aws.json'}",
            ),
        ),
        contacts={"owners": "shop", "responders": "on-call", "managers": "ciso"},
    )


def _detectors(desk: Desk, service: LabUser) -> list[dict[str, Any]]:
    watching = desk.site.scenario.detection.detectors
    lying = desk.site.scenario.environment.backends.get("kms") == "moto"
    found: list[dict[str, Any]] = []
    if "cloudtrail" in watching and not lying:  # moto 5.2 has no LookupEvents
        found.append(
            {
                "type": "cloudtrail",
                "name": "trail",
                "connection": CLOUD,
                "approved": {service.access_key_id: ["Boto3/"]},
            }
        )
    if "trufflehog" in watching:
        found.append(desk.trufflehog())
    return found


def _scanned(site: Site) -> bool:
    return "trufflehog" in site.scenario.detection.detectors


def _workload(
    desk: Desk,
    account: AwsAccount,
    database: PostgresServer,
    service: LabUser,
    datasets: tuple[WorkloadDataset, ...],
    settings: Path,
) -> WorkloadConfig:
    credential = desk.secret_copy(desk.service, "svc-app.aws.json", service.credential)
    login = table.create_login(database, "svc_app", desk.service, privileges="SELECT INSERT UPDATE")
    return desk.workload(
        "data-service",
        SERVICE,
        settings=settings,
        credential_file=desk.service / "svc-app.aws.json",
        connections={
            CLOUD: account.connection_options(credential, service.arn),
            table.CONNECTION: table.options(login),
            "docs": desk.documents,
        },
        datasets=datasets,
    )


def _loot(desk: Desk, service: LabUser, shop: dict[str, Any]) -> Loot:
    """The leaked access key, and the wrapped data keys of a stolen backup."""
    secret = json.loads(read_secret(service.credential))
    targets = desk.stolen_files("invoices", STOLEN_OBJECTS)
    targets += [
        copy_object(f"{table.DATASET}/{row}", value, aad=table.associated_data(row))
        for row, value in table.stored_values(shop, STOLEN_OBJECTS)
    ]
    return Loot(
        access_key_id=secret["access_key_id"], secret_access_key=secret["secret_access_key"], targets=tuple(targets)
    )
