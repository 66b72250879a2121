"""The Slack listener: what people do in Slack becomes a question to the desk.

Slack app settings: a slash command, a message shortcut ``kq_report_leak``, interactivity, select menus by search; bot
scopes ``commands``, ``chat:write``, ``im:write``, ``files:write``; for Socket Mode an app token with
``connections:write``.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient
from starlette.requests import Request
from starlette.responses import Response

from integrations.secrets import read_secret
from integrations.slack import forms
from integrations.slack.answers import Answers
from integrations.slack.buttons import Buttons
from integrations.slack.client import QUIET, async_web_client
from integrations.slack.commands import Commands
from integrations.slack.context import Context
from integrations.slack.declaring import Declaring
from integrations.slack.deliveries import Deliveries
from integrations.slack.options import SlackOptions, read_options
from integrations.slack.reports import DELETE, SHORTCUT, Reports
from integrations.slack.signed_door import SignedDoor
from integrations.slack.socket_line import SocketLine
from integrations.slack.work import Work
from playbooks.desk import Desk
from playbooks.ports import Clock

_Listener = Callable[[Any, dict[str, Any]], Awaitable[None]]

_log = logging.getLogger(__name__)
_MOVES = re.compile(r"^kq:(contain|approve|deny|undo|stand-down|acknowledge)$")
_FINISH_SECONDS = 5.0


class SlackApp:
    """One Slack app, by Socket Mode or by signed HTTP.

    The order is always: acknowledge, then ask the desk, then speak.  No call to Slack stands between a click and the
    desk, and nothing that Slack does reaches back into it.
    """

    def __init__(self, name: str, options: SlackOptions, *, desk: Desk, clock: Clock) -> None:
        self.name = name
        self._mode = options.mode
        deliveries = Deliveries()
        client = async_web_client(options)
        self._work = (Work("slack-moves", threads=32, most=200), Work("slack-questions", threads=32, most=200))
        context = Context(
            desk=desk,
            answers=Answers(client, quiet=QUIET),
            moves=self._work[0],
            questions=self._work[1],
            deliveries=deliveries,
            clock=clock,
            command=options.command,
        )
        bolt = _bolt(client, team=options.team, signing_secret=_secret(options.signing_secret))
        _listen(bolt, context)
        self._line: SocketLine | None = None
        self._door: SignedDoor | None = None
        if options.mode == "socket":
            self._line = SocketLine(bolt, app_token=read_secret(options.app_token), deliveries=deliveries)
        else:
            secret = read_secret(options.signing_secret)
            self._door = SignedDoor(bolt, signing_secret=secret, deliveries=deliveries, clock=clock)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, desk: Desk, clock: Clock) -> Self:
        """Options: see ``integrations.slack.options``.  Slack is not called yet, so that it may be down.

        Raises InvalidInput naming the wrong field, or a secret that is not there.
        """
        return cls(name, read_options(name, options), desk=desk, clock=clock)

    @property
    def connected(self) -> bool:
        """Does Slack reach the listener?  In HTTP mode nobody can tell; it is ready as long as the web page is."""
        return self._door is not None or (self._line is not None and self._line.connected)

    @property
    def trouble(self) -> str:
        """Why Slack does not reach the listener (Slack's own code, or the kind of error), "" when nothing is known."""
        return self._line.trouble if self._line is not None else ""

    @property
    def handler(self) -> Callable[[Request], Awaitable[Response]] | None:
        """The endpoint that takes Slack's signed requests; None in Socket Mode."""
        return self._door.handle if self._door is not None else None

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until ``stop``, then finish what was acknowledged.

        Socket Mode has a thread and a loop of its own, so that nothing else in the process delays an acknowledgement.
        """
        if self._line is None:
            await stop.wait()
            await self._finish()
            return
        ended, done = threading.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        trouble: list[BaseException] = []

        def listen() -> None:
            try:
                asyncio.run(self._listen(ended))
            except BaseException as error:  # noqa: BLE001 - raised again where the caller waits
                trouble.append(error)
            finally:
                loop.call_soon_threadsafe(done.set)

        thread = threading.Thread(target=listen, daemon=True, name=f"slack-{self.name}")
        thread.start()
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(done.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            ended.set()
            await done.wait()
        finally:
            ended.set()
            for wait in waits:
                wait.cancel()
        if trouble:
            raise trouble[0]

    async def _listen(self, ended: threading.Event) -> None:
        if self._line is not None:
            await self._line.run(ended)
            await self._finish()

    async def _finish(self) -> None:
        await asyncio.gather(*(each.end(seconds=_FINISH_SECONDS) for each in self._work))


def _bolt(client: AsyncWebClient, *, team: str, signing_secret: str) -> AsyncApp:
    """Bolt without its habit of asking Slack who it is before it acknowledges."""

    async def authorize(enterprise_id: str | None, team_id: str | None, user_id: str | None) -> AuthorizeResult:
        return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id, user_id=user_id, bot_token=token)

    async def ours(req: Any, next: Any) -> Any:  # noqa: A002 - Bolt finds arguments by their names
        if team and req.context.team_id != team:
            return BoltResponse(status=200, body="")
        return await next()

    token, client.token = client.token, None
    bolt = AsyncApp(
        name="keyquell",
        logger=QUIET,
        client=client,
        authorize=authorize,
        before_authorize=ours,
        signing_secret=signing_secret or "unused",
        ssl_check_enabled=False,
    )
    client.token = token
    return bolt


def _secret(reference: str) -> str:
    return read_secret(reference) if reference else ""


def _listen(bolt: AsyncApp, context: Context) -> None:
    declaring = Declaring(context)
    commands, buttons, reports = Commands(context, declaring), Buttons(context), Reports(context, declaring)
    bolt.command(context.command)(_guarded(commands.typed))
    bolt.action(_MOVES)(_guarded(buttons.pressed))
    bolt.action(DELETE)(_guarded(reports.deleted))
    bolt.action(re.compile("^kq:"))(_guarded(_nothing_to_do))
    bolt.options(forms.TARGET)(_guarded(declaring.search))
    bolt.view(forms.DECLARE)(_guarded(declaring.submitted))
    bolt.view(forms.REPORT)(_guarded(reports.submitted))
    bolt.view(forms.DENY)(_guarded(buttons.denied))
    bolt.view(forms.STAND_DOWN)(_guarded(buttons.stood_down))
    bolt.message_shortcut(SHORTCUT)(_guarded(reports.chosen))


def _guarded(listener: _Listener) -> _Listener:
    """The listener, always acknowledging, never raising: Bolt loses an acknowledgement before an error."""

    async def listen(ack: Any, body: dict[str, Any]) -> None:
        try:
            await listener(ack, body)
        except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold what a person wrote
            _log.warning("slack: a request was not understood (%s)", type(error).__name__)
            if ack.response is None:
                await ack()

    return listen


async def _nothing_to_do(ack: Any, _: dict[str, Any]) -> None:
    """A button that is a link."""
    await ack()
