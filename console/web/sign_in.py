"""Signing in and out: a passkey, or the company's identity provider; the cookie holds a token and nothing else."""

from __future__ import annotations

import threading
from typing import Annotated
from urllib.parse import parse_qs, quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from console.web.json_body import json_object
from console.web.pages import page, told
from console.web.refusals import refused
from console.web.threads import Threads
from flows.sign_in import SignIn
from flows.wiring import Wiring
from integrations.oidc import Departure, OidcProvider
from playbooks.errors import KeyquellError, NotApproved

_MOST_NAME = 64
_DEPARTURES = 1_000
_AGAIN = "Sign in again."

Question = Annotated[str, Path(max_length=64)]


def cookie_name(wiring: Wiring) -> str:
    """The session's cookie; over https its name makes the browser bind it to this host alone (RFC 6265bis, 4.1.3.2)."""
    return "__Host-keyquell" if wiring.settings.web.url.startswith("https:") else "keyquell"


def router(wiring: Wiring, doors: SignIn, threads: Threads) -> APIRouter:
    """The routes of signing in."""
    pages = _SignIn(wiring, doors, threads)
    routes = APIRouter(default_response_class=HTMLResponse, include_in_schema=False)
    routes.add_api_route("/sign-in", pages.show, methods=["GET"])
    routes.add_api_route("/sign-in", pages.ask, methods=["POST"])
    routes.add_api_route("/sign-in/passkey/{question}", pages.answer, methods=["POST"])
    routes.add_api_route("/sign-in/oidc", pages.depart, methods=["GET"])
    routes.add_api_route("/sign-in/oidc/back", pages.arrive, methods=["GET"])
    routes.add_api_route("/sign-out", pages.leave, methods=["POST"])
    return routes


class _SignIn:
    def __init__(self, wiring: Wiring, doors: SignIn, threads: Threads) -> None:
        self._wiring = wiring
        self._doors = doors
        self._threads = threads
        self._departures: dict[str, tuple[Departure, str]] = {}
        self._lock = threading.Lock()
        oidc = wiring.settings.web.oidc
        self._oidc = oidc
        self._provider = (
            OidcProvider(
                oidc.issuer,
                client_id=oidc.client_id,
                client_secret=oidc.client_secret,
                scopes=oidc.scopes,
                back=f"{wiring.settings.web.url}/sign-in/oidc/back",
                clock=wiring.clock,
            )
            if oidc
            else None
        )

    async def show(self, request: Request) -> HTMLResponse:
        """Ask who is there."""
        return page("sign_in.html", oidc=self._oidc, to=_inside(request.query_params.get("to", "/")))

    async def ask(self, request: Request) -> HTMLResponse:
        """The passkey button for the name that was typed."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        name = form.get("name", [""])[0].strip().casefold()[:_MOST_NAME]
        to = _inside(form.get("to", ["/"])[0])
        question = await self._threads.run(self._doors.ask, name)
        return page("sign_in_passkey.html", name=name, question=question, to=to)

    async def answer(self, question: Question, request: Request) -> Response:
        """Take what the authenticator signed."""
        assertion = await json_object(request)
        try:
            token = await self._threads.run(self._doors.answer, question, assertion)
        except KeyquellError as error:
            return refused(error, title="You are not signed in")
        to = _inside(request.query_params.get("to", "/"))
        return self._signed_in(
            told("You are signed in", next_step="Go on to the pages.", tone="good"), token, continue_at=to
        )

    async def depart(self, request: Request) -> Response:
        """Send the browser to the identity provider."""
        if self._provider is None:
            return told("There is no such way to sign in", next_step="Use a passkey: /sign-in.", status=404)
        try:
            departure = await self._threads.run(self._provider.depart)
        except KeyquellError as error:
            return _not_signed_in(error)
        with self._lock:
            while len(self._departures) >= _DEPARTURES:
                self._departures.pop(next(iter(self._departures)))
            self._departures[departure.state] = (departure, _inside(request.query_params.get("to", "/")))
        gone = RedirectResponse(departure.url, status_code=303)
        self._set(gone, f"{cookie_name(self._wiring)}-state", departure.state, seconds=600)
        return gone

    async def arrive(self, request: Request) -> Response:
        """Take the code that the identity provider sent the browser back with."""
        state = request.query_params.get("state", "")
        carried = request.cookies.get(f"{cookie_name(self._wiring)}-state", "")
        with self._lock:
            departure, to = self._departures.pop(state, (None, "/"))
        if self._provider is None or departure is None or carried != state:
            return told("This sign-in was not begun here", next_step=_AGAIN, tone="bad", status=403)
        try:
            claims = await self._threads.run(self._provider.arrive, request.query_params.get("code", ""), departure)
            token = await self._threads.run(self._doors.believe, claims)
        except KeyquellError as error:
            return _not_signed_in(error)
        return self._signed_in(RedirectResponse(to, status_code=303), token)

    async def leave(self, request: Request) -> Response:
        """End the session."""
        if not from_ours(request, self._wiring):
            return told("This did not come from a page of ours", next_step="Press Sign out on the page.", status=403)
        name = cookie_name(self._wiring)
        await self._threads.run(self._doors.end, request.cookies.get(name, ""))
        gone = RedirectResponse("/sign-in", status_code=303)
        gone.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="lax")
        return gone

    @property
    def _secure(self) -> bool:
        return self._wiring.settings.web.url.startswith("https:")

    def _signed_in(self, response: Response, token: str, *, continue_at: str = "") -> Response:
        seconds = int(self._wiring.settings.web.session_hours * 3600)
        self._set(response, cookie_name(self._wiring), token, seconds=seconds)
        if continue_at:
            response.headers["x-continue"] = continue_at
        return response

    def _set(self, response: Response, name: str, value: str, *, seconds: int) -> None:
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax")


def from_ours(request: Request, wiring: Wiring) -> bool:
    """Did a page of this site send the request?  Browsers say so themselves (Fetch Metadata; RFC 6454).

    Our pages send no referrer, so a form on them comes from the origin "null"; then Fetch Metadata must vouch for it.
    """
    site, origin = request.headers.get("sec-fetch-site", ""), request.headers.get("origin", "null")
    return site in ("", "same-origin") and (origin == wiring.settings.web.url or (origin == "null" and bool(site)))


def _inside(path: str) -> str:
    """The path when it leads to a page of ours, else the first page."""
    plain = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return quote(path, safe="/?=&%.-_~") if plain and len(path) <= 300 else "/"


def _not_signed_in(error: KeyquellError) -> HTMLResponse:
    if isinstance(error, NotApproved):
        return refused(error, title="You are not signed in")
    return told("You are not signed in", error.message, next_step=error.hint or _AGAIN, tone="bad", status=503)
