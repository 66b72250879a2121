"""From a detector's finding to what is exposed: Signal, Fingerprint, Exposure.

Leaked material is fingerprinted at the door and never stored.  High-entropy material (keys, tokens) is hashed with
SHA-256; low-entropy material (PINs, passwords) only ever with a keyed hash whose key stays on this installation.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ExposureKind(StrEnum):
    """What the attacker has; it decides the strategy."""

    CREDENTIAL = "credential"
    POLICY = "policy"
    KEY_MATERIAL = "key-material"
    DATA_KEY = "data-key"
    SIGNING_KEY = "signing-key"
    ISSUING_KEY = "issuing-key"
    ALGORITHM = "algorithm"
    AVAILABILITY = "availability"


FingerprintKind = Literal[
    "access-key-id",
    "token-accessor",
    "secret-hmac",
    "token-sha256",
    "spki-sha256",
    "key-check-value",
    "certificate-serial",
    "certificate-sha256",
    "key-uri",
]


class Fingerprint(BaseModel):
    """Recognises leaked material without holding it.

    ``access-key-id`` and ``token-accessor`` are identifiers in clear (not secret); ``secret-hmac`` is BLAKE3 keyed with
    the installation's own key; ``key-check-value`` is the first three bytes of the zero block's encryption or CMAC;
    ``certificate-serial`` is hexadecimal without separators; ``key-uri`` is a KeyRef named by a trail.  The rest are
    SHA-256 (of a certificate: its DER).  All hexadecimal is in lower case.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FingerprintKind
    value: str


class Interval(BaseModel):
    """When a compromise occurred: last known good … first evidence.  None is honest ignorance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    not_before: datetime | None = None
    not_after: datetime | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Interval:
        if self.not_before and self.not_after and self.not_before > self.not_after:
            raise ValueError("not_before must not be later than not_after")
        return self


class Signal(BaseModel):
    """A detector's finding, normalised and free of secrets.

    ``external_id`` deduplicates within a ``source``.  ``kind`` is what the detector concludes about the exposure; the
    fingerprints say of what.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="Detector name, for example trufflehog.")
    external_id: str
    kind: ExposureKind
    fingerprints: tuple[Fingerprint, ...]
    summary: str = Field(description="One sentence for a person; no secret.")
    observed_at: datetime
    first_seen: datetime | None = None
    confidence: float = Field(ge=0, le=1)
    publicly_leaked: bool = False
    evidence_uri: str = ""


class Exposure(BaseModel):
    """One thing the attacker has, matched to the estate.

    ``target`` is the URI of the exposed key or credential.  ``via`` names the credential through which it got out when
    that is known (the token that exported the key): whatever shares its consumer is suspect too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ExposureKind
    target: str
    via: str = ""
    occurred: Interval = Interval()
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[str, ...] = ()
    wrapped_keys_readable: bool | None = Field(
        default=None, description="Could the attacker read the wrapped data keys?  None (unknown) is treated as yes."
    )
