"""What the listener says back: to one person's eyes, in a modal, or as a file.  A Slack that fails is logged.

Bot scopes: ``chat:write``, ``im:write``, ``files:write``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from integrations.slack.client import code_of, meaning, retry_after
from integrations.slack.limits import Json, fit
from playbooks.errors import Throttled, Unreachable

_log = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person asked, and so where the answer goes: a member id, a channel id, a response URL; "" for none."""

    user: str
    channel: str = ""
    response_url: str = ""


class _NoSuchWay(Exception):
    """Slack said no, and nothing was delivered."""


class _Lost(Exception):
    """No answer came; saying it again might say it twice."""


class Answers:
    """Says things to people by one bot token.

    A call that Slack certainly did not take (429, connection refused) is made again for at most ``patience_seconds``;
    one that it may have taken is not, so that nothing is said twice.  Every method says whether it succeeded.
    """

    def __init__(self, client: AsyncWebClient, *, quiet: logging.Logger, patience_seconds: float = 120.0) -> None:
        self._client = client
        self._quiet = quiet
        self._patience_seconds = patience_seconds

    async def whisper(self, place: Place, text: str, blocks: Sequence[Json] = ()) -> bool:
        """Tell one person, where they asked; in a direct message when that does not work."""
        message = fit({"text": text, **({"blocks": list(blocks)} if blocks else {})})
        ways: list[Callable[[], Awaitable[Any]]] = []
        if place.response_url:
            ways.append(lambda: self._respond(place.response_url, message))
        if place.channel.startswith(("C", "G")):
            to = {"channel": place.channel, "user": place.user}
            ways.append(lambda: self._client.api_call("chat.postEphemeral", json=to | message))
        ways.append(lambda: self._post(place.user, message))
        return await self._first_that_works("an answer", ways)

    async def direct(self, user: str, text: str, blocks: Sequence[Json] = ()) -> bool:
        """Tell one person in a direct message."""
        message = fit({"text": text, **({"blocks": list(blocks)} if blocks else {})})
        return await self._first_that_works("a direct message", [lambda: self._post(user, message)])

    async def open_view(self, trigger: str, view: Json) -> str:
        """Open a modal; its id, or "" when Slack did not open it.  Tried once: a trigger is good once, for 3 s."""
        try:
            answer = await self._client.views_open(trigger_id=trigger, view=fit(view))
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("slack: a form could not be opened (%s)", _code(error))
            return ""
        return str(answer["view"]["id"])

    async def update_view(self, view_id: str, view: Json) -> bool:
        """Put other content into an open modal."""
        content = fit(view)
        return await self._first_that_works(
            "a form's content", [lambda: self._client.views_update(view_id=view_id, view=content)]
        )

    async def hand_over(self, user: str, *, name: str, content: bytes, words: str) -> bool:
        """Give one person a file, in their direct messages and nowhere else."""

        async def upload() -> None:
            channel = await self._direct_channel(user)
            await self._client.files_upload_v2(
                channel=channel, filename=name, title=name, content=content, initial_comment=words
            )

        return await self._first_that_works("a file", [upload])

    async def delete(self, channel: str, ts: str) -> bool:
        """Delete a message of the bot's own."""
        return await self._first_that_works(
            "the deletion of a message", [lambda: self._client.chat_delete(channel=channel, ts=ts)]
        )

    async def permalink(self, channel: str, ts: str) -> str:
        """The address of a message; "" when Slack does not say."""
        try:
            found = await self._client.chat_getPermalink(channel=channel, message_ts=ts)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError):
            return ""
        return str(found["permalink"])

    async def _post(self, user: str, message: Json) -> None:
        await self._client.api_call(
            "chat.postMessage", json={"channel": await self._direct_channel(user), "unfurl_links": False} | message
        )

    async def _direct_channel(self, user: str) -> str:
        found = await self._client.conversations_open(users=user)
        return str(found["channel"]["id"])

    async def _respond(self, url: str, message: Json) -> None:
        webhook = AsyncWebhookClient(url, timeout=5, retry_handlers=[], logger=self._quiet)
        body = message | {"response_type": "ephemeral", "replace_original": False}
        answer = await webhook.send_dict(body)
        if answer.status_code == 429:
            raise _Later(float(answer.headers.get("Retry-After") or answer.headers.get("retry-after") or 1))
        if answer.status_code != 200:
            raise _NoSuchWay(str(answer.status_code))

    async def _first_that_works(self, what: str, ways: Sequence[Callable[[], Awaitable[Any]]]) -> bool:
        reason = ""
        for way in ways:
            try:
                await self._patiently(way)
            except _NoSuchWay as error:
                reason = str(error)
                continue
            except _Lost as error:
                reason = str(error)
                break
            return True
        _log.warning("slack: %s could not be given (%s)", what, reason)
        return False

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> None:
        ends = time.monotonic() + self._patience_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await call()
            except _Later as error:
                wait, reason = error.seconds, "ratelimited"
            except SlackApiError as error:
                wait, reason = _wait(error), "ratelimited"
            except aiohttp.ClientConnectorError:
                wait, reason = pause, "unreachable"
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise _Lost(_code(error)) from error
            else:
                return
            if time.monotonic() + wait > ends:
                raise _Lost(reason)
            await asyncio.sleep(wait)


class _Later(Exception):
    """Slack asked to come back after ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def _wait(error: SlackApiError) -> float:
    """Seconds until the call may be made again.  Raises: a refusal is final, Slack's own trouble leaves it open."""
    match meaning(error, "to answer"):
        case Throttled():
            return retry_after(error)
        case Unreachable():
            raise _Lost(_code(error)) from error
    raise _NoSuchWay(_code(error)) from error


def _code(error: BaseException) -> str:
    return (isinstance(error, SlackApiError) and code_of(error)) or type(error).__name__
