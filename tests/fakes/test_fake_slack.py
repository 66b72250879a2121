"""The fake Slack refuses what Slack refuses, driven by the real SDKs with nothing but a base URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from fakes.slack_answers import UnableError
from fakes.slack_server import FakeSlack, NotAnsweredError
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as running:
        yield running


@pytest.fixture
def client(slack: FakeSlack) -> WebClient:
    return WebClient(slack.bot_token, base_url=slack.base_url)


def _error(call: Any, *args: Any, **named: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        call(*args, **named)
    return str(caught.value.response["error"])


def _text(text: str, kind: str = "plain_text") -> dict[str, Any]:
    return {"type": kind, "text": text}


def _button(action: str = "go", **more: Any) -> dict[str, Any]:
    return {"type": "button", "action_id": action, "text": _text("Go")} | more


def _actions(*elements: dict[str, Any]) -> dict[str, Any]:
    return {"type": "actions", "elements": list(elements)}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _text(text, "mrkdwn")}


def _input(action: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    label = {"type": "input", "block_id": f"b-{action}", "label": _text(action)}
    return label | {"element": {"action_id": action} | element} | more


def _modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "modal", "title": _text("Title"), "submit": _text("OK"), "blocks": list(blocks)} | more


def test_wrong_missing_and_misplaced_tokens_are_refused(slack: FakeSlack, client: WebClient) -> None:
    """Each kind of token opens its own methods only, and a scope that is missing is named."""
    assert client.auth_test()["user_id"] == slack.bot_user
    assert _error(WebClient("xoxb-wrong", base_url=slack.base_url).auth_test) == "invalid_auth"
    assert _error(WebClient(base_url=slack.base_url).auth_test) == "not_authed"
    assert _error(client.apps_connections_open, app_token=slack.bot_token) == "not_allowed_token_type"
    assert _error(WebClient(slack.app_token, base_url=slack.base_url).auth_test) == "not_allowed_token_type"
    slack.scopes.discard("pins:write")
    channel = slack.add_channel("room")
    with pytest.raises(SlackApiError) as caught:
        client.pins_add(channel=channel, timestamp="1.0")
    assert (caught.value.response["error"], caught.value.response["needed"]) == ("missing_scope", "pins:write")


def test_channels_have_rules(slack: FakeSlack, client: WebClient) -> None:
    """Names, membership and archives are checked as Slack checks them."""
    made = client.conversations_create(name="kq-amber-fox", is_private=True)["channel"]["id"]
    assert _error(client.conversations_create, name="kq-amber-fox") == "name_taken"
    assert _error(client.conversations_create, name="Amber Fox") == "invalid_name_specials"
    assert _error(client.conversations_create, name="a" * 81) == "invalid_name_maxlength"
    assert _error(client.conversations_create, name="--") == "invalid_name_punctuation"
    assert _error(client.conversations_setTopic, channel=made, topic="x" * 251) == "too_long"
    secret = slack.add_channel("board", private=True, bot=False)
    public = slack.add_channel("lobby", bot=False)
    assert _error(client.chat_postMessage, channel=secret, text="x") == "channel_not_found"
    assert _error(client.chat_postMessage, channel=public, text="x") == "not_in_channel"
    found = client.conversations_list(types="private_channel")["channels"]
    assert [each["id"] for each in found] == [made]
    client.conversations_archive(channel=made)
    assert _error(client.chat_postMessage, channel=made, text="x") == "is_archived"
    assert _error(client.conversations_create, name="kq-amber-fox") == "name_taken"


def test_people_are_invited_once_and_only_if_they_exist(slack: FakeSlack, client: WebClient) -> None:
    """One bad name refuses the whole invitation, unless it is forced."""
    anna, gone, made = slack.add_user("anna"), slack.add_user("gone", deleted=True), slack.add_channel("room")
    assert _error(client.conversations_invite, channel=made, users="UNOBODY") == "user_not_found"
    assert _error(client.conversations_invite, channel=made, users=slack.bot_user) == "cant_invite_self"
    assert _error(client.conversations_invite, channel=made, users=f"{anna},{gone}") == "cant_invite"
    assert anna not in slack.channels[made].members
    answer = client.conversations_invite(channel=made, users=f"{anna},{gone}", force=True)
    assert [each["user"] for each in answer["errors"]] == [gone]
    assert _error(client.conversations_invite, channel=made, users=anna) == "already_in_channel"


CONFIRM = {"title": _text("Sure?"), "text": _text("x"), "confirm": _text("Yes"), "deny": _text("No")}
LIMITS = {
    "fifty-one blocks": [{"type": "divider"}] * 51,
    "a header of 151": [{"type": "header", "text": _text("x" * 151)}],
    "a header in mrkdwn": [{"type": "header", "text": _text("x", "mrkdwn")}],
    "a section of 3001": [_section("x" * 3001)],
    "an empty section": [_section("")],
    "eleven fields": [{"type": "section", "fields": [_text("x")] * 11}],
    "a field of 2001": [{"type": "section", "fields": [_text("x" * 2001)]}],
    "no actions": [_actions()],
    "twenty-six actions": [_actions(*(_button(str(n)) for n in range(26)))],
    "one action id twice": [_actions(_button(), _button())],
    "one action id in two blocks": [_actions(_button()), _actions(_button())],
    "one block id twice": [_section("x") | {"block_id": "a"}, _section("y") | {"block_id": "a"}],
    "a button of 76": [_actions(_button(text=_text("x" * 76)))],
    "a value of 2001": [_actions(_button(value="x" * 2001))],
    "a value that is no text": [_actions(_button(value=1))],
    "an action id of 256": [_actions(_button("x" * 256))],
    "a url of 3001": [_actions(_button(url="x" * 3001))],
    "an unknown style": [_actions(_button(style="calm"))],
    "a confirm text of 301": [
        _actions(
            _button(confirm={"title": _text("x"), "text": _text("x" * 301), "confirm": _text("y"), "deny": _text("n")})
        )
    ],
    "a confirm without deny": [
        _actions(_button(confirm={"title": _text("x"), "text": _text("x"), "confirm": _text("y")}))
    ],
    "eleven in a context": [{"type": "context", "elements": [_text("x")] * 11}],
    "a menu of 101": [
        _actions(
            {
                "type": "static_select",
                "action_id": "s",
                "options": [{"text": _text("x"), "value": str(n)} for n in range(101)],
            }
        )
    ],
    "an option value of 151": [
        _actions({"type": "static_select", "action_id": "s", "options": [{"text": _text("x"), "value": "v" * 151}]})
    ],
    "an unknown block": [{"type": "marquee"}],
    "an unknown field": [_section("x") | {"color": "red"}],
}


@pytest.mark.parametrize("name", LIMITS)
def test_blocks_over_a_limit_are_refused(slack: FakeSlack, client: WebClient, name: str) -> None:
    """The answer names the element by a JSON pointer, and nothing is stored."""
    made = slack.add_channel("room")
    with pytest.raises(SlackApiError) as caught:
        client.chat_postMessage(channel=made, text="x", blocks=LIMITS[name])
    assert caught.value.response["error"] == "invalid_blocks"
    assert "[json-pointer:/blocks" in caught.value.response["response_metadata"]["messages"][0]
    assert slack.messages(made) == []


def test_messages_have_a_size_and_an_author(slack: FakeSlack, client: WebClient) -> None:
    """Too long, not there, not ours: each with Slack's own word."""
    made = slack.add_channel("room")
    assert _error(client.chat_postMessage, channel=made, text="x" * 40_001) == "msg_too_long"
    assert _error(client.chat_postMessage, channel=made, text="") == "no_text"
    assert (
        _error(client.chat_postMessage, channel=made, text="x", blocks=[_section("x" * 2900)] * 5)
        == "msg_blocks_too_long"
    )
    ts = client.chat_postMessage(channel=made, text="x")["ts"]
    assert _error(client.chat_update, channel=made, ts=ts, text="x" * 4001) == "msg_too_long"
    assert _error(client.chat_update, channel=made, ts="1.0", text="x") == "message_not_found"
    theirs = slack.say(slack.add_user("anna"), made, "hello")
    assert _error(client.chat_update, channel=made, ts=theirs, text="x") == "cant_update_message"
    assert _error(client.chat_delete, channel=made, ts=theirs) == "cant_delete_message"
    client.pins_add(channel=made, timestamp=ts)
    assert _error(client.pins_add, channel=made, timestamp=ts) == "already_pinned"
    assert [each["message"]["ts"] for each in client.pins_list(channel=made)["items"]] == [ts]
    assert (
        _error(client.chat_postEphemeral, channel=made, user=slack.add_user("eve"), text="x") == "user_not_in_channel"
    )
    assert _error(client.api_call, "chat.update", json={"channel": made}) == "invalid_arguments"


