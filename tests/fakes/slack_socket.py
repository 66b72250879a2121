"""Socket Mode of the fake Slack: connections, envelopes, acknowledgements, and how they go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from fakes.slack_workspace import Workspace


class NotAnsweredError(AssertionError):
    """The app did not acknowledge in the time that Slack gives."""


@dataclass(frozen=True)
class Ack:
    """What the app answered: ``body`` (empty when it only acknowledged), HTTP status, seconds from first sending."""

    body: dict[str, Any]
    status: int
    seconds: float
    envelope: str = ""
    attempts: int = 1


@dataclass
class Envelope:
    """One thing Slack tells the app; ``acks`` counts every acknowledgement of it."""

    id: str
    content: dict[str, Any]
    sent_at: list[float] = field(default_factory=list)
    acks: int = 0
    acked: asyncio.Event = field(default_factory=asyncio.Event)
    acked_at: float = 0.0
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class _Connection:
    ws: web.WebSocketResponse
    request: web.BaseRequest
    half_open: bool = False


class Sockets:
    """All websocket connections of the app.  Lives in the server's loop."""

    def __init__(self, space: Workspace, *, ack_seconds: float) -> None:
        self.space = space
        self.ack_seconds = ack_seconds
        self.envelopes: dict[str, Envelope] = {}
        self.connections: list[_Connection] = []
        self.connected = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """One connection, from hello until it ends."""
        ends = self.space.tickets.pop(request.query.get("ticket", ""), 0.0)
        if time.monotonic() > ends:
            return web.Response(status=403, text="invalid ticket")
        ws = web.WebSocketResponse(autoping=False, autoclose=False)
        await ws.prepare(request)
        connection = _Connection(ws, request)
        self.connections.append(connection)
        self.connected += 1
        hello = {"type": "hello", "num_connections": len(self.live), "connection_info": {"app_id": self.space.app}}
        await ws.send_json(hello | {"debug_info": {"host": "fake", "approximate_connection_time": 18060}})
        try:
            await self._listen(connection)
        finally:
            self.connections.remove(connection)
        return ws

    @property
    def live(self) -> list[_Connection]:
        """Connections over which something arrives."""
        return [each for each in self.connections if not each.half_open and not each.ws.closed]

    async def _listen(self, connection: _Connection) -> None:
        ws = connection.ws
        while True:
            message = await ws.receive()
            if message.type in (WSMsgType.CLOSED, WSMsgType.CLOSING, WSMsgType.ERROR):
                return
            if connection.half_open:
                continue
            if message.type is WSMsgType.CLOSE:
                await ws.close()
                return
            if message.type is WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is WSMsgType.TEXT:
                self._take(json.loads(message.data))

    def _take(self, ack: dict[str, Any]) -> None:
        envelope = self.envelopes.get(ack.get("envelope_id", ""))
        if envelope is None:
            return
        envelope.acks += 1
        if not envelope.acked.is_set():
            envelope.acked_at, envelope.payload = time.monotonic(), ack.get("payload") or {}
            envelope.acked.set()

    async def deliver(self, kind: str, payload: dict[str, Any], *, retries: int) -> Ack:
        """Send one envelope until it is acknowledged; NotAnsweredError after the last retry."""
        name = str(uuid.uuid4())
        content = {"envelope_id": name, "type": kind, "accepts_response_payload": kind != "events_api"}
        envelope = Envelope(name, content | {"payload": payload})
        self.envelopes[name] = envelope
        started = time.monotonic()
        for attempt in range(retries + 1):
            more = {"retry_attempt": attempt, "retry_reason": "timeout"} if attempt else {}
            await self._send(envelope.content | more, until=time.monotonic() + self.ack_seconds)
            envelope.sent_at.append(time.monotonic())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(envelope.acked.wait(), self.ack_seconds)
                return Ack(envelope.payload, 200, envelope.acked_at - started, name, attempt + 1)
        raise NotAnsweredError(f"the app did not acknowledge {kind} in {retries + 1} attempts")

    async def replay(self, name: str) -> Ack:
        """Send an acknowledged envelope again, as it was."""
        envelope = self.envelopes[name]
        first, envelope.acked = envelope.acked, asyncio.Event()
        started = time.monotonic()
        await self._send(
            envelope.content | {"retry_attempt": 1, "retry_reason": "timeout"}, until=started + self.ack_seconds
        )
        try:
            await asyncio.wait_for(envelope.acked.wait(), self.ack_seconds)
        except TimeoutError as error:
            raise NotAnsweredError("the app did not acknowledge the replay") from error
        finally:
            first.set()
        return Ack(envelope.payload, 200, envelope.acked_at - started, name, 2)

    async def _send(self, content: dict[str, Any], *, until: float) -> None:
        """Hand it to the newest connection, waiting for one; a half-open connection swallows it."""
        while not self.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        if self.connections and (self.live or not self.connections[-1].ws.closed):
            connection = self.live[-1] if self.live else self.connections[-1]
            if not connection.half_open:
                with contextlib.suppress(ConnectionError):
                    await connection.ws.send_json(content)

    def drop(self) -> None:
        """Cut every connection without a word."""
        for each in self.connections:
            if each.request.transport is not None:
                each.request.transport.abort()

    def half_open(self) -> None:
        """Let the present connections go silent, while TCP stays."""
        for each in self.connections:
            each.half_open = True

    async def ask_to_leave(self, reason: str) -> None:
        """Tell every connection to reconnect (``refresh_requested``, ``warning``, ``link_disabled``)."""
        for each in self.live:
            await each.ws.send_json({"type": "disconnect", "reason": reason, "debug_info": {"host": "fake"}})
