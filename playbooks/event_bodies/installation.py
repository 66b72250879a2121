"""Bodies of what belongs to no incident: passkeys, unmatched findings, silent detectors."""

from __future__ import annotations

from pydantic import AwareDatetime, Field

from playbooks.event_bodies.body import Body
from playbooks.exposures import Signal


class PasskeyInvited(Body):
    """A single-use link to enrol a passkey was given out."""

    request: str = Field(pattern="^[0-9a-f]{64}$")
    person: str = Field(min_length=1)
    by: str
    expires_at: AwareDatetime


class PasskeyEnrolled(Body):
    """A person's authenticator; ``public_key`` is the COSE key, base64url like ``credential_id``."""

    request: str
    person: str = Field(min_length=1)
    credential_id: str
    public_key: str
    sign_count: int = Field(ge=0)
    label: str = ""


class PasskeyRemoved(Body):
    """An authenticator that counts no more."""

    person: str
    credential_id: str
    by: str
    reason: str


class SignalUnmatched(Body):
    """A finding that nothing in the estate matches: a person has to look."""

    signal: Signal


class DetectorSilent(Body):
    """A detector has not been heard for longer than it may be."""

    detector: str
    last_heard: AwareDatetime | None = None
    reason: str = ""


class DetectorHeard(Body):
    """A silent detector speaks again."""

    detector: str
