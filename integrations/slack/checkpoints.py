"""Checkpoints in the incident's channel: many people hold a copy that nobody here can take back.

Bot scopes: ``chat:write``, ``groups:history``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from slack_sdk import WebClient

from integrations.slack.calls import Calls
from integrations.slack.client import web_client
from integrations.slack.limits import check, escaped
from integrations.slack.memory import CHECKPOINT, posted
from integrations.slack.options import read_options
from playbooks.errors import Refused
from playbooks.evidence.anchors import Anchored, Sealed
from playbooks.ports import Clock


class SlackCheckpoints:
    """Posts statement and signature; its metadata names the head, so that it is found again after a crash."""

    place = "slack"

    def __init__(self, client: WebClient) -> None:
        self._calls = Calls(client)

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options are those of ``slack``.  Raises InvalidInput naming the wrong field, or a secret that is missing."""
        del clock  # Slack stamps its own times
        return cls(web_client(read_options(f"anchors.{name}", options)))

    def anchor(self, checkpoint: Sealed) -> Anchored | None:
        """Post it, unless it stands there; None when the case has no channel, or people put the channel away.

        Raises Throttled, Unreachable, Refused or NotFound.
        """
        channel = checkpoint.links.get("channel", "")
        if not channel:
            return None
        try:
            ts = posted(self._calls, checkpoint.incident, channel, checkpoint.head) or self._post(channel, checkpoint)
        except Refused as error:
            if error.code == "is_archived":
                return None
            raise
        return Anchored(f"slack:{channel}/{ts}")

    def close(self) -> None:
        """Nothing to give back: each call has a connection of its own."""

    def _post(self, channel: str, checkpoint: Sealed) -> str:
        message = {"text": f"{escaped(checkpoint.words)}\n```{escaped(checkpoint.content.decode())}```"}
        check(message)
        payload = {"incident": checkpoint.incident, "seq": checkpoint.seq, "head": checkpoint.head}
        metadata = {"event_type": CHECKPOINT, "event_payload": payload}
        quiet = {"unfurl_links": False, "unfurl_media": False, "metadata": metadata}
        answer = self._calls.do("chat.postMessage", "to post a checkpoint", channel=channel, **quiet, **message)
        return str(answer["ts"])
