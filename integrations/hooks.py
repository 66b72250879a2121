"""What every webhook is checked for before it is believed: size, sender, age and form.

``Refused`` means that it is not the sender's; ``InvalidInput`` that its body, or our configuration, is wrong.  Neither
repeats anything of the body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from integrations.secrets import read_secret
from playbooks.errors import InvalidInput, Refused

MAX_BODY_BYTES = 1024 * 1024
"""The largest webhook that is read."""

MAX_DEPTH = 64
"""The deepest nesting of a document that is read."""

_SHORTEST_SECRET = 8


def header(headers: Mapping[str, str], name: str) -> str:
    """The header's value without surrounding space, whatever its case; "" when it is missing."""
    wanted = name.lower()
    return next((value.strip() for each, value in headers.items() if each.lower() == wanted), "")


def within_limit(body: bytes, *, sender: str) -> None:
    """Raises InvalidInput for a body that no honest sender makes."""
    if len(body) > MAX_BODY_BYTES:
        raise InvalidInput(f"the webhook of {sender} has more than {MAX_BODY_BYTES} bytes")


def shared_secret(reference: str, *, sender: str) -> bytes:
    """The secret that we share with the sender.

    Raises InvalidInput when it is missing or so short that a signature made with it proves nothing.
    """
    secret = read_secret(reference).encode()
    if len(secret) < _SHORTEST_SECRET:
        hint = f"Give the sender and keyquell a secret of at least {_SHORTEST_SECRET} characters."
        raise InvalidInput(f"the webhook secret of {sender} is too short", hint=hint)
    return secret


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Compares in constant time; what is not ASCII is compared too, and is different."""
    sides = [side.encode(errors="replace") if isinstance(side, str) else side for side in (given, expected)]
    return hmac.compare_digest(*sides)


def check_hmac(message: bytes, *, given: str, secret: bytes, sender: str, prefix: str = "") -> None:
    """Raises Refused unless ``given`` is ``prefix`` and the message's HMAC-SHA256 in hexadecimal (RFC 2104)."""
    if not given:
        refuse(sender, "it carries no signature", code="signature-missing")
    if not same(given, prefix + hmac.new(secret, message, hashlib.sha256).hexdigest()):
        refuse(sender, "its signature is not the sender's", code="signature-wrong")


def check_age(timestamp: str, *, now: datetime, window: timedelta, sender: str) -> None:
    """Raises Refused unless the Unix time lies within ``window`` of now, to either side."""
    seconds = int(timestamp) if timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12 else None
    if seconds is None:
        refuse(sender, "its timestamp is missing or is not a Unix time", code="timestamp-missing")
    if abs(now.timestamp() - seconds) > window.total_seconds():
        refuse(sender, "its timestamp is too old or lies ahead", code="timestamp-outside-window")


def refuse(sender: str, why: str, *, code: str) -> NoReturn:
    """Raises Refused about the webhook of ``sender``."""
    hint = "If the sender is right, check that both sides have the same secret and clock."
    raise Refused(f"the webhook of {sender} is refused: {why}", subject=sender, code=code, hint=hint)


def parse_json(document: bytes, *, sender: str) -> Any:
    """The document's JSON (RFC 8259): no NaN, no text that is not Unicode, nesting up to ``MAX_DEPTH``.

    Raises InvalidInput that says where it breaks, without repeating it.
    """
    try:
        value = json.loads(document.decode("utf-8-sig"), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise InvalidInput(f"the document of {sender} is not JSON at {place}") from None
    except (ValueError, RecursionError):
        raise InvalidInput(f"the document of {sender} is not JSON") from None
    _check_form(value, sender)
    return value


class HookAuth(BaseModel):
    """How a sender without a scheme of its own proves itself.

    ``hmac-sha256``: the header holds ``prefix`` and the HMAC of what ``signed`` says.  ``bearer``: the header holds
    ``Bearer`` and the secret.  ``shared-secret``: the header holds the secret.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    scheme: Literal["hmac-sha256", "bearer", "shared-secret"] = "hmac-sha256"
    secret: str = Field(repr=False, description="Reference: env:NAME or file:PATH.")
    header: str = Field(default="", description="Empty: X-Signature-256, Authorization or X-Webhook-Secret.")
    prefix: str = Field(default="", description="What stands before the hexadecimal, for example sha256=.")
    timestamp_header: str = Field(default="", description="Header with the Unix time that is signed too.")
    signed: str = Field(default="{timestamp}.{body}", description="What is signed when there is a timestamp.")
    window_seconds: float = Field(default=300, gt=0, le=3600)

    @field_validator("secret")
    @classmethod
    def _by_reference(cls, value: str) -> str:
        if not value.startswith(("env:", "file:")):
            raise ValueError("give a reference (env:NAME or file:PATH), never the secret")
        return value

    @model_validator(mode="after")
    def _timestamp_is_signed(self) -> HookAuth:
        if self.timestamp_header and self.scheme != "hmac-sha256":
            raise ValueError("only hmac-sha256 can sign a timestamp")
        if any(self.signed.count(part) != 1 for part in ("{timestamp}", "{body}")):
            raise ValueError("signed must hold {timestamp} and {body} once each")
        return self

    def check(self, headers: Mapping[str, str], body: bytes, *, now: datetime, sender: str) -> None:
        """Raises Refused unless the webhook is the sender's and is recent; InvalidInput when the secret is unusable."""
        secret = shared_secret(self.secret, sender=sender)
        defaults = {"hmac-sha256": "x-signature-256", "bearer": "authorization", "shared-secret": "x-webhook-secret"}
        given = header(headers, self.header or defaults[self.scheme])
        if self.scheme == "hmac-sha256":
            message = self._message(headers, body, now=now, sender=sender)
            check_hmac(message, given=given, secret=secret, sender=sender, prefix=self.prefix)
            return
        if not given:
            refuse(sender, "it carries no secret", code="secret-missing")
        word, _, rest = given.partition(" ")
        if self.scheme == "bearer" and word.lower() != "bearer":
            refuse(sender, "it carries no bearer token", code="secret-missing")
        if not same(rest.strip() if self.scheme == "bearer" else given, secret):
            refuse(sender, "its secret is not the sender's", code="secret-wrong")

    def _message(self, headers: Mapping[str, str], body: bytes, *, now: datetime, sender: str) -> bytes:
        if not self.timestamp_header:
            return body
        timestamp = header(headers, self.timestamp_header)
        check_age(timestamp, now=now, window=timedelta(seconds=self.window_seconds), sender=sender)
        before, _, after = self.signed.replace("{timestamp}", timestamp).partition("{body}")
        return before.encode() + body + after.encode()


def check_webhook(
    auth: HookAuth | None, headers: Mapping[str, str], body: bytes, *, now: datetime, sender: str
) -> None:
    """Raises InvalidInput for a body that is too long, Refused when it is not the sender's or none is configured."""
    within_limit(body, sender=sender)
    if auth is None:
        refuse(sender, "no auth is configured", code="auth-missing")
    auth.check(headers, body, now=now, sender=sender)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_form(value: Any, sender: str) -> None:
    """Nothing nested too deep for the readers, and no half of a surrogate pair, which cannot be hashed or stored."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below += (*each, *each.values())
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str) and not each.isascii():
                _check_text(each, sender)
        if not below:
            return
        level = below
    raise InvalidInput(f"the document of {sender} is nested more than {MAX_DEPTH} levels deep")


def _check_text(text: str, sender: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"the document of {sender} holds text that is not Unicode") from None
