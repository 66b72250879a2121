"""What ``keyquell serve`` listens to beside the detectors: the web page, and the chat where one is configured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from console.web.app import create_app
from console.web.server import WebServer
from flows.background import Background
from flows.desk import ResponseDesk
from flows.saying import Say
from flows.serve import Service
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from playbooks.errors import KeyquellError, Refused
from playbooks.ports import Checks

_LOOK_SECONDS = 0.5
_PATIENCE_SECONDS = 5.0
"""A line that is cut and back within so long is no news."""
_CHECK_AGAIN_SECONDS = 60.0


def services(wiring: Wiring, background: Background, say: Say) -> Sequence[Service]:
    """The web page, already bound to the configured address, and the chat.

    Raises InvalidInput for an address that cannot be listened on, and for a chat whose settings cannot work.
    """
    desk = ResponseDesk(wiring, background)
    chat = wiring.chat(desk)
    web = wiring.settings.web
    app = create_app(wiring, desk, background, chat=chat)
    server = WebServer(app, web.address, web.port, say=say)
    server.bind()
    listening: list[Service] = [server, _Slow(app.state.slow)]
    return listening if chat is None else [*listening, _Chat(chat, wiring.surfaces().get("slack"), say)]


class _Slow:
    """Takes the looks that are slow the first time, after whatever is urgent, so that nobody waits for them."""

    name = "pages"

    def __init__(self, looks: Sequence[Callable[[], object]]) -> None:
        self._looks = looks

    async def run(self, stop: asyncio.Event) -> None:
        for look in self._looks:
            await asyncio.to_thread(self._take, look)
        await stop.wait()

    def _take(self, look: Callable[[], object]) -> None:
        after_the_urgent()
        after_the_proofs()
        look()


class _Chat:
    """The chat's listener; says when the chat does not reach us, why, and when it does again."""

    def __init__(self, chat: Any, board: Any, say: Say) -> None:
        self.name = "chat"
        self._chat = chat
        self._board = board
        self._say = say

    async def run(self, stop: asyncio.Event) -> None:
        beside = [asyncio.create_task(self._watch_line()), asyncio.create_task(self._check_token())]
        try:
            await self._chat.run(stop)
        finally:
            for each in beside:
                each.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _watch_line(self) -> None:
        """Say once that the line is lost, and once that it is back."""
        lost, said = time.monotonic(), ""
        while True:
            if self._chat.connected:
                lost = time.monotonic()
                if said:
                    self._say("The chat is connected again.")
                said = ""
            elif not said and time.monotonic() - lost > (0 if _is_final(self._chat) else _PATIENCE_SECONDS):
                said = self._chat.trouble or "no answer"
                self._say(f"The chat is not connected ({said}): cases are contained without it. {_WAY_OUT}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _check_token(self) -> None:
        """Say once that the chat refuses the token with which boards and answers speak."""
        while isinstance(self._board, Checks):
            with suppress(KeyquellError):
                refused = await asyncio.to_thread(_refusal, self._board.check)
                if refused:
                    self._say(f"chat: {refused} Cases are contained without it; terminal and web page work.")
                return
            await asyncio.sleep(_CHECK_AGAIN_SECONDS)


_WAY_OUT = "`keyquell doctor` looks closer; terminal and web page work."
_FINAL = frozenset({"invalid_auth", "not_authed", "account_inactive", "token_revoked", "not_allowed_token_type"})


def _is_final(chat: Any) -> bool:
    """Does the reason not pass by itself?"""
    return chat.trouble in _FINAL


def _refusal(check: Callable[[], str]) -> str:
    """Why the chat refuses; "" when it does not.  Raises what may pass."""
    try:
        check()
    except Refused as error:
        return str(error)
    return ""
