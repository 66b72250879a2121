"""The manifest of the Slack app, as shipped beside this module."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import yaml


def manifest(*, command: str = "/keyquell", url: str = "") -> dict[str, Any]:
    """The app's manifest; with ``url`` (``https://host/slack/events``) for signed HTTP instead of Socket Mode."""
    text = files("integrations.slack").joinpath("manifest.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    found["features"]["slash_commands"][0]["command"] = command
    if url:
        found["features"]["slash_commands"][0]["url"] = url
        found["settings"]["interactivity"] |= {"request_url": url, "message_menu_options_url": url}
        found["settings"]["socket_mode_enabled"] = False
    return found
