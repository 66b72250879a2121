"""What people do in the fake Slack reaches a real Bolt app: commands, modals, clicks, over a socket or signed HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from fakes.slack_answers import UnableError
from fakes.slack_server import FakeSlack, NotAnsweredError
from fakes.slack_words import actions, button, input_of, modal, text_of
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient


@contextlib.asynccontextmanager
async def _socket_app(slack: FakeSlack) -> AsyncIterator[AsyncApp]:
    app = AsyncApp(client=AsyncWebClient(slack.bot_token, base_url=slack.base_url), signing_secret="unused")
    handler = AsyncSocketModeHandler(app, slack.app_token, ping_interval=0.5)
    await handler.connect_async()
    try:
        yield app
    finally:
        await handler.close_async()


def _asks(app: AsyncApp, opened: list[str], *blocks: dict[str, Any]) -> None:
    @app.command("/keyquell")
    async def command(ack: Any, body: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        answer = await client.views_open(trigger_id=body["trigger_id"], view=modal(*blocks, callback_id="m"))
        opened.append(answer["view"]["id"])


async def _eventually(condition: Any) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it did not happen")


def test_a_command_opens_a_modal_which_is_searched_filled_and_submitted(slack: FakeSlack) -> None:
    """The whole way over Socket Mode; only offered options and complete answers are taken."""
    user, opened, got = slack.add_user("anna"), [], []
    blocks = [
        input_of("what", {"type": "external_select", "min_query_length": 1}),
        input_of("why", {"type": "plain_text_input", "max_length": 10}),
        input_of("more", {"type": "plain_text_input"}, optional=True),
    ]

    async def scene() -> None:
        async with _socket_app(slack) as app:
            _asks(app, opened, *blocks)

            @app.options("what")
            async def options(ack: Any, payload: dict[str, Any]) -> None:
                await ack(options=[{"text": text_of(payload["value"]), "value": "v1"}])

            @app.view("m")
            async def submitted(ack: Any, view: dict[str, Any]) -> None:
                got.append(view["state"]["values"])
                if len(got) == 1:
                    await ack(response_action="errors", errors={"b-why": "say more"})
                else:
                    await ack()

            ack = await asyncio.to_thread(slack.slash, "/keyquell", "declare", user)
            assert ack.seconds < 3
            await _eventually(lambda: opened)
            with pytest.raises(UnableError):
                await asyncio.to_thread(slack.submit, opened[0], {"what": "v1", "why": "x"}, user)
            assert [each["value"] for each in await asyncio.to_thread(slack.suggest, "what", "key", user)] == ["v1"]
            for wrong in ({"what": "v1"}, {"what": "v2", "why": "x"}, {"what": "v1", "why": "x" * 11}):
                with pytest.raises(UnableError):
                    await asyncio.to_thread(slack.submit, opened[0], wrong, user)
            answers = {"what": "v1", "b-why": "leaked"}
            assert (await asyncio.to_thread(slack.submit, opened[0], answers, user)).body["errors"]
            assert opened[0] in slack.views
            assert (await asyncio.to_thread(slack.submit, opened[0], answers, user)).body == {}
            assert opened[0] not in slack.views

    asyncio.run(scene())
    assert got[1]["b-why"]["why"] == {"type": "plain_text_input", "value": "leaked"}
    assert got[1]["b-what"]["what"]["selected_option"]["value"] == "v1"
    assert slack.troubles == []


def test_only_buttons_that_stand_there_are_clicked(slack: FakeSlack, client: WebClient) -> None:
    """Whispered ones by the person who sees them, and a response URL answers five times."""
    anna, eve, made, seen = slack.add_user("anna"), slack.add_user("eve"), slack.add_channel("room", private=True), []
    slack.join(made, anna)
    ts = client.chat_postMessage(channel=made, text="x", blocks=[actions(button(value="7"))])["ts"]
    whisper = client.chat_postEphemeral(channel=made, user=anna, text="x", blocks=[actions(button())])["message_ts"]

    async def scene() -> None:
        async with _socket_app(slack) as app:

            @app.action("go")
            async def clicked(ack: Any, body: dict[str, Any], respond: Any) -> None:
                await ack()
                seen.append(body)
                await respond("done", replace_original=False)

            await asyncio.to_thread(slack.click, made, ts, "go", anna)
            await asyncio.to_thread(slack.click, made, whisper, "go", anna)
            for where, action, who in ((ts, "stop", anna), (ts, "go", eve), (whisper, "go", eve)):
                with pytest.raises(UnableError):
                    await asyncio.to_thread(slack.click, made, where, action, who)
            await _eventually(lambda: len(slack.ephemerals) == 3)
            webhook = AsyncWebhookClient(seen[0]["response_url"])
            answers = [await webhook.send(text="again") for _ in range(5)]
            assert [each.status_code for each in answers] == [200] * 4 + [404]

    asyncio.run(scene())
    assert seen[0]["actions"][0]["value"] == "7"
    assert seen[1]["container"]["is_ephemeral"]


def test_what_is_not_acknowledged_comes_again(slack: FakeSlack) -> None:
    """A dropped socket, a replayed envelope, and silence."""
    slack.ack_seconds = slack.sockets.ack_seconds = 0.3
    user, heard = slack.add_user("anna"), []

    async def scene() -> None:
        async with _socket_app(slack) as app:

            @app.command("/keyquell")
            async def command(ack: Any, body: dict[str, Any]) -> None:
                heard.append(body["text"])
                if body["text"] == "slow" and len(heard) < 2:
                    await asyncio.sleep(0.45)
                if body["text"] != "silent":
                    await ack()

            assert (await asyncio.to_thread(slack.slash, "/keyquell", "slow", user)).attempts == 2
            await asyncio.to_thread(slack.replay_last)
            assert heard == ["slow"] * 3
            slack.drop_socket()
            slack.sockets.ack_seconds = 3
            assert (await asyncio.to_thread(slack.slash, "/keyquell", "after", user)).status == 200
            slack.half_open()
            assert (await asyncio.to_thread(slack.slash, "/keyquell", "later", user)).attempts > 1
            assert slack.sockets.connected >= 3
            slack.sockets.ack_seconds, slack.retries = 0.1, 1
            with pytest.raises(NotAnsweredError):
                await asyncio.to_thread(slack.slash, "/keyquell", "silent", user)

    asyncio.run(scene())


def test_signed_http_carries_the_same_things(slack: FakeSlack) -> None:
    """Signatures verify with the SDK's verifier; forged ones do not; what is posted is what Slack posts."""
    user, verifier, got = slack.add_user("anna"), SignatureVerifier(slack.signing_secret), []

    async def answer(request: web.Request) -> web.Response:
        raw = await request.read()
        if not verifier.is_valid_request(raw, dict(request.headers)):
            return web.Response(status=401)
        form = dict(await request.post())
        got.append(json.loads(str(form["payload"])) if "payload" in form else form)
        return web.Response()

    async def scene() -> None:
        app = web.Application()
        app.router.add_post("/slack/events", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        slack.deliver = "http"
        slack.http_target = f"http://127.0.0.1:{runner.addresses[0][1]}/slack/events"
        assert (await asyncio.to_thread(slack.slash, "/keyquell", "status", user)).status == 200
        made = slack.add_channel("room", members=(user,))
        ts = slack.say(user, made, "look")
        await asyncio.to_thread(slack.shortcut_message, "report", made, ts, user)
        await asyncio.to_thread(slack.replay_last)
        for forged in ({"timestamp": 1}, {"signature": "v0=00"}, {"signature": ""}):
            assert (await asyncio.to_thread(lambda each=forged: slack.post_signed("a=b", **each))).status == 401
        await runner.cleanup()

    asyncio.run(scene())
    assert [each.get("command") or each["type"] for each in got] == ["/keyquell", "message_action", "message_action"]
    assert got[1]["message"]["text"] == "look"
