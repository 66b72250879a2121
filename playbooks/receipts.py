"""What a move left behind: three times, never one; and what an independent try showed."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue


class Receipt(BaseModel):
    """The trace of one mutation.

    ``accepted_at`` is when the backend's call returned: a claim.  ``proven_at`` is set only from probes.
    ``undo`` holds what the reverse move needs (previous policy, attributes, versions); never a secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    move: str
    requested_at: datetime
    accepted_at: datetime
    proven_at: datetime | None = None
    request_id: str = ""
    changed: bool = Field(default=True, description="False when it was already so (convergence).")
    undo: dict[str, JsonValue] = Field(default_factory=dict)


class Outcome(StrEnum):
    """What one try showed.  A timeout or a throttle shows nothing: ``inconclusive``."""

    REFUSED = "refused"
    WORKED = "worked"
    INCONCLUSIVE = "inconclusive"


class ProbeResult(BaseModel):
    """One independent try from a fresh session, with the backend's specific code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str
    operation: str = Field(description="What was tried, for example Decrypt, login, sign.")
    expected: Literal["refused", "worked"]
    outcome: Outcome
    code: str = ""
    at: datetime
    detail: str = ""

    @property
    def as_expected(self) -> bool:
        """Did the try show what it had to show?"""
        return self.outcome.value == self.expected


class Census(BaseModel):
    """Objects and bytes of one dataset, by what is known of the key they are under.

    ``on_new`` counts only objects that were unwrapped under the new key; ``unknown`` are readable headers that name
    neither key.  Retirement needs ``on_old == failed == unreachable == unknown == 0``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    objects: int
    bytes: int
    on_new: int
    on_old: int
    failed: int = 0
    unreachable: int = 0
    unknown: int = 0
    taken_at: datetime

    @property
    def clear(self) -> bool:
        """Is nothing left, known or unknown, under the old key?"""
        return self.on_new == self.objects and not (self.on_old or self.failed or self.unreachable or self.unknown)
