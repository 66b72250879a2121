"""How often one address may knock: enough for a room full of responders, too little to wear anything out.

A link that was made lately is let in however often its address was turned away, because responders and an attacker may
share one address (an office, a proxy).
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.addresses import client_address
from console.web.links import token_in
from console.web.pages import told
from console.web.threads import Threads

_MOST_ADDRESSES = 4096
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests at once, and so many a second after that."""

    burst: float
    per_second: float


PEOPLE = Rate(burst=120, per_second=4)
"""Links: opening one and answering takes four requests."""
PROGRAMS = Rate(burst=600, per_second=50)
"""Webhooks and the chat's requests.  Only those that are turned away count, so that a sender is never its own flood."""


class Buckets:
    """A token bucket for each address, of the most recent addresses; an IPv6 customer (/64) is one address."""

    def __init__(
        self, rate: Rate, *, seconds: Callable[[], float] = time.monotonic, most_addresses: int = _MOST_ADDRESSES
    ) -> None:
        self._rate = rate
        self._seconds = seconds
        self._most = most_addresses
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """Take one; returns 0.0, or in how many seconds there will be one when there is none."""
        name = _neighbourhood(address)
        level, now = self._level(name)
        self._keep(name, level - 1 if level >= 1 else level, now)
        return 0.0 if level >= 1 else (1 - level) / self._rate.per_second

    def give_back(self, address: str) -> None:
        """What was taken did not count."""
        name = _neighbourhood(address)
        level, now = self._level(name)
        self._keep(name, min(level + 1, self._rate.burst), now)

    def __len__(self) -> int:
        return len(self._levels)

    def _level(self, name: str) -> tuple[float, float]:
        now = self._seconds()
        level, at = self._levels.get(name, (self._rate.burst, now))
        return min(level + (now - at) * self._rate.per_second, self._rate.burst), now

    def _keep(self, name: str, level: float, now: float) -> None:
        self._levels[name] = (level, now)
        self._levels.move_to_end(name)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)


class Limits:
    """ASGI middleware.  ``know_link`` says of a token, in a thread, whether a link with it was made lately."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        trusted_proxies: Iterable[str],
        know_link: Callable[[str], bool],
        people: Buckets | None = None,
        programs: Buckets | None = None,
    ) -> None:
        self._app = app
        self._trusted_proxies = tuple(trusted_proxies)
        self._know_link = know_link
        self._people = Buckets(PEOPLE) if people is None else people
        self._programs = Buckets(PROGRAMS) if programs is None else programs
        self._threads = Threads()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 429 with the seconds to wait."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith(("/approve/", "/enrol/")):
            await self._for_people(scope, receive, send)
        elif scope["type"] == "http" and path.startswith(("/hooks/", "/slack/")):
            await self._for_programs(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _for_people(self, scope: Scope, receive: Receive, send: Send) -> None:
        wait = self._people.take(self._address(scope))
        if wait and not await self._threads.run(self._know_link, token_in(scope["path"])):
            sentence = "Too many links were tried from where you are."
            page = told("Wait a moment", sentence, next_step="Open the link again.", tone="bad", status=_TOO_MANY)
            await _later(page, wait)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _for_programs(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._address(scope)
        if wait := self._programs.take(address):
            problem = JSONResponse({"error": "Too much was turned away; send it again later."}, _TOO_MANY)
            await _later(problem, wait)(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] not in range(400, 500):
                self._programs.give_back(address)
            await send(message)

        await self._app(scope, receive, answer)

    def _address(self, scope: Scope) -> str:
        return client_address(Request(scope), self._trusted_proxies)


def _later(answer: Response, seconds: float) -> Response:
    answer.headers["retry-after"] = str(max(1, math.ceil(seconds)))
    return answer


def _neighbourhood(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((int(found), 64), strict=False)) if found.version == 6 else str(found)
