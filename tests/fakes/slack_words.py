"""What a test says to the fake Slack in Slack's own notation, and the word with which it is refused."""

from __future__ import annotations

from typing import Any

import pytest
from slack_sdk.errors import SlackApiError


def text_of(text: str, kind: str = "plain_text") -> dict[str, Any]:
    """A text, plain unless it is said."""
    return {"type": kind, "text": text}


def button(action: str = "go", **more: Any) -> dict[str, Any]:
    """A button."""
    return {"type": "button", "action_id": action, "text": text_of("Go")} | more


def actions(*elements: dict[str, Any]) -> dict[str, Any]:
    """A row of things to press."""
    return {"type": "actions", "elements": list(elements)}


def section(text: str) -> dict[str, Any]:
    """A paragraph."""
    return {"type": "section", "text": text_of(text, "mrkdwn")}


def input_of(action: str, element: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A field of a form, under the block id ``b-ACTION``."""
    label = {"type": "input", "block_id": f"b-{action}", "label": text_of(action)}
    return label | {"element": {"action_id": action} | element} | more


def modal(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A form."""
    return {"type": "modal", "title": text_of("Title"), "submit": text_of("OK"), "blocks": list(blocks)} | more


def error_of(call: Any, *args: Any, **named: Any) -> str:
    """The word with which Slack refuses the call."""
    with pytest.raises(SlackApiError) as caught:
        call(*args, **named)
    return str(caught.value.response["error"])
