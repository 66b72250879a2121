"""The web page: passkey approvals, enrolment, webhooks, health; drawn on the server, nothing fetched from elsewhere."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles

from console.web import approvals, enrolment, health, hooks
from console.web.guard import Guard
from console.web.limits import Limits
from console.web.links import LinkDoor
from console.web.pages import STATIC, told
from console.web.threads import Threads
from flows.background import Background
from flows.open_links import OpenLinks
from flows.wiring import Wiring
from playbooks.desk import Desk

_FOR_PEOPLE = ("/approve/", "/enrol/")


def create_app(wiring: Wiring, desk: Desk, background: Background, *, chat: Any = None) -> FastAPI:
    """The ASGI app on an open wiring.

    ``chat`` is the configured chat; its ``handler`` (from a request to a response), when it has one, takes
    ``/slack/events``.
    """
    app = FastAPI(
        title="keyquell",
        version=version("keyquell"),
        summary="Webhooks, health and passkey approvals of a key-compromise response.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the token under whatever host the request names
    )
    web = wiring.settings.web
    app.add_middleware(LinkDoor, origin=web.url)
    app.add_middleware(Limits, trusted_proxies=web.trusted_proxies, know_link=OpenLinks(wiring).know)
    app.add_middleware(Guard, https=web.url.startswith("https:"))
    people = Threads()
    app.include_router(approvals.router(wiring, desk, background, people))
    app.include_router(enrolment.router(wiring, people))
    app.include_router(hooks.router(wiring, desk, background, Threads(), chat=chat))
    app.include_router(health.router(wiring, Threads(), chat=chat))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(HTTPException, _failed)
    return app


async def _failed(request: Request, error: Exception) -> Response:
    """A page for people, a short sentence for programs."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for nothing else
    if request.url.path.startswith(_FOR_PEOPLE):
        page = told(
            "This did not work",
            str(error.detail),
            next_step="Open the link again, exactly as you got it.",
            tone="bad",
            status=error.status_code,
        )
        page.headers.update(error.headers or {})
        return page
    return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)
