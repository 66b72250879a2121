"""Socket Mode, kept up: connected again at once after a cut, within seconds after a silence, however Slack fares.

The SDK finds out that a connection is dead, by pings; a new one is made here, each with a fresh address, because the
SDK would try a used address for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.adapter.socket_mode.async_internals import run_async_bolt_app, send_async_response
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from integrations.slack.deliveries import Deliveries, key_of

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 8.0


class SocketLine:
    """The one line to Slack, of one app.  ``connected`` may be asked from any thread, and ``trouble``: why it does not
    come up (Slack's code, or the kind of error), "" once it did.
    """

    def __init__(self, bolt: AsyncApp, *, app_token: str, deliveries: Deliveries, ping_seconds: float = 2.0) -> None:
        self._bolt = bolt
        self._app_token = app_token
        self._deliveries = deliveries
        self._ping_seconds = ping_seconds
        self._line: _Line | None = None
        self.trouble = ""

    @property
    def connected(self) -> bool:
        """Does Slack reach the listener now?"""
        return self._line is not None and self._line.alive

    async def run(self, ended: threading.Event) -> None:
        """Keep the line up until ``ended``."""
        pause = 0.0
        try:
            while not ended.is_set():
                if await self._renewed():
                    pause = 0.0
                    await self._while_good(ended)
                else:
                    pause = min(max(pause * 2, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
                    await _sleep(pause, ended)
        finally:
            if self._line is not None:
                line, self._line = self._line, None
                await line.end()

    async def _while_good(self, ended: threading.Event) -> None:
        while not ended.is_set() and self._line is not None and self._line.alive and not self._line.leaving:
            await asyncio.sleep(_LOOK_SECONDS)

    async def _renewed(self) -> bool:
        """Make a new line, and end the old one after it: what is being answered there is answered first."""
        line = _Line(self._bolt, self._app_token, self._deliveries, self._ping_seconds)
        try:
            await asyncio.wait_for(line.connect(), _CONNECT_SECONDS)
        except Exception as error:  # noqa: BLE001 - a line that does not come up is tried again, whatever the reason
            reason = str(error.response.get("error")) if isinstance(error, SlackApiError) else type(error).__name__
            _log.log(logging.DEBUG if reason == self.trouble else logging.INFO, "slack: no connection (%s)", reason)
            self.trouble = reason
            await line.end()
            return False
        _log.info("slack: connected")
        self.trouble = ""
        old, self._line = self._line, line
        if old is not None:
            await old.finish()
        return True


class _Line(AsyncSocketModeHandler):
    """One connection; ``leaving`` when Slack asked to make another."""

    def __init__(self, bolt: AsyncApp, app_token: str, deliveries: Deliveries, ping_seconds: float) -> None:
        super().__init__(bolt, app_token, ping_interval=ping_seconds)
        self.leaving = False
        self._deliveries = deliveries
        self._answering = 0
        self.client.default_auto_reconnect_enabled = self.client.auto_reconnect_enabled = False
        self.client.connect_to_new_endpoint = self._leave  # type: ignore[method-assign]  # the SDK has no other hook

    @property
    def alive(self) -> bool:
        session = self.client.current_session
        return session is not None and not session.closed

    async def connect(self) -> None:
        self.client.wss_uri = await self.client.issue_new_wss_url()
        await self.client.connect()  # type: ignore[no-untyped-call]

    async def handle(self, client: Any, req: Any) -> None:
        """Answer an envelope; a repeated one gets the first answer, and nothing is done again."""
        self._answering += 1
        try:
            started = time.time()
            key = key_of(req.payload, otherwise=f"envelope:{req.envelope_id}")
            response = await self._deliveries.once(key, lambda: run_async_bolt_app(self.app, req))
            await send_async_response(client, req, response, started)
        except Exception as error:  # noqa: BLE001 - Slack delivers again what was not acknowledged
            _log.warning("slack: an acknowledgement was not sent (%s)", type(error).__name__)
        finally:
            self._answering -= 1

    async def finish(self) -> None:
        """End once everything that arrived here is answered, after 3 s at the latest."""
        deadline = time.monotonic() + 3
        while self.alive and self._answering and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        await self.end()

    async def end(self) -> None:
        """Close, without waiting for a peer that does not answer."""
        client = self.client
        client.closed = True
        with contextlib.suppress(Exception):
            await asyncio.wait_for(client.close(), 0.5)  # type: ignore[no-untyped-call]
        for task in (client.message_processor, client.current_session_monitor, client.message_receiver):
            if task is not None:
                task.cancel()
        with contextlib.suppress(Exception):
            await client.aiohttp_client_session.close()

    async def _leave(self, force: bool = False) -> None:
        self.leaving = self.leaving or force


async def _sleep(seconds: float, ended: threading.Event) -> None:
    until = time.monotonic() + seconds
    while not ended.is_set() and time.monotonic() < until:
        await asyncio.sleep(min(_LOOK_SECONDS, seconds))
