"""The shipped manifest asks for the scopes that the app uses, and for no others."""

from __future__ import annotations

import re
from pathlib import Path

from integrations.slack import board
from integrations.slack.manifest import manifest


def test_every_scope_that_a_module_names_is_in_the_manifest() -> None:
    """And each in the manifest is named by a module."""
    scopes = set(manifest()["oauth_config"]["scopes"]["bot"]) - {"commands"}
    named = set()
    for module in Path(board.__file__).parent.glob("*.py"):
        for line in re.findall(r"Bot scopes: ([^\n]+(?:\n[^\n]+)*?)\n\n|Bot scopes: (.+)", module.read_text()):
            named |= set(re.findall(r"``([a-z]+:[a-z]+)``", "".join(line)))
    assert scopes == named


def test_socket_mode_is_the_default_and_signed_http_has_its_address() -> None:
    """One address for commands, buttons and searches."""
    assert manifest()["settings"]["socket_mode_enabled"]
    signed = manifest(url="https://kq.example/slack/events", command="/kq")
    assert signed["features"]["slash_commands"][0] | {"description": "", "usage_hint": ""} == {
        "command": "/kq", "url": "https://kq.example/slack/events", "description": "", "usage_hint": "",
        "should_escape": False,
    }  # fmt: skip
    assert signed["settings"]["interactivity"]["request_url"] == "https://kq.example/slack/events"
    assert signed["settings"]["interactivity"]["message_menu_options_url"] == "https://kq.example/slack/events"
    assert not signed["settings"]["socket_mode_enabled"]


def test_the_message_shortcut_is_there() -> None:
    """Report a leaked key."""
    assert manifest()["features"]["shortcuts"][0]["type"] == "message"
