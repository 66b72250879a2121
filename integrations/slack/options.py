"""The options of the Slack connection (``slack:`` in keyquell.yaml); secrets by reference only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from integrations.options import read_options as options_of

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class SlackOptions(BaseModel):
    """How one Slack app is reached and how it reaches us.

    ``mode`` "socket" needs ``app_token`` (scope connections:write), "http" needs ``signing_secret``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: Literal["socket", "http"] = "socket"
    bot_token: str = Field(repr=False, description="Reference to the bot token (xoxb-…): file:PATH or env:NAME.")
    app_token: str = Field(default="", repr=False, description="Reference to the app-level token (xapp-…).")
    signing_secret: str = Field(default="", repr=False, description="Reference to the app's signing secret.")
    base_url: str = "https://slack.com/api/"
    team: str = Field(default="", description="Only this workspace (T…) is served; empty: every one that has the app.")
    command: str = Field(default="/keyquell", pattern=r"^/[a-z0-9_-]{1,31}$")

    @field_validator("bot_token", "app_token", "signing_secret")
    @classmethod
    def _by_reference(cls, value: str) -> str:
        if value and not value.startswith(("file:", "env:")):
            raise ValueError("must be a reference (file:PATH or env:NAME), never the secret itself")
        return value

    @field_validator("base_url")
    @classmethod
    def _private(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("must start with https://, because the token travels there")
        return value.rstrip("/") + "/"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = "app_token" if self.mode == "socket" else "signing_secret"
        if not getattr(self, needed):
            raise ValueError(f"mode {self.mode} needs {needed}")
        return self


def read_options(name: str, options: Mapping[str, Any]) -> SlackOptions:
    """Validate options; InvalidInput names the connection and the field, and never repeats the value."""
    return options_of(SlackOptions, name, options, hint="See docs/configuration.md for every field.")
