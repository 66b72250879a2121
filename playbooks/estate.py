"""The inventory: what keys exist, what hangs on them, and who uses it.

An estate is one YAML or JSON document (``keyquell inventory import FILE``).  Edges are implied by the fields: a key
*protects* datasets and *signs* through certificates, a credential *authenticates* a consumer, a consumer *uses* keys
and datasets.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from playbooks.exposures import Fingerprint
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KeyEntry(_Entry):
    """A key-encryption key or a signing key."""

    ref: KeyRef
    purpose: Literal["encrypt", "sign"] = "encrypt"
    owner: str = ""
    wrapped_by: KeyRef | None = Field(default=None, description="The key that wraps this one, if any.")
    protecting_since: date | None = Field(default=None, description="Where its backend does not say it.")
    cryptoperiod_days: int | None = Field(default=None, ge=1, description="How long it may protect; None: as usual.")
    fingerprints: tuple[Fingerprint, ...] = ()


class DatasetEntry(_Entry):
    """Encrypted data at rest."""

    ref: DatasetRef
    key: KeyRef
    envelope: Literal["esdk", "tink"]
    owner: str = ""
    classification: str = ""
    backup_retention_days: int | None = Field(default=None, ge=0, description="None: not known.")
    readers: tuple[CredentialRef, ...] = Field(default=(), description="Credentials that can read the ciphertext.")


class CredentialEntry(_Entry):
    """Something that authenticates a consumer."""

    ref: CredentialRef
    consumer: str
    may_use: tuple[KeyRef, ...] = Field(default=(), description="Keys that it can use.")
    secret: str = Field(
        default="", description="Reference (file:… or env:…) to the secret, for probes; never the secret."
    )
    fingerprints: tuple[Fingerprint, ...] = ()
    approved_agents: tuple[str, ...] = Field(default=(), description="User agents or sources seen in normal use.")


class CertificateEntry(_Entry):
    """A certificate over the public half of a signing key."""

    ref: CertificateRef
    key: KeyRef
    subject: str = ""


class ConsumerEntry(_Entry):
    """A service that uses keys, data and credentials.

    ``channel`` is the connection by which it is told of new keys and credentials; "" means by hand.
    """

    name: str
    owner: str = ""
    channel: str = ""
    uses: tuple[KeyRef, ...] = ()
    datasets: tuple[DatasetRef, ...] = ()
    credential_file: str = Field(default="", description="file: reference where its credential is delivered.")


class Estate(_Entry):
    """The whole inventory; references between entries are checked on load."""

    version: Literal[1] = 1
    keys: tuple[KeyEntry, ...] = ()
    datasets: tuple[DatasetEntry, ...] = ()
    credentials: tuple[CredentialEntry, ...] = ()
    certificates: tuple[CertificateEntry, ...] = ()
    consumers: tuple[ConsumerEntry, ...] = ()
    contacts: dict[str, str] = Field(default_factory=dict, description="Audience → who; for notify steps.")

    @model_validator(mode="after")
    def _references_resolve(self) -> Estate:
        keys = {entry.ref for entry in self.keys}
        consumers = {entry.name for entry in self.consumers}
        for dataset in self.datasets:
            if dataset.key not in keys:
                raise ValueError(f"datasets: {dataset.ref} is under {dataset.key}, which keys does not list")
        for certificate in self.certificates:
            if certificate.key not in keys:
                raise ValueError(
                    f"certificates: {certificate.ref} certifies {certificate.key}, which keys does not list"
                )
        for credential in self.credentials:
            if credential.consumer not in consumers:
                raise ValueError(
                    f"credentials: {credential.ref} belongs to {credential.consumer!r}, which consumers does not list"
                )
        return self
