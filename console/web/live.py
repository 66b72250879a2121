"""Server-sent events: ``grown`` whenever any record has (HTML Living Standard, 9.2); one look serves all listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import StreamingResponse

from console.web.site import Site
from playbooks.errors import KeyquellError

_LOOK_SECONDS = 1.0
_ALIVE_SECONDS = 15.0
_STEP_SECONDS = 0.5
_MOST = 200


class Live:
    """``GET /live``.  While nobody listens, nothing is looked at."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._listeners: set[asyncio.Queue[None]] = set()
        self._looking: asyncio.Task[None] | None = None

    def router(self) -> APIRouter:
        """The route."""
        routes = APIRouter(include_in_schema=False)
        routes.add_api_route("/live", self.listen, methods=["GET"])
        return routes

    async def listen(self, request: Request) -> StreamingResponse:
        """A stream without end for somebody who may read."""
        self._site.visitors.of(request)
        if len(self._listeners) >= _MOST:
            raise HTTPException(503, "Too many pages listen already.")
        return StreamingResponse(self._events(request), media_type="text/event-stream")

    async def _events(self, request: Request) -> AsyncIterator[str]:
        mine: asyncio.Queue[None] = asyncio.Queue(maxsize=1)
        self._listeners.add(mine)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            yield "retry: 3000\n\n"
            quiet = 0.0
            while not (request.app.state.stopping or await request.is_disconnected()):
                try:
                    await asyncio.wait_for(mine.get(), _STEP_SECONDS)
                    yield "event: grown\ndata: \n\n"
                    quiet = 0.0
                except TimeoutError:
                    quiet += _STEP_SECONDS
                if quiet >= _ALIVE_SECONDS:
                    yield ": alive\n\n"
                    quiet = 0.0
        finally:
            self._listeners.discard(mine)

    async def _look(self) -> None:
        """Until nobody listens any more."""
        seen: dict[str, int] | None = None
        while self._listeners:
            try:
                heads = await self._site.people.run(self._site.wiring.records.heads)
            except KeyquellError:
                heads = seen or {}
            if seen is not None and heads != seen:
                for each in self._listeners:
                    if each.empty():
                        each.put_nowait(None)
            seen = heads
            await asyncio.sleep(_LOOK_SECONDS)