def test_metadata_comes_back_only_when_it_is_asked_for(slack: FakeSlack, client: WebClient) -> None:
    """Replies carry their metadata with include_all_metadata, page by page."""
    made = slack.add_channel("room")
    top = client.chat_postMessage(channel=made, text="top")["ts"]
    mark = {"event_type": "note", "event_payload": {"seq": 1}}
    for number in range(3):
        client.chat_postMessage(channel=made, text=str(number), thread_ts=top, metadata=mark)
    without = client.conversations_replies(channel=made, ts=top)["messages"][1]["metadata"]
    assert without == {"event_type": "note", "event_payload": {}}
    first = client.conversations_replies(channel=made, ts=top, include_all_metadata=True, limit=2)
    found = [each for page in first for each in page["messages"]]
    assert [each["text"] for each in found] == ["top", "0", "1", "2"]
    assert found[1]["metadata"] == mark
    assert len(client.conversations_history(channel=made)["messages"]) == 1
    assert _error(client.chat_postMessage, channel=made, text="x", thread_ts="1.0") == "thread_not_found"


def test_files_are_uploaded_in_three_moves(slack: FakeSlack, client: WebClient) -> None:
    """The SDK's own upload works, and the content arrives."""
    made = slack.add_channel("room")
    client.files_upload_v2(channel=made, filename="export.json", content='{"a": 1}')
    assert [each["content"] for each in slack.files.values()] == [b'{"a": 1}']
    assert slack.messages(made)[0]["files"]


