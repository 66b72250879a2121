"""The page behind an invitation: register a passkey for the one person who was invited."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from fastapi.responses import HTMLResponse

from console.web.json_body import json_object
from console.web.pages import page, told
from console.web.refusals import gone, refused
from console.web.threads import Threads
from flows import step_up
from flows.wiring import Wiring
from playbooks.errors import KeyquellError

_MOST_LABEL = 60

Token = Annotated[str, Path(max_length=128)]


def router(wiring: Wiring, threads: Threads) -> APIRouter:
    """The routes of one invitation."""
    pages = _Enrolment(wiring, threads)
    routes = APIRouter(prefix="/enrol/{token}", default_response_class=HTMLResponse, include_in_schema=False)
    routes.add_api_route("", pages.show, methods=["GET"])
    routes.add_api_route("", pages.enrol, methods=["POST"])
    return routes


class _Enrolment:
    def __init__(self, wiring: Wiring, threads: Threads) -> None:
        self._wiring = wiring
        self._threads = threads

    async def show(self, token: Token) -> HTMLResponse:
        """Who is invited, and the button that creates the passkey."""
        return await self._threads.run(self._show, token)

    async def enrol(self, token: Token, request: Request) -> HTMLResponse:
        """Take the new passkey: ``{"credential": PublicKeyCredential as JSON, "label": text}``."""
        document = await json_object(request)
        credential, label = document.get("credential"), document.get("label", "")
        if not isinstance(credential, dict) or not isinstance(label, str):
            raise HTTPException(400, "The browser sent something that cannot be read.")
        return await self._threads.run(self._enrol, token, credential, " ".join(label.split())[:_MOST_LABEL])

    def _show(self, token: str) -> HTMLResponse:
        try:
            invited = step_up.invited(self._wiring, token)
        except KeyquellError as error:
            return gone(error, "This invitation is not good any more.")
        return page("enrol.html", invited=invited, token=token)

    def _enrol(self, token: str, credential: dict[str, object], label: str) -> HTMLResponse:
        try:
            person = step_up.enrol(self._wiring, token, credential, label=label)
        except KeyquellError as error:
            return refused(error, title="No passkey was added")
        return told(
            "Your passkey is ready",
            f"It approves plans for {person} from now on.",
            self._waiting(),
            next_step="If this device is lost, have the passkey removed at once: keyquell roster.",
            tone="good",
        )

    def _waiting(self) -> str:
        roster = self._wiring.roster
        hours = roster.rules.passkey_age_hours if roster is not None else 0
        return f"By your team's rules it counts when it is {hours:g} hours old." if hours else ""
