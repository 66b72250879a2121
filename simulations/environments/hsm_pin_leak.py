"""The user PIN of a network HSM whose RSA key wraps the data keys of a folder."""

from __future__ import annotations

from pathlib import Path

from integrations.secrets import read_secret
from playbooks.estate import ConsumerEntry, CredentialEntry, DatasetEntry, Estate, KeyEntry
from playbooks.refs import CredentialRef, DatasetRef, KeyRef
from simulations.environments import Environment, Site, hsm
from simulations.environments.desk import Desk, seed_datasets
from simulations.environments.findings import pin_finding
from simulations.journals import AdversaryConfig, Loot, WorkloadConfig, WorkloadDataset
from simulations.lab.softhsm import NetworkHsm

SERVICE, TOKEN, KEY, FOLDER, STOLEN_OBJECTS = "svc-docs", "kek-hsm", "kek", "contracts", 12


def build(site: Site) -> Environment:
    """Bring the HSM up, seed the folder and write every configuration."""
    desk = Desk.lay_out(site)
    network = hsm.start(desk, TOKEN)
    network.hsm.generate_rsa(KEY)
    dataset = WorkloadDataset(
        ref=DatasetRef.parse(f"files:docs/{FOLDER}"),
        envelope="esdk",
        key=KeyRef.parse(f"pkcs11:token={TOKEN};object={KEY}"),
        objects=site.scenario.datasets[FOLDER],
    )
    connections = {
        TOKEN: hsm.recovery_options(desk, network),
        "docs": desk.documents,
        "services": desk.channel,
    }
    settings = desk.consumer(SERVICE, {f"key.{dataset.ref}": str(dataset.key)})
    seed_datasets(site, (dataset,), connections)
    pin = read_secret(network.hsm.pin)
    return desk.environment(
        config=desk.write_settings(
            connections=connections,
            detectors=[desk.trufflehog()],
            estate=_estate(desk, network, dataset, pin),
        ),
        adversary=_adversary(desk, network),
        workload=_workload(desk, network, dataset, settings),
        loot=Loot(pin=pin, targets=tuple(desk.stolen_files(FOLDER, STOLEN_OBJECTS))),
        connections=connections,
        datasets=(dataset,),
        consumer_settings=settings,
        finding=pin_finding(pin),
        finding_file=desk.findings / "trufflehog.json",
    )


def _estate(desk: Desk, network: NetworkHsm, dataset: WorkloadDataset, pin: str) -> Estate:
    return Estate(
        keys=(KeyEntry(ref=dataset.key, owner="platform"),),
        datasets=(
            DatasetEntry(
                ref=dataset.ref, key=dataset.key, envelope=dataset.envelope, owner="legal", backup_retention_days=35
            ),
        ),
        credentials=(
            CredentialEntry(
                ref=CredentialRef.parse(f"pkcs11-pin:{TOKEN}/user"),
                consumer=SERVICE,
                may_use=(dataset.key,),
                secret=desk.secret_copy(desk.response, "hsm.old-pin", network.hsm.pin),
                fingerprints=(desk.keyed_fingerprint(pin),),
            ),
        ),
        consumers=(
            ConsumerEntry(
                name=SERVICE,
                owner="legal",
                channel="services",
                uses=(dataset.key,),
                datasets=(dataset.ref,),
                credential_file=f"file:{desk.service / 'hsm.pin'}",
            ),
        ),
        contacts={"owners": "legal", "responders": "on-call", "managers": "ciso"},
    )


def _adversary(desk: Desk, network: NetworkHsm) -> AdversaryConfig:
    return desk.attack(
        module=str(network.connection_options()["module"]),
        environment=network.environment,
        token=TOKEN,
        key_label=KEY,
    )


def _workload(desk: Desk, network: NetworkHsm, dataset: WorkloadDataset, settings: Path) -> WorkloadConfig:
    credential_file = desk.service / "hsm.pin"
    desk.secret_copy(desk.service, "hsm.pin", network.hsm.pin)
    return desk.workload(
        "data-service",
        SERVICE,
        settings=settings,
        credential_file=credential_file,
        connections={TOKEN: hsm.service_options(network, credential_file), "docs": desk.documents},
        datasets=(dataset,),
    )
