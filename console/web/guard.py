"""What every request passes first: bounds on its size and time, strict headers, and a log line that holds no token."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 2**20
BODY_SECONDS = 10.0
"""From the end of a request's head to the end of its body."""

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _CSP,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), "
    "microphone=(), geolocation=()",
    "x-robots-tag": "noindex",
}
"""Sent with every response.  The link is a secret: no cache, referrer or frame may see it."""

_HSTS = ("strict-transport-security", "max-age=31536000")
_access = logging.getLogger("keyquell.access")
_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware.  ``https`` says whether browsers come by https, and must go on doing so."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        self._headers = dict([*HEADERS.items(), *([_HSTS] if https else [])])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; what breaks inside becomes a 500 that says nothing of its cause."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._headers, send)
        began = time.monotonic()
        try:
            if _announced(scope) > MAX_BODY_BYTES:
                await _error(413, "The request is larger than 1 MiB.", close=True)(scope, receive, exchange.send)
            else:
                await self._app(scope, _bounded(receive), exchange.send)
        except Exception as error:  # noqa: BLE001 - logged by type and place; its text may hold a secret
            _log.error("%s at %s", type(error).__name__, _place(error))
            if not exchange.status:
                await _error(500, "Something broke here; the log says where.")(scope, receive, exchange.send)
        finally:
            _access.info(
                "%s %s %d %d ms", scope["method"], _route(scope), exchange.status, (time.monotonic() - began) * 1000
            )


class _Exchange:
    """Adds the headers to a response, and remembers its status (0 before it began)."""

    def __init__(self, headers: dict[str, str], send: Send) -> None:
        self.status = 0
        self._headers = headers
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            MutableHeaders(scope=message).update(self._headers)
        await self._send(message)


def _bounded(receive: Receive) -> Receive:
    """The same stream, cut off with 413 where it grows too long (a length need not be announced, nor true), and with
    408 when it does not come to an end in time."""
    seen, ends, whole = 0, time.monotonic() + BODY_SECONDS, False

    async def counted() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()
        try:
            message = await asyncio.wait_for(receive(), ends - time.monotonic())
        except TimeoutError as error:
            raise HTTPException(408, "The request took too long.", {"connection": "close"}) from error
        whole = not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > MAX_BODY_BYTES:
            raise HTTPException(413, "The request is larger than 1 MiB.", {"connection": "close"})
        return message

    return counted


def _announced(scope: Scope) -> int:
    length = Headers(scope=scope).get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _error(status: int, sentence: str, *, close: bool = False) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status, headers={"connection": "close"} if close else None)


def _route(scope: Scope) -> str:
    """The route's pattern, never the path: paths hold tokens."""
    return getattr(scope.get("route"), "path", "(no route)")


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
