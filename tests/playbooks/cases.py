"""The four estates of the scenarios, small, and facts as their backends give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.planner import make_plan
from playbooks.plans import Plan
from playbooks.playbook import catalog, choose
from playbooks.refs import KeyRef

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

CAPABILITIES = {
    "aws-kms": frozenset(Capability) - {Capability.STOP_ENCRYPTION, Capability.DESTROY, Capability.SIGN},
    "openbao": frozenset(Capability) - {Capability.SCHEDULE_DELETION, Capability.REVOKE_GRANTS, Capability.SIGN},
    "pkcs11": frozenset({
        Capability.DISABLE, Capability.QUARANTINE, Capability.CREATE, Capability.WRAP, Capability.SIGN,
        Capability.DESTROY,
    }),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An incident to plan: an estate, what is exposed, and what the backends permit."""

    estate: Estate
    exposures: tuple[Exposure, ...]
    facts: Mapping[KeyRef, KeyFacts]

    def plan(self) -> Plan:
        """The plan by the playbook that fits."""
        return make_plan(
            incident_id="KQ-1",
            exposures=self.exposures,
            estate=self.estate,
            facts=self.facts,
            playbook=choose(catalog(), self.exposures),
        )


def facts_of(key: KeyRef, *, purpose: str = "encrypt", without: frozenset[Capability] = frozenset()) -> KeyFacts:
    """Facts of a healthy key of its backend, less some capabilities."""
    can = CAPABILITIES[key.scheme] - without
    return KeyFacts(
        ref=key,
        algorithm="AES-256-GCM" if purpose == "encrypt" else "RSA-3072",
        purpose=purpose,
        state=KeyState.ACTIVE,
        version="1",
        containment_unit="key",
        capabilities=can,
        unavailable={each: f"no {each.value} here" for each in sorted(set(Capability) - can)},
        deletion_days=(7, 30) if Capability.SCHEDULE_DELETION in can else None,
        read_at=NOW,
    )


KMS = Estate.model_validate({
    "keys": [{"ref": "aws-kms:prod/k1", "owner": "shop"}],
    "datasets": [
        {"ref": "files:docs/invoices", "key": "aws-kms:prod/k1", "envelope": "esdk", "owner": "shop",
         "backup_retention_days": 14, "readers": ["aws-iam:prod/svc-app/AKIAEXAMPLE1"]},
        {"ref": "postgres:shop/public.orders.card", "key": "aws-kms:prod/k1", "envelope": "tink",
         "readers": ["postgres-role:shop/app"]},
    ],
    "credentials": [
        {"ref": "aws-iam:prod/svc-app/AKIAEXAMPLE1", "consumer": "app", "may_use": ["aws-kms:prod/k1"],
         "secret": "file:/run/leaked.json", "fingerprints": [{"kind": "secret-hmac", "value": "ab" * 32}]},
        {"ref": "postgres-role:shop/app", "consumer": "app", "secret": "file:/run/app-db"},
    ],
    "consumers": [{"name": "app", "owner": "shop", "channel": "config", "uses": ["aws-kms:prod/k1"],
                   "datasets": ["files:docs/invoices"], "credential_file": "file:/srv/app/credential"}],
    "contacts": {"responders": "on call", "owners": "shop"},
})  # fmt: skip

PIN = Estate.model_validate({
    "keys": [{"ref": "pkcs11:token=kek-hsm;object=kek", "owner": "legal"}],
    "datasets": [{"ref": "files:docs/contracts", "key": "pkcs11:token=kek-hsm;object=kek", "envelope": "esdk",
                  "owner": "legal", "backup_retention_days": 0, "readers": ["pkcs11-pin:kek-hsm/user"]}],
    "credentials": [{"ref": "pkcs11-pin:kek-hsm/user", "consumer": "vault",
                     "may_use": ["pkcs11:token=kek-hsm;object=kek"], "secret": "file:/run/leaked-pin"}],
    "consumers": [{"name": "vault", "owner": "legal", "channel": "config",
                   "uses": ["pkcs11:token=kek-hsm;object=kek"], "credential_file": "file:/srv/vault/pin"}],
    "contacts": {"responders": "on call", "owners": "legal"},
})  # fmt: skip

