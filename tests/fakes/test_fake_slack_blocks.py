"""Blocks and modals over a limit of Slack are refused by the fake too, called by the real SDK."""

from __future__ import annotations

import time

import pytest
from fakes.slack_server import FakeSlack
from fakes.slack_words import actions, button, error_of, modal, section, text_of
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

CONFIRM = {"title": text_of("Sure?"), "text": text_of("x"), "confirm": text_of("Yes"), "deny": text_of("No")}
LIMITS = {
    "fifty-one blocks": [{"type": "divider"}] * 51,
    "a header of 151": [{"type": "header", "text": text_of("x" * 151)}],
    "a header in mrkdwn": [{"type": "header", "text": text_of("x", "mrkdwn")}],
    "a section of 3001": [section("x" * 3001)],
    "an empty section": [section("")],
    "eleven fields": [{"type": "section", "fields": [text_of("x")] * 11}],
    "a field of 2001": [{"type": "section", "fields": [text_of("x" * 2001)]}],
    "no actions": [actions()],
    "twenty-six actions": [actions(*(button(str(n)) for n in range(26)))],
    "one action id twice": [actions(button(), button())],
    "one action id in two blocks": [actions(button()), actions(button())],
    "one block id twice": [section("x") | {"block_id": "a"}, section("y") | {"block_id": "a"}],
    "a button of 76": [actions(button(text=text_of("x" * 76)))],
    "a value of 2001": [actions(button(value="x" * 2001))],
    "a value that is no text": [actions(button(value=1))],
    "an action id of 256": [actions(button("x" * 256))],
    "a url of 3001": [actions(button(url="x" * 3001))],
    "an unknown style": [actions(button(style="calm"))],
    "a confirm text of 301": [
        actions(
            button(
                confirm={
                    "title": text_of("x"),
                    "text": text_of("x" * 301),
                    "confirm": text_of("y"),
                    "deny": text_of("n"),
                }
            )
        )
    ],
    "a confirm without deny": [
        actions(button(confirm={"title": text_of("x"), "text": text_of("x"), "confirm": text_of("y")}))
    ],
    "eleven in a context": [{"type": "context", "elements": [text_of("x")] * 11}],
    "a menu of 101": [
        actions(
            {
                "type": "static_select",
                "action_id": "s",
                "options": [{"text": text_of("x"), "value": str(n)} for n in range(101)],
            }
        )
    ],
    "an option value of 151": [
        actions({"type": "static_select", "action_id": "s", "options": [{"text": text_of("x"), "value": "v" * 151}]})
    ],
    "an unknown block": [{"type": "marquee"}],
    "an unknown field": [section("x") | {"color": "red"}],
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


def test_a_trigger_is_good_once_and_for_a_moment(slack: FakeSlack, client: WebClient) -> None:
    """Used, late and invented trigger ids are told apart, and a modal over its limits is refused."""
    user = slack.add_user("anna")
    trigger, late = slack.trigger(user), slack.trigger(user)
    long_title = modal(section("x"), title=text_of("x" * 25))
    assert error_of(client.views_open, trigger_id=trigger, view=long_title) == "invalid_arguments"
    too_much = modal(section("x"), private_metadata="x" * 3001)
    assert error_of(client.views_open, trigger_id=trigger, view=too_much) == "invalid_arguments"
    view = client.views_open(trigger_id=trigger, view=modal(section("x")))["view"]
    assert error_of(client.views_open, trigger_id=trigger, view=modal(section("x"))) == "exchanged_trigger_id"
    assert error_of(client.views_open, trigger_id="1.2.3", view=modal(section("x"))) == "invalid_trigger_id"
    slack.triggers[late].ends = time.monotonic() - 0.01
    assert error_of(client.views_open, trigger_id=late, view=modal(section("x"))) == "expired_trigger_id"
    client.views_update(view_id=view["id"], view=modal(section("y")), hash=view["hash"])
    assert error_of(client.views_update, view_id=view["id"], view=modal(), hash=view["hash"]) == "hash_conflict"
    assert error_of(client.views_update, view_id="VNONE", view=modal(section("y"))) == "not_found"
