"""Findings to an HTTP collector: one POST of JSON each, signed when a secret is shared."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Self

import httpx
import orjson
from pydantic import Field, JsonValue

from integrations.options import read_options
from integrations.receiver_options import CONNECT_SECONDS, SECONDS, ReceiverOptions
from integrations.secrets import read_secret
from playbooks.errors import BackendError, Refused, Throttled, Unreachable
from playbooks.ports import Clock

SIGNATURE = "x-keyquell-signature-256"
TIMESTAMP = "x-keyquell-timestamp"


class WebhookOptions(ReceiverOptions):
    """``secret`` and ``token`` are references; a redirect is not followed."""

    url: str = Field(pattern=r"^https?://[^\s@]+$", description="Where to; no user or password in it.")
    secret: str | None = Field(default=None, pattern="^(env|file):", description="Signs each request (HMAC-SHA256).")
    token: str | None = Field(default=None, pattern="^(env|file):", description="Sent as a bearer token.")


class Webhook:
    """POSTs each finding.  The signature is ``sha256=`` and the HMAC over timestamp, a dot and the body."""

    def __init__(self, options: WebhookOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        timeout = httpx.Timeout(SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(timeout=timeout, follow_redirects=False)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``url``, ``secret``, ``token``.  Raises InvalidInput naming the wrong field."""
        return cls(read_options(WebhookOptions, f"siem.{name}", options), clock=clock)

    def send(self, finding: Mapping[str, JsonValue]) -> None:
        """Arrived when the collector answers 2xx.  Raises Refused, Throttled or Unreachable, without the body."""
        body = orjson.dumps(dict(finding))
        place = self._options.url.partition("?")[0]
        try:
            answer = self._client.post(self._options.url, content=body, headers=self._headers(body))
        except httpx.HTTPError as error:
            raise Unreachable(
                f"the collector does not answer ({type(error).__name__}).", subject=place, hint="It is tried again."
            ) from error
        if not answer.is_success:
            raise _error(answer, place)

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _headers(self, body: bytes) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self._options.token:
            headers["authorization"] = f"Bearer {read_secret(self._options.token)}"
        if self._options.secret:
            at = str(int(self._clock().timestamp()))
            secret = read_secret(self._options.secret).encode()
            headers[TIMESTAMP] = at
            headers[SIGNATURE] = f"sha256={hmac.new(secret, at.encode() + b'.' + body, hashlib.sha256).hexdigest()}"
        return headers


def _error(answer: httpx.Response, place: str) -> BackendError:
    code = str(answer.status_code)
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        wait = answer.headers.get("retry-after", "")
        after = f" for {wait} seconds" if wait.isdigit() else ""
        return Throttled(f"the collector asks to wait{after}.", subject=place, code=code)
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unreachable(f"the collector answers {code}.", subject=place, code=code, hint="It is tried again.")
    hint = "Check its address and the token; the findings behind this one wait."
    return Refused(f"the collector refuses with {code}.", subject=place, code=code, hint=hint)