TRANSIT = Estate.model_validate({
    "keys": [{"ref": "openbao:vault/transit/orders", "owner": "shop"}],
    "datasets": [{"ref": "postgres:shop/public.orders.card", "key": "openbao:vault/transit/orders",
                  "envelope": "tink", "owner": "shop", "backup_retention_days": 0,
                  "readers": ["postgres-role:shop/orders", "postgres-role:shop/report"]}],
    "credentials": [
        {"ref": "openbao-token:vault/acc1", "consumer": "orders", "may_use": ["openbao:vault/transit/orders"],
         "secret": "file:/run/leaked-token"},
        {"ref": "postgres-role:shop/orders", "consumer": "orders", "secret": "file:/run/leaked-db"},
        {"ref": "postgres-role:shop/report", "consumer": "report", "secret": "file:/run/report-db"},
    ],
    "consumers": [
        {"name": "orders", "owner": "shop", "channel": "config", "uses": ["openbao:vault/transit/orders"],
         "datasets": ["postgres:shop/public.orders.card"], "credential_file": "file:/srv/orders/credential"},
        {"name": "report", "owner": "bi", "channel": "config", "datasets": ["postgres:shop/public.orders.card"],
         "credential_file": "file:/srv/report/credential"},
    ],
    "contacts": {"responders": "on call", "owners": "shop", "privacy": "dpo"},
})  # fmt: skip

SIGNING = Estate.model_validate({
    "keys": [{"ref": "pkcs11:token=sign-hsm;object=release", "purpose": "sign", "owner": "release",
              "fingerprints": [{"kind": "spki-sha256", "value": "cd" * 32}]}],
    "certificates": [{"ref": "openbao-pki:vault/pki/7a-2f", "key": "pkcs11:token=sign-hsm;object=release",
                      "subject": "CN=release"}],
    "credentials": [{"ref": "pkcs11-pin:sign-hsm/user", "consumer": "signer",
                     "may_use": ["pkcs11:token=sign-hsm;object=release"], "secret": "file:/run/sign-pin"}],
    "consumers": [
        {"name": "signer", "owner": "release", "channel": "config", "credential_file": "file:/srv/signer/pin"},
        {"name": "relying", "owner": "web", "channel": "config", "uses": ["pkcs11:token=sign-hsm;object=release"]},
    ],
    "contacts": {"responders": "on call", "relying-parties": "web"},
})  # fmt: skip


def _exposure(kind: ExposureKind, target: str, *, via: str = "") -> Exposure:
    return Exposure(kind=kind, target=target, via=via, confidence=0.95)


def _case(estate: Estate, exposure: Exposure) -> Case:
    return Case(estate, (exposure,), {entry.ref: facts_of(entry.ref, purpose=entry.purpose) for entry in estate.keys})


CASES: Mapping[str, Callable[[], Case]] = {
    "kms-credential-leak": lambda: _case(KMS, _exposure(ExposureKind.CREDENTIAL, "aws-iam:prod/svc-app/AKIAEXAMPLE1")),
    "hsm-pin-leak": lambda: _case(PIN, _exposure(ExposureKind.CREDENTIAL, "pkcs11-pin:kek-hsm/user")),
    "transit-key-exported": lambda: _case(
        TRANSIT,
        _exposure(ExposureKind.KEY_MATERIAL, "openbao:vault/transit/orders", via="openbao-token:vault/acc1"),
    ),
    "signing-key-leak": lambda: _case(
        SIGNING, _exposure(ExposureKind.SIGNING_KEY, "pkcs11:token=sign-hsm;object=release")
    ),
}
