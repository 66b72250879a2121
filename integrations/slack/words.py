"""Errors in the words of a person, and what a person wrote without Slack's dress."""

from __future__ import annotations

import html
import re

from integrations.slack.limits import escaped
from playbooks.errors import KeyquellError, NotApproved

_ADDRESS = re.compile(r"<((?:https?|mailto):[^|>]*)(?:\|[^>]*)?>")


def explained(error: KeyquellError, failed: str) -> str:
    """The error as a person reads it, after what it spoiled."""
    start = "You may not do that." if isinstance(error, NotApproved) else failed
    return escaped(f"{start} {_sentence(error.message)} {error.hint}".strip())


def as_written(text: str) -> str:
    """What a person typed: Slack marks addresses up and writes three characters as entities."""
    return html.unescape(_ADDRESS.sub(r"\1", text))


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
