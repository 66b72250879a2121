"""What a request behind a link must look like before anybody looks it up: its form, and the page that sends it."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from console.web.pages import told

_LINK = re.compile(r"/(?:approve|enrol)/(?P<token>[^/]*)(?:/.*)?", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 random bytes as base64url."""

_OWN = frozenset({"same-origin", "none"})


def token_in(path: str) -> str:
    """The token of a link's path; "" when there is none that we could have made."""
    found = _LINK.fullmatch(path)
    return found["token"] if found and _TOKEN.fullmatch(found["token"]) else ""


class LinkDoor:
    """ASGI middleware for ``/approve`` and ``/enrol``.  ``origin`` is that of our own pages."""

    def __init__(self, app: ASGIApp, *, origin: str) -> None:
        self._app = app
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, unless no link of ours has this form, or a page of another site sends it."""
        answer = self._objection(scope) if scope["type"] == "http" and _LINK.fullmatch(scope["path"]) else None
        await (answer or self._app)(scope, receive, send)

    def _objection(self, scope: Scope) -> Response | None:
        if not token_in(scope["path"]):
            next_step = "Copy the whole link, exactly as you got it, or ask for a new one."
            return told(
                "The link is not whole", "No link of ours looks so.", next_step=next_step, tone="bad", status=410
            )
        if scope["method"] not in ("GET", "HEAD") and not _is_ours(Headers(scope=scope), self._origin):
            next_step = "Open the link itself, exactly as you got it, and decide there."
            return told("Nothing was done", "Another site sent this.", next_step=next_step, tone="bad", status=403)
        return None


def _is_ours(headers: Headers, origin: str) -> bool:
    """By what browsers alone can set (Fetch Metadata; RFC 6454); programs send neither, and prove themselves otherwise.

    Our pages send no referrer, so the form on them comes from the origin "null".
    """
    said = headers.get("origin", "null").lower()
    return said in ("null", origin.lower()) and headers.get("sec-fetch-site", "same-origin").lower() in _OWN
