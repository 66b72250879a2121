"""Bodies of what people do and are told: approvals, acknowledgements, escalations, messages."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from playbooks.deeds import APPROVE, CONFIRMABLE, PATTERN
from playbooks.event_bodies.body import Body

NeedToKnow = Literal["responders", "company", "outside"]
"""How far a message may travel."""


class Assertion(BaseModel):
    """What an authenticator signed (Web Authentication Level 3, 7.2); binary parts in base64url.

    The challenge is SHA-256(nonce ‖ digest ‖ person), where the digest is SHA-256 of the canonical plan for an approval
    and of another text for any other deed (``playbooks.deeds.vouched``).  ``public_key`` is the COSE key that verifies
    it, so that the assertion can be checked with nothing but the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    credential_id: str
    public_key: str
    nonce: str
    client_data_json: str
    authenticator_data: str
    signature: str
    rp_id: str
    origin: str


class ApprovalGiven(Body):
    """A person agreed to the plan of this digest.

    ``method``: ``cli`` (a name), ``slack`` (a click), ``totp``, ``webauthn`` or ``break-glass``.  ``request`` is the
    single-use request it redeems.
    """

    approver: str = Field(min_length=1)
    digest: str
    method: str
    request: str = ""
    assertion: Assertion | None = None
    passkey_enrolled_at: AwareDatetime | None = None
    address: str = ""

    @model_validator(mode="after")
    def _evidence_stands_beside(self) -> ApprovalGiven:
        if self.method == "webauthn" and (self.assertion is None or not self.request):
            raise ValueError("an approval by passkey needs its request and its assertion")
        return self


class ApprovalDenied(Body):
    """A person said no to the plan of this digest."""

    approver: str = Field(min_length=1)
    digest: str
    reason: str
    via: str = "cli"


class ApprovalAsked(Body):
    """A single-use request for one person's passkey; ``request`` is SHA-256 of the link's token, lower-case hex.

    ``deed`` is what the passkey shall allow; ``digest`` is the plan's, "" when there is no plan to be taken back.
    """

    request: str = Field(pattern="^[0-9a-f]{64}$")
    approver: str = Field(min_length=1)
    digest: str
    expires_at: AwareDatetime
    via: str
    deed: str = Field(default=APPROVE, pattern=PATTERN)


class Confirmed(Body):
    """A person confirmed, by more than a chat account, what takes safety away: an undo, or the end of a case.

    ``method``: ``webauthn`` or ``totp``; ``request`` is the single-use request it redeems.
    """

    by: str = Field(min_length=1)
    deed: str = Field(pattern=CONFIRMABLE)
    digest: str
    method: Literal["webauthn", "totp"]
    request: str = ""
    assertion: Assertion | None = None
    passkey_enrolled_at: AwareDatetime | None = None
    address: str = ""

    @model_validator(mode="after")
    def _evidence_stands_beside(self) -> Confirmed:
        if self.method == "webauthn" and (self.assertion is None or not self.request):
            raise ValueError("a confirmation by passkey needs its request and its assertion")
        return self


class GlassBroken(Body):
    """A person approved past the passkey, in the open: everybody is told, and another person reviews it."""

    by: str = Field(min_length=1)
    digest: str
    reason: str = Field(min_length=1)


class GlassReviewed(Body):
    """Another person looked at a broken glass."""

    by: str = Field(min_length=1)
    verdict: Literal["justified", "not-justified"]
    text: str = ""


class Acknowledged(Body):
    """Somebody has taken the case."""

    by: str = Field(min_length=1)
    via: str


class Escalated(Body):
    """Nobody had acknowledged, so the next person was paged; ``error`` when the channel did not take it.

    ``again`` is how often everybody had been called in vain before.
    """

    level: int = Field(ge=0)
    person: str
    channel: str
    error: str = ""
    again: int = Field(default=0, ge=0)


class AttemptRefused(Body):
    """Somebody tried what they may not; ``by`` is a person, or the account when nobody in the roster is meant."""

    by: str
    what: str
    reason: str
    via: str


class Linked(Body):
    """Where a surface shows the incident: a Slack channel and message, a PagerDuty incident.  Later ids are added."""

    surface: str
    ids: dict[str, str]


class MessageDrafted(Body):
    """A message that a person must read, and may change, before anybody else does."""

    id: str = Field(min_length=1)
    audience: str
    need_to_know: NeedToKnow
    subject: str
    body: str


class MessageWithdrawn(Body):
    """A draft will not be sent."""

    id: str
    by: str
    reason: str = ""


class MessageQueued(Body):
    """A message waits in the outbox; ``reviewed_by`` is who released it from a draft."""

    id: str = Field(min_length=1)
    audience: str
    subject: str
    body: str
    need_to_know: NeedToKnow = "responders"
    reviewed_by: str = ""


class MessageDelivered(Body):
    """A channel took the message."""

    id: str
    channel: str


class MessageFailed(Body):
    """A channel did not take the message; it is tried again."""

    id: str
    channel: str
    error: str


class Note(Body):
    """A person's or a component's remark."""

    text: str
    by: str
