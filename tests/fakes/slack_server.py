"""A truthful fake Slack: Web API, Socket Mode, interactions and their faults, driven by the real SDKs.

It refuses what Slack refuses.  ``with FakeSlack() as slack:`` serves on 127.0.0.1 in a thread of its own; give
``slack.base_url`` to the SDK.  Calls that play a person block until the app has answered: from a coroutine in the
app's own loop use ``asyncio.to_thread``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import secrets
import threading
import time
from collections import defaultdict, deque
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from fakes import slack_conversations, slack_direct, slack_views
from fakes.slack_chat import respond
from fakes.slack_people import PlaysPeople
from fakes.slack_socket import Ack, NotAnsweredError, Sockets
from fakes.slack_workspace import METHODS, Args, Method, SlackError

__all__ = ["Ack", "Call", "FakeSlack", "NotAnsweredError", "SlackError"]
_REGISTERED = (slack_conversations, slack_direct, slack_views)
_T = TypeVar("_T")
DEFAULT_SCOPES = frozenset(scope for each in METHODS.values() if each.token == "bot" for scope in each.scopes) | {
    "commands"
}


@dataclass
class Call:
    """One call of the Web API; ``error`` is "" when it was answered with ok."""

    method: str
    args: Args
    who: str
    at: float
    error: str = "unanswered"


@dataclass
class _Fault:
    times: int
    error: str = ""
    retry_after: int = 0
    hang_seconds: float = 0.0
    after: bool = False


class FakeSlack(PlaysPeople):
    """One workspace with one installed app.

    ``limits`` replaces calls per minute by method (``{}`` for none at all); ``deliver`` is "socket" or "http",
    the latter to ``http_target``.  State: ``channels``, ``messages()``, ``views``, ``ephemerals``, ``calls``.
    """

    def __init__(
        self,
        *,
        limits: Mapping[str, int] | None = None,
        deliver: str = "socket",
        http_target: str = "",
        ack_seconds: float = 3.0,
        retries: int = 3,
    ) -> None:
        super().__init__()
        self.bot_token = f"xoxb-{secrets.token_hex(12)}"
        self.app_token = f"xapp-1-{self.app}-{secrets.token_hex(12)}"
        self.signing_secret = secrets.token_hex(16)
        self.deliver, self.http_target = deliver, http_target
        self.ack_seconds, self.retries = ack_seconds, retries
        self.scopes = set(DEFAULT_SCOPES)
        self.app_scopes = {"connections:write"}
        self.limits = {name: each.per_minute for name, each in METHODS.items()} if limits is None else dict(limits)
        self.calls: list[Call] = []
        self.sockets = Sockets(self, ack_seconds=ack_seconds)
        self.revoked = False
        self._faults: dict[str, list[_Fault]] = defaultdict(list)
        self._recent: dict[tuple[str, str], deque[float]] = defaultdict(deque)
        self._loop = asyncio.new_event_loop()
        self._port = 0
        self._server: web.Server[web.BaseRequest] | None = None
        self._listening: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-slack", daemon=True)
        self._thread.start()
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def base_url(self) -> str:
        """What the SDKs get."""
        return f"{self.base}/api/"

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something in the server's loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    # --- faults -----------------------------------------------------------------------------

    def fail(self, method: str, *, error: str = "internal_error", times: int = 1) -> None:
        """Answer the next calls of a method ("*": of any) with this error, without doing anything."""
        self._faults[method].append(_Fault(times, error=error))

    def rate_limit(self, method: str, retry_after: int, times: int = 1) -> None:
        """Answer the next calls with 429."""
        self._faults[method].append(_Fault(times, retry_after=retry_after))

    def hang(self, method: str, seconds: float, *, times: int = 1, after: bool = False) -> None:
        """Hold the next calls up: before anything is done, or ``after`` it was done and before it is answered."""
        self._faults[method].append(_Fault(times, hang_seconds=seconds, after=after))

    def heal(self) -> None:
        """Forget every fault that was asked for."""
        self._faults.clear()

    def down(self) -> None:
        """Refuse connections and cut those that are open."""
        self.run(self._down())

    def up(self) -> None:
        """Listen (again) on the same port."""
        self.run(self._up())

    def drop_socket(self) -> None:
        """Cut the websocket without a word."""
        self._loop.call_soon_threadsafe(self.sockets.drop)

    def half_open(self) -> None:
        """Keep the websocket's TCP, answer no ping, deliver nothing; new connections work."""
        self._loop.call_soon_threadsafe(self.sockets.half_open)

    def ask_to_reconnect(self, reason: str = "refresh_requested") -> None:
        """Send a disconnect message."""
        self.run(self.sockets.ask_to_leave(reason))

    async def _up(self) -> None:
        self._server = web.Server(self._handle)  # type: ignore[arg-type]
        self._listening = await self._loop.create_server(self._server, "127.0.0.1", self._port, reuse_address=True)
        self._port = self._listening.sockets[0].getsockname()[1]
        self.base = f"http://127.0.0.1:{self._port}"

    async def _down(self) -> None:
        self.sockets.drop()
        if self._listening is not None and self._server is not None:
            self._listening.close()
            for connection in list(self._server.connections):
                if connection.transport is not None:
                    connection.transport.abort()
            await self._server.shutdown(0)
        self._listening = self._server = None

    async def _end(self) -> None:
        waiting = [each for each in asyncio.all_tasks() if each is not asyncio.current_task()]
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    # --- the Web API ------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        room, _, rest = request.path.lstrip("/").partition("/")
        if room == "link":
            return await self.sockets.serve(request)
        if room == "upload":
            return await self._upload(request, rest)
        if room == "actions":
            return await self._response_url(request, rest.partition("/")[2])
        if room == "api":
            return await self._api(request, rest)
        return web.Response(status=404)

    async def _api(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        args = await _arguments(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ") or str(args.pop("token", ""))
        args.pop("token", None)
        who = {self.bot_token: "bot", self.app_token: "app"}.get(token, "nobody" if token else "")
        call = Call(name, args, who, time.monotonic())
        self.calls.append(call)
        fault = self._fault(name)
        if fault and fault.hang_seconds and not fault.after:
            await asyncio.sleep(fault.hang_seconds)
        answer, status, headers = self._answer(call, fault)
        if fault and fault.hang_seconds and fault.after:
            await asyncio.sleep(fault.hang_seconds)
        call.error = str(answer.get("error", ""))
        if who:
            headers = headers | {"X-OAuth-Scopes": ",".join(sorted(self.scopes if who == "bot" else self.app_scopes))}
        return web.json_response(answer, status=status, headers=headers)

    def _answer(self, call: Call, fault: _Fault | None) -> tuple[dict[str, Any], int, dict[str, str]]:
        wait = fault.retry_after if fault else 0
        try:
            if fault and fault.error:
                raise SlackError(fault.error)
            method = self._admitted(call)
            wait = wait or self._wait_seconds(method, call.args)
            if wait:
                return {"ok": False, "error": "ratelimited"}, 429, {"Retry-After": str(wait)}
            with self.lock:
                return {"ok": True} | (method.run(self, call.args) or {}), 200, {}
        except SlackError as error:
            return {"ok": False, "error": error.code} | error.more, 200, {}

    def _admitted(self, call: Call) -> Method:
        if not call.who:
            raise SlackError("not_authed")
        if call.who == "nobody":
            raise SlackError("invalid_auth")
        if self.revoked:
            raise SlackError("token_revoked")
        method = METHODS.get(call.method)
        if method is None:
            raise SlackError("unknown_method", req_method=call.method)
        if method.token != call.who:
            raise SlackError("not_allowed_token_type")
        held = self.scopes if call.who == "bot" else self.app_scopes
        if method.scopes and not held & set(method.scopes):
            provided = ",".join(sorted(held))
            raise SlackError("missing_scope", needed=",".join(method.scopes), provided=provided)
        missing = [name for name in method.needs if call.args.get(name) in (None, "")]
        if missing:
            messages = [f"[ERROR] missing required field: {name}" for name in missing]
            raise SlackError("invalid_arguments", response_metadata={"messages": messages})
        return method

    def _wait_seconds(self, method: Method, args: Args) -> int:
        most = self.limits.get(method.name)
        if most is None:
            return 0
        recent = self._recent[method.name, str(args.get("channel", "")) if method.per_channel else ""]
        now = time.monotonic()
        while recent and now - recent[0] > 60:
            recent.popleft()
        if len(recent) >= most:
            return max(1, math.ceil(60 - (now - recent[0])))
        recent.append(now)
        return 0

    def _fault(self, method: str) -> _Fault | None:
        for waiting in (self._faults[method], self._faults["*"]):
            while waiting and waiting[0].times < 1:
                waiting.pop(0)
            if waiting:
                waiting[0].times -= 1
                return waiting[0]
        return None

    async def _upload(self, request: web.BaseRequest, name: str) -> web.Response:
        file = self.files.get(name)
        if file is None:
            return web.Response(status=404)
        content = await request.read()
        if request.content_type == "multipart/form-data":
            form = await request.post()
            parts = [each for each in form.values() if isinstance(each, web.FileField)]
            content = parts[0].file.read() if parts else b""
        if len(content) != file["length"]:
            return web.Response(status=400, text="length mismatch")
        file["content"] = content
        return web.Response(text=f"OK - {len(content)}")

    async def _response_url(self, request: web.BaseRequest, name: str) -> web.Response:
        self.calls.append(call := Call("response_url", await _arguments(request), "url", time.monotonic()))
        try:
            with self.lock:
                respond(self, name, call.args)
        except SlackError as error:
            call.error = error.code
            return web.Response(status=404 if error.code.endswith("_url") else 400, text=error.code)
        call.error = ""
        return web.Response(text="ok")


async def _arguments(request: web.BaseRequest) -> Args:
    args: Args = dict(request.query)
    if request.content_type == "application/json":
        with contextlib.suppress(ValueError):
            found = json.loads(await request.read() or b"{}")
            args |= found if isinstance(found, dict) else {}
    elif request.content_type == "multipart/form-data":
        args |= dict(await request.post())
    else:
        args |= dict(parse_qsl((await request.read()).decode(), keep_blank_values=True))
    return args
