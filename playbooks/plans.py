"""The typed plan: what will be done, in which order, at what price, behind which gate, and why."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, JsonValue, computed_field


class Phase(StrEnum):
    """Phases in the order in which they start."""

    CONTAIN = "contain"
    RENEW = "renew"
    REENCRYPT = "reencrypt"
    REVOKE = "revoke"
    VERIFY = "verify"
    NOTIFY = "notify"
    RETIRE = "retire"
    REVIEW = "review"


class Action(StrEnum):
    """Every move a plan may contain.  ``flows/actions`` holds one effect for each.

    The comment says: target → inputs → outputs.
    """

    # contain
    CUT_CREDENTIAL = "cut-credential"  # CredentialRef → secret?: reference used by the probe
    REVOKE_SESSIONS = "revoke-sessions"  # CredentialRef
    REVOKE_GRANTS = "revoke-grants"  # KeyRef → principal
    QUARANTINE_KEY = "quarantine-key"  # KeyRef → allow
    STOP_ENCRYPTION = "stop-encryption"  # KeyRef
    DISABLE_KEY = "disable-key"  # KeyRef
    CANCEL_DELETION = "cancel-deletion"  # KeyRef
    # renew
    CREATE_KEY = "create-key"  # KeyRef (the old one) → → key
    ROTATE_KEY = "rotate-key"  # KeyRef
    SWITCH_KEY = "switch-key"  # KeyRef (old) → new_key, datasets, consumers
    ISSUE_CREDENTIAL = "issue-credential"  # CredentialRef (old) → deliver_to → credential
    ISSUE_CERTIFICATE = "issue-certificate"  # CertificateRef (old) → new_key → certificate
    RESIGN = "resign"  # consumer → old_key, new_key, certificate
    # reencrypt
    REWRAP = "rewrap"  # DatasetRef → old_key, new_key
    REENCRYPT = "reencrypt"  # DatasetRef → old_key, new_key
    # revoke
    REVOKE_CERTIFICATE = "revoke-certificate"  # CertificateRef
    PUBLISH_CUTOFF = "publish-cutoff"  # KeyRef → consumers
    # verify
    PROBE_OLD = "probe-old"  # KeyRef or CredentialRef: must be refused
    PROBE_NEW = "probe-new"  # KeyRef → new_key: must work
    TAKE_CENSUS = "take-census"  # DatasetRef → old_key, new_key
    CHECK_CONSUMER = "check-consumer"  # consumer: works again
    # notify, retire, review
    NOTIFY = "notify"  # audience → template
    SCHEDULE_DELETION = "schedule-deletion"  # KeyRef → days
    DESTROY_KEY = "destroy-key"  # KeyRef
    REVIEW = "review"  # incident


class Reversibility(StrEnum):
    """What can be taken back: always, until a deadline, or never."""

    REVERSIBLE = "reversible"
    WINDOWED = "windowed"
    IRREVERSIBLE = "irreversible"


class Gate(StrEnum):
    """Who must agree before a step may run; approvers are distinct and never the requester."""

    PRE_APPROVED = "pre-approved"
    ONE_PERSON = "one-person"
    TWO_PERSON = "two-person"

    @property
    def people(self) -> int:
        """How many distinct approvers the gate needs."""
        return {Gate.PRE_APPROVED: 0, Gate.ONE_PERSON: 1, Gate.TWO_PERSON: 2}[self]


class Step(BaseModel):
    """One move of the plan.

    An input may be the output of an earlier step: the string ``"step:STEP_ID#NAME"``.  A step with ``unavailable`` is
    never run: the backend cannot make the move, and the reason is known before anything starts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        pattern=r"^[a-z]+\.[0-9]+-[a-z-]+$", description="PHASE.NUMBER-ACTION, for example contain.1-cut-credential."
    )
    phase: Phase
    action: Action
    target: str
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    reversibility: Reversibility
    window_ends: datetime | None = None
    gate: Gate
    undo: Action | None = Field(default=None, description="Set when `keyquell undo` can take the step back.")
    price: str = Field(default="", description="What stops or slows because of this step; empty when nothing does.")
    why: str
    needs: tuple[str, ...] = Field(default=(), description="Steps that must have succeeded before.")
    unavailable: str = Field(default="", description="Why this move cannot be made; empty when it can.")


class Plan(BaseModel):
    """An incident's plan.  Equal digests mean equal plans; approvals bind to the digest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    incident_id: str
    playbook: str
    playbook_version: int
    exposures: tuple[str, ...] = Field(description="KIND of TARGET, one each.")
    steps: tuple[Step, ...]
    unknowns: tuple[str, ...] = Field(default=(), description="What the blast radius could not tell.")
    residual: tuple[str, ...] = Field(default=(), description="Exposure that no step can close.")

    @computed_field  # type: ignore[prop-decorator]  # pydantic's documented stacking, mypy cannot model it
    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of everything above, lower-case hex."""
        return hashlib.sha256(self.canonical).hexdigest()

    @property
    def canonical(self) -> bytes:
        """The canonical JSON that the digest is made of, in UTF-8: what an approver's passkey vouches for."""
        body = self.model_dump(mode="json", exclude={"digest"})
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()

    def step(self, step_id: str) -> Step:
        """The step of this id; KeyError when the plan has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    def in_phase(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of a phase in plan order."""
        return tuple(step for step in self.steps if step.phase is phase)
