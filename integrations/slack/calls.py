"""Calls of the Web API for the board: translated errors, and no call while Slack has asked to wait."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from integrations.slack.client import meaning, retry_after, translated
from playbooks.errors import Throttled


class Calls:
    """One bot token's calls; safe in several threads.

    A method that was told to wait (for its channel, where the limit is per channel) is not called again before.
    """

    def __init__(self, client: WebClient) -> None:
        self._client = client
        self._not_before: dict[tuple[str, str], float] = {}
        self._self: tuple[str, str] | None = None
        self._lock = threading.Lock()

    def do(self, method: str, doing: str, **args: Any) -> dict[str, Any]:
        """Call ``chat.postMessage`` and the like; ``doing`` completes "Slack refused …".

        Raises Throttled (with the seconds), Refused, NotFound or Unreachable; the Slack code stands in ``code``.
        """
        place = method, str(args.get("channel", "")) if method == "chat.postMessage" else ""
        subject = f"slack:{args.get('channel', '')}"
        wait = self._not_before.get(place, 0.0) - time.monotonic()
        if wait > 0:
            message = f"Slack asked to come back in {math.ceil(wait)} s {doing}."
            raise Throttled(message, subject=subject, code="ratelimited")
        with translated(doing, subject=subject):
            try:
                answer = getattr(self._client, method.replace(".", "_"))(**args)
            except SlackApiError as error:
                if isinstance(meaning(error, doing), Throttled):
                    self._not_before[place] = time.monotonic() + retry_after(error)
                raise
        return dict(answer.data)

    @property
    def own_user(self) -> str:
        """The app's member id."""
        return self._who()[0]

    @property
    def own_bot(self) -> str:
        """The id that marks the app's own messages."""
        return self._who()[1]

    def _who(self) -> tuple[str, str]:
        with self._lock:
            if self._self is None:
                found = self.do("auth.test", "to say who the app is")
                self._self = str(found["user_id"]), str(found.get("bot_id", ""))
            return self._self
