"""A Slack listener run for a test: beside it in a thread, against the fake, over the socket or signed HTTP."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from fakes.slack_server import FakeSlack
from starlette.applications import Starlette
from starlette.routing import Route

from integrations.slack.app import SlackApp


def until(condition: Callable[[], Any], what: str, *, seconds: float = 20.0) -> Any:
    """The first true answer of the condition; an assertion error when there is none."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"in vain: {what}")


def clock() -> datetime:
    """The time now."""
    return datetime.now(UTC)


def options_for(tmp_path: Path, slack: FakeSlack, **more: Any) -> dict[str, Any]:
    """The ``slack:`` section for the fake, its secrets in files."""
    secrets = {"bot_token": slack.bot_token, "app_token": slack.app_token, "signing_secret": slack.signing_secret}
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
    return {name: f"file:{tmp_path / name}" for name in secrets} | {"base_url": slack.base_url} | more


def open_app(tmp_path: Path, slack: FakeSlack, desk: Any, **more: Any) -> SlackApp:
    """A listener for the fake."""
    return SlackApp.open("slack", options_for(tmp_path, slack, **more), desk=desk, clock=clock)


@contextmanager
def listening(app: SlackApp) -> Iterator[None]:
    """Run the listener beside the test, and see that it ends when told to."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(app.run(stop)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        assert not thread.is_alive()
        loop.close()


@contextmanager
def serving(app: SlackApp, slack: FakeSlack) -> Iterator[None]:
    """Serve the listener's endpoint on HTTP, and tell the fake where."""
    assert app.handler is not None
    web = Starlette(routes=[Route("/slack/events", app.handler, methods=["POST", "GET"])])
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web, log_level="critical"))
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]), daemon=True)
    thread.start()
    slack.deliver, slack.http_target = "http", f"http://127.0.0.1:{listener.getsockname()[1]}/slack/events"
    until(lambda: server.started, "the server")
    try:
        with listening(app):
            yield
    finally:
        server.should_exit = True
        thread.join(10)
