"""An exportable transit key, exported with the token of a reporting job that can also read the wrapped data keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from integrations.secrets import read_secret
from playbooks.estate import ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.refs import CredentialRef, DatasetRef, KeyRef
from simulations.bystanders import Bystander, BystanderConfig
from simulations.environments import Environment, Site, table, vaults
from simulations.environments.desk import Desk, in_parallel, seed_datasets
from simulations.journals import AdversaryConfig, Loot, WorkloadConfig, WorkloadDataset
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.postgres import PostgresServer

SERVICE, JOB, VAULT, KEY, READER = "svc-shop", "report-job", "vault", "cards", "report_ro"


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Accessors and token files of the service and the job."""

    service: tuple[str, Path]
    job: tuple[str, Path]


def build(site: Site) -> Environment:
    """Bring OpenBao and the database up, seed the column and write every configuration."""
    desk = Desk.lay_out(site)
    vault, database = in_parallel(lambda: vaults.start(site), lambda: table.start(site))
    tokens = _tokens(vault)
    path = vault.create_transit_key(KEY, exportable=True)
    dataset = WorkloadDataset(
        ref=DatasetRef.parse(table.DATASET),
        envelope="tink",
        key=KeyRef.parse(f"openbao:{VAULT}/{path}"),
        objects=site.scenario.datasets["cards"],
    )
    connections = {
        VAULT: vaults.recovery_options(desk, vault),
        table.CONNECTION: table.options(database.admin_dsn_file),
        "services": desk.channel,
    }
    settings = desk.consumer(SERVICE, {f"key.{dataset.ref}": str(dataset.key)})
    seed_datasets(site, (dataset,), connections)
    reader_dsn = table.create_login(database, READER, desk.service, privileges="SELECT")
    config = desk.write_settings(
        connections=connections,
        detectors=[{"type": "openbao-audit", "name": "audit", "path": str(vault.audit_log), "connection": VAULT}],
        estate=_estate(desk, tokens, dataset),
    )
    return desk.environment(
        config=config,
        adversary=_adversary(desk, vault),
        workload=_workload(desk, vault, database, tokens, dataset, settings),
        loot=Loot(token=read_secret(f"file:{tokens.job[1]}"), dsn=read_secret(f"file:{reader_dsn}")),
        connections=connections,
        datasets=(dataset,),
        consumer_settings=settings,
        bystanders=desk.write_bystanders(BystanderConfig(bystanders=(_job(desk, database),))),
    )


def _tokens(vault: OpenBaoServer) -> _Tokens:
    vault.write_policy(
        "shop",
        {
            "transit/encrypt/*": ["update"],
            "transit/decrypt/*": ["update"],
            "transit/keys/*": ["read"],
        },
    )
    vault.write_policy("report", {f"transit/export/encryption-key/{KEY}": ["read"], f"transit/keys/{KEY}": ["read"]})
    return _Tokens(
        service=vault.create_token("shop", name=SERVICE),
        job=vault.create_token("report", name=JOB),
    )


def _estate(desk: Desk, tokens: _Tokens, dataset: WorkloadDataset) -> Estate:
    login = CredentialRef.parse(f"postgres-role:{table.CONNECTION}/{READER}")
    return Estate(
        keys=(KeyEntry(ref=dataset.key, owner="platform"),),
        datasets=(
            DatasetEntry(
                ref=dataset.ref,
                key=dataset.key,
                envelope=dataset.envelope,
                owner="shop",
                classification="card data",
                backup_retention_days=35,
                readers=(login,),
            ),
        ),
        credentials=_credentials(desk, tokens, dataset.key, login),
        consumers=(
            ConsumerEntry(
                name=SERVICE,
                owner="shop",
                channel="services",
                uses=(dataset.key,),
                datasets=(dataset.ref,),
                credential_file=f"file:{desk.service / 'svc-shop.token'}",
            ),
            ConsumerEntry(
                name=JOB,
                owner="reporting",
                channel="services",
                credential_file=f"file:{desk.service / 'report-job.password'}",
            ),
        ),
        contacts={"owners": "shop", "responders": "on-call", "managers": "ciso"},
    )


def _credentials(desk: Desk, tokens: _Tokens, key: KeyRef, login: CredentialRef) -> tuple[CredentialEntry, ...]:
    """The reader's password, and the tokens of the job and of the service."""
    password = f"file:{desk.service / f'{READER}.password'}"

    def token(consumer: str, accessor: str, file: Path) -> CredentialEntry:
        return CredentialEntry(
            ref=CredentialRef.parse(f"openbao-token:{VAULT}/{accessor}"),
            consumer=consumer,
            may_use=(key,),
            secret=desk.secret_copy(desk.response, f"{consumer}.old-token", f"file:{file}"),
        )

    old_password = desk.secret_copy(desk.response, f"{READER}.old-password", password)
    return (
        CredentialEntry(ref=login, consumer=JOB, secret=old_password),
        token(JOB, *tokens.job),
        token(SERVICE, *tokens.service),
    )


def _job(desk: Desk, database: PostgresServer) -> Bystander:
    desk.secret_copy(desk.service, "report-job.password", f"file:{desk.service / f'{READER}.password'}")
    return Bystander(
        kind="database",
        folder=desk.consumer(JOB),
        role=READER,
        conninfo=database.dsn(READER),
        password_file=desk.service / "report-job.password",
    )


def _workload(
    desk: Desk,
    vault: OpenBaoServer,
    database: PostgresServer,
    tokens: _Tokens,
    dataset: WorkloadDataset,
    settings: Path,
) -> WorkloadConfig:
    token = desk.secret_copy(desk.service, "svc-shop.token", f"file:{tokens.service[1]}")
    login = table.create_login(database, "svc_shop", desk.service, privileges="SELECT INSERT UPDATE")
    return desk.workload(
        "data-service",
        SERVICE,
        settings=settings,
        credential_file=desk.service / "svc-shop.token",
        connections={
            VAULT: {"type": "openbao", "url": vault.url, "token": token},
            table.CONNECTION: table.options(login),
        },
        datasets=(dataset,),
    )


def _adversary(desk: Desk, vault: OpenBaoServer) -> AdversaryConfig:
    return desk.attack(
        url=vault.url,
        transit_key=KEY,
        table=table.TABLE,
        column=table.COLUMN,
        user_agent="curl/8.5.0",
    )
