"""Signed HTTP: nothing that Slack did not sign within five minutes gets in, and what comes twice is answered once.

Source: docs.slack.dev, "Verifying requests from Slack".
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re

from slack_bolt.adapter.starlette.async_handler import AsyncSlackRequestHandler
from slack_bolt.async_app import AsyncApp
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response

from integrations.slack.deliveries import Deliveries, key_of, payload_of
from playbooks.ports import Clock

WINDOW_SECONDS = 300
_MOST_BYTES = 1_000_000
_log = logging.getLogger(__name__)


class SignedDoor:
    """The endpoint ``handle``, for Starlette and FastAPI.

    401: not signed by Slack, or too old.  400: signed, but not what Slack sends.  413: too long.
    """

    def __init__(self, bolt: AsyncApp, *, signing_secret: str, deliveries: Deliveries, clock: Clock) -> None:
        self._inner = AsyncSlackRequestHandler(bolt)
        self._secret = signing_secret.encode()
        self._deliveries = deliveries
        self._clock = clock

    async def handle(self, request: Request) -> Response:
        """The answer to one request."""
        if request.method != "POST":
            return PlainTextResponse("only POST", 405, {"Allow": "POST"})
        try:
            body = await _body(request)
        except ClientDisconnect:
            return PlainTextResponse("gone", 400)
        if body is None:
            return PlainTextResponse("too long", 413)
        signature = request.headers.get("x-slack-signature", "")
        if not self._signed(body, request.headers.get("x-slack-request-timestamp", ""), signature):
            return PlainTextResponse("not signed by Slack", 401)
        try:
            payload = payload_of(body)
        except (ValueError, RecursionError):
            return PlainTextResponse("malformed", 400)
        request._body = body  # the stream is read; Starlette keeps the body here for who asks next
        key = key_of(payload, otherwise=f"signature:{signature}")
        return await self._deliveries.once(key, lambda: self._answer(request))

    async def _answer(self, request: Request) -> Response:
        """Bolt's answer.  What Bolt cannot take apart is signed and still malformed: the fault is in the request."""
        try:
            response = await self._inner.handle(request)
        except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold what a person wrote
            _log.warning("slack: a signed request was not understood (%s)", type(error).__name__)
            return PlainTextResponse("malformed", 400)
        return response if response.status_code < 500 else PlainTextResponse("malformed", 400)

    def _signed(self, body: bytes, timestamp: str, signature: str) -> bool:
        if not re.fullmatch(r"[0-9]{1,12}", timestamp):
            return False
        made = hmac.new(self._secret, b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hexdigest()
        genuine = hmac.compare_digest(f"v0={made}".encode(), signature.encode("utf-8", "replace"))
        return genuine and abs(self._clock().timestamp() - int(timestamp)) <= WINDOW_SECONDS


async def _body(request: Request) -> bytes | None:
    """The body; None when it is longer than anything that Slack sends."""
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > _MOST_BYTES:
            return None
        parts.append(part)
    return b"".join(parts)
