"""What is true of a key now: its state, its limits and the moves its backend permits."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from playbooks.refs import KeyRef


class KeyState(StrEnum):
    """Life-cycle states of NIST SP 800-57 Part 1 r5 §7, and KMIP's Destroyed Compromised."""

    PRE_ACTIVE = "pre-active"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DEACTIVATED = "deactivated"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"
    DESTROYED_COMPROMISED = "destroyed-compromised"


class Capability(StrEnum):
    """A move that a backend may permit on one key; each names one Protocol of ``ports``."""

    DISABLE = "disable"
    QUARANTINE = "quarantine"
    STOP_ENCRYPTION = "stop-encryption"
    CREATE = "create"
    ROTATE = "rotate"
    REWRAP = "rewrap"
    WRAP = "wrap"
    SIGN = "sign"
    DESTROY = "destroy"
    SCHEDULE_DELETION = "schedule-deletion"
    REVOKE_GRANTS = "revoke-grants"
    READ_USAGE = "read-usage"


class KeyFacts(BaseModel):
    """Facts about one key at ``read_at``.

    ``capabilities`` were probed on the real backend, not read from a feature list; a move that is not
    possible has its reason, in words for a person, in ``unavailable``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ref: KeyRef
    algorithm: str = Field(description="For example AES-256-GCM, RSA-3072, EC-P256.")
    purpose: Literal["encrypt", "sign"]
    state: KeyState
    version: str = Field(description="The version that encrypts or signs now, as the backend names it.")
    versions: tuple[str, ...] = ()
    protecting_since: AwareDatetime | None = Field(
        default=None, description="When that version came into use; None when the backend does not say."
    )
    extractable: bool | None = Field(default=None, description="None when the backend does not say.")
    containment_unit: Literal["key", "version", "object"]
    capabilities: frozenset[Capability]
    unavailable: dict[Capability, str] = Field(default_factory=dict)
    deletion_days: tuple[int, int] | None = Field(default=None, description="Shortest and longest window.")
    deletion_at: datetime | None = Field(default=None, description="When a pending deletion completes.")
    aliases: tuple[str, ...] = ()
    read_at: datetime

    def can(self, capability: Capability) -> bool:
        """Is this move possible on this key now?"""
        return capability in self.capabilities
