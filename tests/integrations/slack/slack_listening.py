"""A listener under test: real Bolt and SDK against the fake Slack, in a thread, over the socket or signed HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.slack_direct import direct_messages
from fakes.slack_listener import listening, open_app, serving, until
from fakes.slack_server import FakeSlack
from strict_desk import StrictDesk

from integrations.slack.app import SlackApp

COMMAND = "/keyquell"


@dataclass
class Floor:
    """Everything a test needs: the fake, the desk, the listener, a responder, a stranger and a channel of theirs."""

    slack: FakeSlack
    desk: StrictDesk
    app: SlackApp
    ann: str
    stranger: str
    channel: str

    def type(self, text: str, *, user: str = "", channel: str = "") -> Any:
        """Type ``/keyquell TEXT``; Slack's acknowledgement."""
        return self.slack.slash(COMMAND, text, user or self.ann, channel or self.channel)

    def type_at_once(self, text: str, *, times: int) -> None:
        """Type it in as many threads, at a desk that takes a second for each answer; until all are acknowledged."""
        self.desk.slow_seconds = 1.0
        threads = [threading.Thread(target=self.type, args=(text,)) for _ in range(times)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def heard(self, words: str, *, user: str = "") -> dict[str, Any]:
        """Wait until a person was whispered something with these words; the message."""
        who = user or self.ann
        return until(lambda: next((each for each in self.whispers(who) if words in said(each)), None), words)

    def whispers(self, user: str = "") -> list[dict[str, Any]]:
        """Everything that one person was whispered, in the order of time."""
        return [each for each in list(self.slack.ephemerals) if each["user"] == (user or self.ann)]

    def told(self, words: str, *, user: str = "") -> dict[str, Any]:
        """Wait until a person was told something with these words in a direct message; the message."""
        who = user or self.ann
        return until(
            lambda: next((each for each in direct_messages(self.slack, who) if words in said(each)), None), words
        )

    def form(self, *, user: str = "", ready: bool = True) -> dict[str, Any]:
        """Wait for the modal on top of a person's screen; ``ready``: once it can be submitted."""

        def top() -> dict[str, Any] | None:
            stack = self.slack.stacks.get(user or self.ann, [])
            view = self.slack.views.get(stack[-1]) if stack else None
            return view if view is not None and (not ready or "submit" in view) else None

        return until(top, "a form")

    def fill(self, *, target: str = "", **more: Any) -> tuple[str, dict[str, Any]]:
        """Open ``/keyquell declare`` and search for a target; the form's id and the values to submit."""
        from strict_desk import CREDENTIAL

        self.type("declare")
        view = self.form()
        wanted = target or CREDENTIAL
        offered = self.slack.suggest("target", "a", self.ann, view_id=view["id"])
        value = next(each["value"] for each in offered if each["value"] == wanted)
        return view["id"], {"target": value, "kind": "credential"} | more

    def called(self, method: str) -> list[Any]:
        """The calls of one method of the Web API so far."""
        return [each for each in list(self.slack.calls) if each.method == method]


def said(message: dict[str, Any]) -> str:
    """All words of a message."""
    return str(message.get("text", "")) + str(message.get("blocks", ""))


@contextmanager
def floor(tmp_path: Path, *, mode: str = "socket", start: bool = True, **fake: Any) -> Iterator[Floor]:
    """A workspace with a listener that is connected (unless told not to start)."""
    with FakeSlack(**fake) as slack:
        ann, stranger = slack.add_user("ann"), slack.add_user("mallory")
        channel = slack.add_channel("general", members=(ann, stranger))
        desk = StrictDesk(people={ann})
        app = open_app(tmp_path, slack, desk, mode=mode)
        found = Floor(slack, desk, app, ann, stranger, channel)
        if not start:
            yield found
            return
        with listening(app) if mode == "socket" else serving(app, slack):
            until(lambda: app.connected, "a connection")
            yield found
            assert slack.troubles == []
