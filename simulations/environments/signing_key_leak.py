"""A release signer whose key is in a network HSM, certified by OpenBao's PKI, and a relying party that checks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_pem_x509_certificate

from integrations.registry import open_adapter
from integrations.secrets import read_secret
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, Estate, KeyEntry
from playbooks.exposures import Fingerprint
from playbooks.refs import CertificateRef, CredentialRef, KeyRef
from simulations.bystanders import Bystander, BystanderConfig
from simulations.environments import Environment, Site, hsm, vaults
from simulations.environments.desk import Desk, in_parallel
from simulations.journals import AdversaryConfig, Loot, SigningService, WorkloadConfig
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import free_port
from simulations.lab.softhsm import NetworkHsm

SERVICE, RELYING, TOKEN, KEY, VAULT, MOUNT, ROLE = (
    "release-signer", "update-service", "release-hsm", "release", "vault", "pki", "signing",
)  # fmt: skip
SUBJECT = "releases.shop.example"


@dataclass(frozen=True, slots=True)
class _Certified:
    """The signing key, its certificate, and the SHA-256 of its public key."""

    key: KeyRef
    ref: CertificateRef
    pem: str
    spki_sha256: str


def build(site: Site) -> Environment:
    """Bring HSM and OpenBao up, certify the key and write every configuration."""
    desk = Desk.lay_out(site)
    network, vault = in_parallel(lambda: hsm.start(desk, TOKEN), lambda: _start_vault(site))
    network.hsm.generate_ec(KEY)
    connections: dict[str, dict[str, Any]] = {
        TOKEN: hsm.recovery_options(desk, network),
        VAULT: vaults.recovery_options(desk, vault),
        "services": desk.channel,
    }
    certified = _certify(site, vault, connections[TOKEN])
    settings = desk.consumer(SERVICE, {"signing_key": str(certified.key), "certificate": str(certified.ref)})
    relying = desk.consumer(RELYING, {"certificate": str(certified.ref)})
    signing = _signing(desk, vault, certified, relying)
    config = desk.write_settings(
        connections=connections,
        detectors=[
            {
                "type": "signature-log",
                "name": "signatures",
                "verifications": str(signing.signature_log),
                "ledger": str(settings / "ledger.ndjson"),
                "grace_seconds": 0.5,
            }
        ],
        estate=_estate(desk, network, certified),
    )
    door = Bystander(kind="door", folder=relying, port=signing.relying_party_port)
    return desk.environment(
        config=config,
        adversary=_adversary(desk, network, certified, signing),
        workload=_workload(desk, network, signing, settings),
        loot=Loot(pin=read_secret(network.hsm.pin)),
        connections=connections,
        signer=settings,
        signing_key=certified.key,
        consumer_settings=settings,
        bystanders=desk.write_bystanders(BystanderConfig(bystanders=(door,))),
    )


def _start_vault(site: Site) -> OpenBaoServer:
    server = vaults.start(site)
    server.create_pki(MOUNT, "Shop signing CA", role=ROLE)
    return server


def _certify(site: Site, vault: OpenBaoServer, token: dict[str, Any]) -> _Certified:
    """A certificate over the public half; the request is signed inside the HSM."""
    key = KeyRef.parse(f"pkcs11:token={TOKEN};object={KEY}")
    options = {name: value for name, value in token.items() if name != "type"}
    backend = open_adapter("keys", "pkcs11", name=TOKEN, options=options, clock=site.clock)
    try:
        request = backend.csr_pem(key, f"CN={SUBJECT}")
    finally:
        backend.close()
    issued = vault.call("POST", f"{MOUNT}/sign/{ROLE}", {"csr": request, "common_name": SUBJECT})["data"]
    pem = str(issued["certificate"])
    public = load_pem_x509_certificate(pem.encode()).public_key()
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    serial = str(issued["serial_number"]).replace(":", "-")
    ref = CertificateRef.parse(f"openbao-pki:{VAULT}/{MOUNT}/{serial}")
    return _Certified(key, ref, pem, hashlib.sha256(spki).hexdigest())


def _signing(desk: Desk, vault: OpenBaoServer, certified: _Certified, relying: Path) -> SigningService:
    certificate_file = desk.service / "certificate.pem"
    certificate_file.write_text(certified.pem, encoding="utf-8")
    return SigningService(
        key=certified.key,
        certificate=certified.ref,
        certificate_file=certificate_file,
        relying_party=RELYING,
        relying_party_settings=relying,
        relying_party_port=free_port(),
        signature_log=relying / "signatures.ndjson",
        issuer_url=f"{vault.url}/v1/{MOUNT}",
    )


def _estate(desk: Desk, network: NetworkHsm, certified: _Certified) -> Estate:
    return Estate(
        keys=(
            KeyEntry(
                ref=certified.key,
                purpose="sign",
                owner="release",
                fingerprints=(Fingerprint(kind="spki-sha256", value=certified.spki_sha256),),
            ),
        ),
        certificates=(CertificateEntry(ref=certified.ref, key=certified.key, subject=f"CN={SUBJECT}"),),
        credentials=(
            CredentialEntry(
                ref=CredentialRef.parse(f"pkcs11-pin:{TOKEN}/user"),
                consumer=SERVICE,
                may_use=(certified.key,),
                secret=desk.secret_copy(desk.response, "hsm.old-pin", network.hsm.pin),
            ),
        ),
        consumers=(
            ConsumerEntry(
                name=SERVICE,
                owner="release",
                channel="services",
                uses=(certified.key,),
                credential_file=f"file:{desk.service / 'hsm.pin'}",
            ),
            ConsumerEntry(name=RELYING, owner="platform", channel="services", uses=(certified.key,)),
        ),
        contacts={"owners": "release", "responders": "on-call", "managers": "ciso", "relying-parties": "platform"},
    )


def _workload(desk: Desk, network: NetworkHsm, signing: SigningService, settings: Path) -> WorkloadConfig:
    credential_file = desk.service / "hsm.pin"
    desk.secret_copy(desk.service, "hsm.pin", network.hsm.pin)
    return desk.workload(
        "signing-service",
        SERVICE,
        settings=settings,
        credential_file=credential_file,
        connections={TOKEN: hsm.service_options(network, credential_file)},
        signing=signing,
    )


def _adversary(desk: Desk, network: NetworkHsm, certified: _Certified, signing: SigningService) -> AdversaryConfig:
    return desk.attack(
        module=str(network.connection_options()["module"]),
        environment=network.environment,
        token=TOKEN,
        key_label=KEY,
        relying_party_url=f"http://127.0.0.1:{signing.relying_party_port}/verify",
        claimed_key=str(certified.key),
        key_spki_sha256=certified.spki_sha256,
    )
