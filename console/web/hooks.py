"""Webhooks: findings of detectors, words of the pager, and the chat's requests where it speaks HTTP.

Answers are fast (the response itself runs in the background) and tell a forger nothing.  What could not be written down
is answered with 503, so that the sender sends it again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response

from console.web.threads import Threads
from flows.background import Background
from flows.pager_words import hear_pager
from flows.reception import hear
from flows.wiring import Wiring
from playbooks.desk import Desk
from playbooks.errors import InvalidInput, KeyquellError, NotApproved, NotFound, Refused, Unavailable

Name = Annotated[str, Path(min_length=1, max_length=128, description="As in keyquell.yaml.")]


class Heard(BaseModel):
    """The webhook was taken; ``incidents`` were opened or joined by it, or had a word of the pager."""

    incidents: int = Field(ge=0)


class Problem(BaseModel):
    """Why a request was not taken, in one sentence."""

    error: str


_SENTENCES = {
    400: "The signed body is not what this sender's format says.",
    401: "The signature is not this sender's.",
    404: "Nobody of this name is listened to here.",
    408: "The request took too long.",
    413: "The request is larger than 1 MiB.",
    429: "Too much was turned away; send it again later.",
    503: "It could not be written down; send it again.",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": sentence} for status, sentence in _SENTENCES.items()
}
_BODY = {
    "requestBody": {
        "required": True,
        "description": "As its sender signs it, at most 1 MiB.",
        "content": {"application/json": {"schema": {}}},
    }
}


def router(wiring: Wiring, desk: Desk, background: Background, threads: Threads, *, chat: Any) -> APIRouter:
    """The routes of all senders; that of the chat only when it has a handler."""
    hooks = _Hooks(wiring, desk, background, threads)
    routes = APIRouter()
    for path, take in (("/hooks/detectors/{name}", hooks.detector), ("/hooks/pagers/{name}", hooks.pager)):
        routes.add_api_route(
            path,
            take,
            methods=["POST"],
            status_code=202,
            response_model=Heard,
            responses=_RESPONSES,
            openapi_extra=_BODY,
        )
    if handler := getattr(chat, "handler", None):
        routes.add_route("/slack/events", _events(handler), methods=["POST"])
    return routes


def _events(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def events(request: Request) -> Response:
        return await handler(request)

    return events


class _Hooks:
    def __init__(self, wiring: Wiring, desk: Desk, background: Background, threads: Threads) -> None:
        self._wiring = wiring
        self._desk = desk
        self._background = background
        self._threads = threads

    async def detector(self, name: Name, request: Request) -> Response:
        """A detector's signed findings: they open or join incidents, whose pre-approved containment starts at once."""
        headers, body = dict(request.headers), await request.body()

        def take() -> int:
            return len(hear(self._wiring, self._background, name, headers=headers, body=body))

        return await self._answer(name, self._wiring.settings.detectors, take)

    async def pager(self, name: Name, request: Request) -> Response:
        """What people did in the pager: an acknowledge there is an acknowledge here, once."""
        headers, body = dict(request.headers), await request.body()

        def take() -> int:
            return hear_pager(self._wiring, self._desk, name, headers=headers, body=body)

        return await self._answer(name, self._wiring.settings.pagers, take)

    async def _answer(self, name: str, configured: tuple[Mapping[str, Any], ...], take: Callable[[], int]) -> Response:
        if name not in {str(each.get("name", each.get("type"))) for each in configured}:
            return _problem(404)  # before an adapter of that name is looked for
        try:
            return JSONResponse({"incidents": await self._threads.run(take)}, status_code=202)
        except Refused:
            return _problem(401)
        except InvalidInput:
            return _problem(400)
        except (NotFound, Unavailable):
            return _problem(404)
        except NotApproved:
            # Refused and recorded.  A pager that is told so would send it again, and in the end stop sending at all.
            return JSONResponse({"incidents": 0}, status_code=202)
        except KeyquellError:
            return _problem(503)


def _problem(status: int) -> Response:
    headers = {"retry-after": "5"} if status == 503 else None
    return JSONResponse({"error": _SENTENCES[status]}, status_code=status, headers=headers)