def test_rates_are_limited_and_said_with_retry_after(client: WebClient, slack: FakeSlack) -> None:
    """The twenty-first conversation of a minute is 429, also when the test asks for it."""
    slack.limits["conversations.create"] = 2
    for number in range(2):
        client.conversations_create(name=f"room-{number}")
    with pytest.raises(SlackApiError) as caught:
        client.conversations_create(name="room-3")
    assert caught.value.response.status_code == 429
    assert 1 <= int(caught.value.response.headers["Retry-After"]) <= 60
    slack.rate_limit("auth.test", 7)
    with pytest.raises(SlackApiError) as caught:
        client.auth_test()
    assert caught.value.response.headers["Retry-After"] == "7"
    assert client.auth_test()["ok"]


def test_faults_come_on_demand_and_pass(slack: FakeSlack, client: WebClient) -> None:
    """Errors, delays and refused connections, and the same port afterwards."""
    slack.fail("auth.test", error="internal_error")
    assert _error(client.auth_test) == "internal_error"
    hasty = WebClient(slack.bot_token, base_url=slack.base_url, timeout=1)
    slack.hang("auth.test", 3)
    with pytest.raises(TimeoutError):
        hasty.auth_test()
    slack.down()
    with pytest.raises(OSError):
        client.auth_test()
    slack.up()
    assert client.auth_test()["ok"]


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
        answer = await client.views_open(trigger_id=body["trigger_id"], view=_modal(*blocks, callback_id="m"))
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
        _input("what", {"type": "external_select", "min_query_length": 1}),
        _input("why", {"type": "plain_text_input", "max_length": 10}),
        _input("more", {"type": "plain_text_input"}, optional=True),
    ]

    async def scene() -> None:
        async with _socket_app(slack) as app:
            _asks(app, opened, *blocks)

            @app.options("what")
            async def options(ack: Any, payload: dict[str, Any]) -> None:
                await ack(options=[{"text": _text(payload["value"]), "value": "v1"}])

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


def test_a_trigger_is_good_once_and_for_a_moment(slack: FakeSlack, client: WebClient) -> None:
    """Used, late and invented trigger ids are told apart, and a modal over its limits is refused."""
    user = slack.add_user("anna")
    trigger, late = slack.trigger(user), slack.trigger(user)
    long_title = _modal(_section("x"), title=_text("x" * 25))
    assert _error(client.views_open, trigger_id=trigger, view=long_title) == "invalid_arguments"
    too_much = _modal(_section("x"), private_metadata="x" * 3001)
    assert _error(client.views_open, trigger_id=trigger, view=too_much) == "invalid_arguments"
    view = client.views_open(trigger_id=trigger, view=_modal(_section("x")))["view"]
    assert _error(client.views_open, trigger_id=trigger, view=_modal(_section("x"))) == "exchanged_trigger_id"
    assert _error(client.views_open, trigger_id="1.2.3", view=_modal(_section("x"))) == "invalid_trigger_id"
    slack.triggers[late].ends = time.monotonic() - 0.01
    assert _error(client.views_open, trigger_id=late, view=_modal(_section("x"))) == "expired_trigger_id"
    client.views_update(view_id=view["id"], view=_modal(_section("y")), hash=view["hash"])
    assert _error(client.views_update, view_id=view["id"], view=_modal(), hash=view["hash"]) == "hash_conflict"
    assert _error(client.views_update, view_id="VNONE", view=_modal(_section("y"))) == "not_found"


def test_only_buttons_that_stand_there_are_clicked(slack: FakeSlack, client: WebClient) -> None:
    """Whispered ones by the person who sees them, and a response URL answers five times."""
    anna, eve, made, seen = slack.add_user("anna"), slack.add_user("eve"), slack.add_channel("room", private=True), []
    slack.join(made, anna)
    ts = client.chat_postMessage(channel=made, text="x", blocks=[_actions(_button(value="7"))])["ts"]
    whisper = client.chat_postEphemeral(channel=made, user=anna, text="x", blocks=[_actions(_button())])["message_ts"]

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
