"""The web server as a part of ``keyquell serve``: its port, its end, and what it says when it cannot begin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from web_office import WebOffice, web_office

from console.web.server import WebServer
from playbooks.errors import InvalidInput


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """An office that nobody serves yet."""
    with web_office(tmp_path) as found:
        yield found


def test_the_server_says_its_real_port_and_ends_requests_before_it_stops(office: WebOffice) -> None:
    """Port 0 takes a free one; a request that is under way when it is told to stop is answered."""
    entered = asyncio.Event()

    async def slow(_: Request) -> Response:
        entered.set()
        await asyncio.sleep(0.2)
        return PlainTextResponse("done")

    office.app.router.add_route("/slow", slow)

    async def use() -> tuple[str, int]:
        said: list[str] = []
        server, stop = WebServer(office.app, "127.0.0.1", 0, say=said.append), asyncio.Event()
        running = asyncio.create_task(server.run(stop))
        await server.listening.wait()
        assert said == [f"The web page listens on 127.0.0.1:{server.port}."]
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
            request = asyncio.create_task(client.get("/slow"))
            await entered.wait()
            stop.set()
            answer = await request
        await running
        return answer.text, server.port

    text, port = asyncio.run(use())
    assert text == "done"
    assert port > 0


def test_a_taken_port_is_named(office: WebOffice) -> None:
    """Not a stack trace, but the field to set."""

    async def twice() -> None:
        first, stop = WebServer(office.app, "127.0.0.1", 0), asyncio.Event()
        running = asyncio.create_task(first.run(stop))
        await first.listening.wait()
        try:
            with pytest.raises(InvalidInput, match=f"{first.port} cannot be listened on: the port is taken"):
                await WebServer(office.app, "127.0.0.1", first.port).run(asyncio.Event())
        finally:
            stop.set()
            await running

    asyncio.run(twice())
