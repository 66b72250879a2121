"""The fake Slack's methods refuse what Slack refuses, called by the real SDK with nothing but a base URL."""

from __future__ import annotations

import pytest
from fakes.slack_server import FakeSlack
from fakes.slack_words import error_of, section
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError


def test_wrong_missing_and_misplaced_tokens_are_refused(slack: FakeSlack, client: WebClient) -> None:
    """Each kind of token opens its own methods only, and a scope that is missing is named."""
    assert client.auth_test()["user_id"] == slack.bot_user
    assert error_of(WebClient("xoxb-wrong", base_url=slack.base_url).auth_test) == "invalid_auth"
    assert error_of(WebClient(base_url=slack.base_url).auth_test) == "not_authed"
    assert error_of(client.apps_connections_open, app_token=slack.bot_token) == "not_allowed_token_type"
    assert error_of(WebClient(slack.app_token, base_url=slack.base_url).auth_test) == "not_allowed_token_type"
    slack.scopes.discard("pins:write")
    channel = slack.add_channel("room")
    with pytest.raises(SlackApiError) as caught:
        client.pins_add(channel=channel, timestamp="1.0")
    assert (caught.value.response["error"], caught.value.response["needed"]) == ("missing_scope", "pins:write")


def test_channels_have_rules(slack: FakeSlack, client: WebClient) -> None:
    """Names, membership and archives are checked as Slack checks them."""
    made = client.conversations_create(name="kq-amber-fox", is_private=True)["channel"]["id"]
    assert error_of(client.conversations_create, name="kq-amber-fox") == "name_taken"
    assert error_of(client.conversations_create, name="Amber Fox") == "invalid_name_specials"
    assert error_of(client.conversations_create, name="a" * 81) == "invalid_name_maxlength"
    assert error_of(client.conversations_create, name="--") == "invalid_name_punctuation"
    assert error_of(client.conversations_setTopic, channel=made, topic="x" * 251) == "too_long"
    secret = slack.add_channel("board", private=True, bot=False)
    public = slack.add_channel("lobby", bot=False)
    assert error_of(client.chat_postMessage, channel=secret, text="x") == "channel_not_found"
    assert error_of(client.chat_postMessage, channel=public, text="x") == "not_in_channel"
    found = client.conversations_list(types="private_channel")["channels"]
    assert [each["id"] for each in found] == [made]
    client.conversations_archive(channel=made)
    assert error_of(client.chat_postMessage, channel=made, text="x") == "is_archived"
    assert error_of(client.conversations_create, name="kq-amber-fox") == "name_taken"


def test_people_are_invited_once_and_only_if_they_exist(slack: FakeSlack, client: WebClient) -> None:
    """One bad name refuses the whole invitation, unless it is forced."""
    anna, gone, made = slack.add_user("anna"), slack.add_user("gone", deleted=True), slack.add_channel("room")
    assert error_of(client.conversations_invite, channel=made, users="UNOBODY") == "user_not_found"
    assert error_of(client.conversations_invite, channel=made, users=slack.bot_user) == "cant_invite_self"
    assert error_of(client.conversations_invite, channel=made, users=f"{anna},{gone}") == "cant_invite"
    assert anna not in slack.channels[made].members
    answer = client.conversations_invite(channel=made, users=f"{anna},{gone}", force=True)
    assert [each["user"] for each in answer["errors"]] == [gone]
    assert error_of(client.conversations_invite, channel=made, users=anna) == "already_in_channel"


def test_messages_have_a_size_and_an_author(slack: FakeSlack, client: WebClient) -> None:
    """Too long, not there, not ours: each with Slack's own word."""
    made = slack.add_channel("room")
    assert error_of(client.chat_postMessage, channel=made, text="x" * 40_001) == "msg_too_long"
    assert error_of(client.chat_postMessage, channel=made, text="") == "no_text"
    assert (
        error_of(client.chat_postMessage, channel=made, text="x", blocks=[section("x" * 2900)] * 5)
        == "msg_blocks_too_long"
    )
    ts = client.chat_postMessage(channel=made, text="x")["ts"]
    assert error_of(client.chat_update, channel=made, ts=ts, text="x" * 4001) == "msg_too_long"
    assert error_of(client.chat_update, channel=made, ts="1.0", text="x") == "message_not_found"
    theirs = slack.say(slack.add_user("anna"), made, "hello")
    assert error_of(client.chat_update, channel=made, ts=theirs, text="x") == "cant_update_message"
    assert error_of(client.chat_delete, channel=made, ts=theirs) == "cant_delete_message"
    client.pins_add(channel=made, timestamp=ts)
    assert error_of(client.pins_add, channel=made, timestamp=ts) == "already_pinned"
    assert [each["message"]["ts"] for each in client.pins_list(channel=made)["items"]] == [ts]
    assert (
        error_of(client.chat_postEphemeral, channel=made, user=slack.add_user("eve"), text="x") == "user_not_in_channel"
    )
    assert error_of(client.api_call, "chat.update", json={"channel": made}) == "invalid_arguments"


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
    assert error_of(client.chat_postMessage, channel=made, text="x", thread_ts="1.0") == "thread_not_found"


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
    assert error_of(client.auth_test) == "internal_error"
    hasty = WebClient(slack.bot_token, base_url=slack.base_url, timeout=1)
    slack.hang("auth.test", 3)
    with pytest.raises(TimeoutError):
        hasty.auth_test()
    slack.down()
    with pytest.raises(OSError):
        client.auth_test()
    slack.up()
    assert client.auth_test()["ok"]
