"""PagerDuty's webhooks v3: whose they are, and what they say.

``X-PagerDuty-Signature`` holds ``v1=`` and the hex HMAC-SHA256 of the raw body, several of them with commas while a
secret is replaced.  It covers no time: whoever reads must deduplicate on the event's id.
https://developer.pagerduty.com/docs/verifying-webhook-signatures
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from integrations.options import first_mistake
from integrations.secrets import read_secret
from playbooks.errors import InvalidInput, Refused

SIGNATURE = "x-pagerduty-signature"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, strict=True)


class Agent(_Part):
    """Who did it; ``type`` begins with ``user`` for a person."""

    id: str = Field(default="", max_length=100)
    type: str = ""


class WebhookEvent(_Part):
    """One event; ``id`` is the same when PagerDuty delivers it again.  ``data`` depends on ``event_type``."""

    id: str = Field(min_length=1, max_length=255)
    event_type: str = Field(min_length=1, max_length=255)
    occurred_at: str = ""
    agent: Agent | None = None
    data: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def user(self) -> str:
        """The PagerDuty user id of the person who did it; "" for a machine."""
        return self.agent.id if self.agent is not None and self.agent.type.startswith("user") else ""

    def text(self, *path: str, longest: int = 255) -> str:
        """The printable text at a path of ``data``; "" when there is none."""
        value: JsonValue = self.data
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return "".join(each for each in value[:longest] if each.isprintable()) if isinstance(value, str) else ""


class _Envelope(_Part):
    event: WebhookEvent


def open_webhook(*, headers: Mapping[str, str], body: bytes, secrets: Iterable[str], subject: str) -> WebhookEvent:
    """The event of a webhook signed with one of ``secrets`` (references).

    Raises Refused when the signature is missing or of another secret, InvalidInput when the signed body is no event.
    """
    expected = [_signature(body, secret) for secret in map(read_secret, secrets) if secret]
    given = [each.strip().encode("utf-8", "replace") for each in headers.get(SIGNATURE, "").split(",")]
    matches = [hmac.compare_digest(one, other) for one in expected for other in given]
    if not any(matches):
        hint = "Check that webhook_secrets holds the secret of this webhook subscription."
        raise Refused("the webhook was not signed by PagerDuty.", subject=subject, code="signature", hint=hint)
    try:
        return _Envelope.model_validate_json(body).event
    except ValidationError as error:
        field, message = first_mistake(error)
        told = f"{field or 'the document'}: {message[:200]}"
        raise InvalidInput(f"the webhook for {subject} is no PagerDuty event: {told}") from None


def _signature(body: bytes, secret: str) -> bytes:
    return b"v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest().encode()
