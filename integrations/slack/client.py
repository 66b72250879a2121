"""Clients of the Slack Web API: one attempt a call, own timeouts, and what Slack's answers mean.

Sources: https://docs.slack.dev/apis/web-api/ (errors) and https://docs.slack.dev/apis/web-api/rate-limits (429).
"""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from integrations.secrets import read_secret
from integrations.slack.options import SlackOptions
from playbooks.errors import BackendError, NotFound, Refused, Throttled, Unreachable

TIMEOUT_SECONDS = 4
QUIET = logging.getLogger("keyquell.slack.sdk")
"""What Bolt and the SDK say goes nowhere: they log bodies, and those may hold what a person pasted."""
QUIET.setLevel(logging.CRITICAL + 1)
QUIET.propagate = False
_DEFAULT_RETRY_SECONDS = 30

_BAD_TOKEN = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
})  # fmt: skip
_ABSENT = frozenset({
    "channel_not_found", "message_not_found", "thread_not_found", "user_not_found", "not_found", "file_not_found",
})  # fmt: skip
_PASSING = frozenset({"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"})
_RATE = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})
_HINTS = {
    "not_in_channel": "Invite the app to the channel.",
    "is_archived": "Unarchive the channel, or close the incident.",
    "restricted_action": "Ask a workspace admin to let the app do this.",
}


def web_client(options: SlackOptions) -> WebClient:
    """A synchronous client of the bot token.  Raises InvalidInput when the reference points at nothing."""
    return WebClient(
        read_secret(options.bot_token),
        base_url=options.base_url,
        timeout=TIMEOUT_SECONDS,
        retry_handlers=[],
        logger=QUIET,
    )


def async_web_client(options: SlackOptions) -> AsyncWebClient:
    """The same for coroutines."""
    return AsyncWebClient(
        read_secret(options.bot_token),
        base_url=options.base_url,
        timeout=TIMEOUT_SECONDS,
        retry_handlers=[],
        logger=QUIET,
    )


@contextmanager
def translated(doing: str, *, subject: str = "slack:") -> Iterator[None]:
    """Raise our own errors for Slack's; ``doing`` completes "Slack refused …" ("to post the card").

    Raises Throttled (with the seconds), Refused, NotFound or Unreachable.
    """
    try:
        yield
    except SlackApiError as error:
        raise meaning(error, doing, subject=subject) from error
    except (OSError, aiohttp.ClientError, http.client.HTTPException, SlackClientError) as error:
        raise Unreachable(
            f"Slack gave no answer when asked {doing} ({type(error).__name__}).",
            subject=subject,
            hint="The response goes on without it; what was not said follows later.",
        ) from error


def code_of(error: SlackApiError) -> str:
    """Slack's own error code, "" when the answer was not Slack's (a proxy's page, say)."""
    data = error.response.data if hasattr(error.response, "data") else error.response
    code = data.get("error", "") if isinstance(data, dict) else ""
    return str(code) if str(code).replace("_", "").replace("-", "").isalnum() else ""


def meaning(error: SlackApiError, doing: str, *, subject: str = "slack:") -> BackendError:
    """Slack's refusal as one of our errors; nothing of what was sent is repeated."""
    code, status = code_of(error), getattr(error.response, "status_code", 200)
    if status == 429 or code in _RATE:
        seconds = retry_after(error)
        return Throttled(f"Slack asked to come back in {seconds} s {doing}.", subject=subject, code=code)
    if status >= 500 or code in _PASSING or not code:
        return Unreachable(f"Slack could not answer when asked {doing}.", subject=subject, code=code or str(status))
    if code in _ABSENT:
        return NotFound(f"Slack does not know what is needed {doing} ({code}).", subject=subject, code=code)
    message = f"Slack refused {doing} ({code}{_detail(error)})."
    return Refused(message, subject=subject, code=code, hint=_hint(error, code))


def retry_after(error: SlackApiError) -> int:
    """Seconds that Slack asks to wait."""
    headers = {str(name).lower(): value for name, value in (getattr(error.response, "headers", None) or {}).items()}
    value = headers.get("retry-after", "")
    value = value[0] if isinstance(value, list) and value else value
    return max(1, int(value)) if str(value).isdigit() else _DEFAULT_RETRY_SECONDS


def _hint(error: SlackApiError, code: str) -> str:
    if code == "missing_scope":
        needed = error.response.get("needed") or "it needs"
        return f"Add the scope {needed} to the app (integrations/slack/manifest.yaml lists all) and install it again."
    if code in _BAD_TOKEN:
        return "Put a valid token of the installed app into the referenced secret."
    return _HINTS.get(code, "")


def _detail(error: SlackApiError) -> str:
    """Which element was wrong, by Slack's JSON pointer."""
    found = (error.response.get("response_metadata") or {}).get("messages") or []
    pointers = [str(each).rpartition("[json-pointer:")[2].rstrip("]") for each in found if "json-pointer:" in str(each)]
    return f" at {', '.join(pointers[:3])}" if pointers else ""
