"""The web page: passkey approvals, enrolment, webhooks, health; drawn on the server, nothing fetched from elsewhere."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from console.web import approvals, enrolment, health, hooks, open_metrics, sign_in
from console.web.api.app import create_api
from console.web.api.problems import problem
from console.web.guard import Guard
from console.web.limits import Limits
from console.web.links import LinkDoor
from console.web.live import Live
from console.web.local_visitors import LocalVisitors
from console.web.pages import STATIC, told
from console.web.roster_visitors import RosterVisitors
from console.web.site import Site
from console.web.threads import Threads
from console.web.views import audit, case, cases, deadlines, estate, keys, measures, now, readiness, review, usage
from console.web.visitors import SignInNeededError, Visitors
from flows.background import Background
from flows.open_links import OpenLinks
from flows.overview import overview
from flows.sign_in import SignIn
from flows.wiring import Wiring
from playbooks.desk import Desk

_FOR_PEOPLE = ("/approve/", "/enrol/")
_FOR_PROGRAMS = "/api/v1"
_VIEWS = (now, cases, deadlines, measures, readiness, estate, keys, usage, audit)
"""The pages in the order of the navigation."""


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
    doors = SignIn(wiring)
    roster_kept = wiring.settings.roster is not None
    visitors: Visitors = RosterVisitors(wiring, doors) if roster_kept else LocalVisitors()
    if roster_kept:
        app.include_router(sign_in.router(wiring, doors, people))
    sections = tuple(each.SECTION for each in _VIEWS)
    site = Site(wiring, desk, background, overview(wiring), visitors, people, sections)
    for view in (*_VIEWS, case, review):
        app.include_router(view.router(site))
    app.include_router(Live(site).router())
    app.include_router(open_metrics.router(site))
    app.mount(_FOR_PROGRAMS, create_api(site), name="api")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(SignInNeededError, _sign_in)
    app.state.roster_kept = roster_kept
    app.state.slow = tuple(site.slow)
    app.state.stopping = False
    return app


async def _failed(request: Request, error: Exception) -> Response:
    """A page for people, a short sentence for programs."""
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for nothing else
    if request.url.path.startswith(_FOR_PROGRAMS):  # a mounted app is not asked for a path with a line break in it
        return problem(error.status_code, str(error.detail), dict(error.headers or {}))
    link = request.url.path.startswith(_FOR_PEOPLE)
    if link or (request.method == "GET" and "text/html" in request.headers.get("accept", "")):
        page = told(
            "This did not work",
            str(error.detail),
            next_step="Open the link again, exactly as you got it." if link else "Go back to the first page: /",
            tone="bad",
            status=error.status_code,
        )
        page.headers.update(error.headers or {})
        return page
    return JSONResponse({"error": str(error.detail)}, status_code=error.status_code, headers=error.headers)


async def _sign_in(request: Request, _error: Exception) -> Response:
    """Nobody is signed in: people are led to the door, programs are told."""
    if "text/html" not in request.headers.get("accept", "") or request.method != "GET":
        return JSONResponse({"error": "Nobody is signed in."}, status_code=401)
    if request.app.state.roster_kept:
        return RedirectResponse(f"/sign-in?to={quote(request.url.path)}", status_code=303)
    return told(
        "These pages are for this host alone",
        "No roster says who may look, so that only whoever sits at this host does.",
        next_step="Set `roster` in keyquell.yaml, or open the page on the host itself.",
        status=401,
    )
