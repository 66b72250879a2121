"""The board in Slack: a private channel for each incident with its live card, its plan and its timeline.

Every message says by its metadata what it tells, so that after a crash, or when an answer was lost on the way, the
board reads the channel again and says nothing twice.

Bot scopes: ``chat:write``, ``groups:write``, ``groups:read``, ``groups:history``, ``pins:write``.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Self

from slack_sdk import WebClient

from integrations.slack import channel as channels
from integrations.slack.calls import Calls
from integrations.slack.card_blocks import card_message, moment, plan_message
from integrations.slack.client import web_client
from integrations.slack.examination import examine
from integrations.slack.limits import MESSAGE_TEXT, Json, check, cut, escaped
from integrations.slack.memory import CARD, EVENT, PLAN, Shown, recall
from integrations.slack.options import SlackOptions, read_options
from integrations.slack.timeline import Entry, entries
from playbooks.card import Card
from playbooks.errors import NotFound, Refused, Throttled, Unreachable
from playbooks.ports import Clock
from playbooks.surfaces import CaseView

_log = logging.getLogger(__name__)
_LINES_IN_A_REPLY = 20
_LINE = 600


class SlackBoard:
    """Mirrors incidents into Slack.  ``show`` may run for several incidents at once, each in a thread of its own."""

    interval_seconds = 2.0

    def __init__(self, name: str, client: WebClient, *, clock: Clock, options: SlackOptions | None = None) -> None:
        self.name = name
        self._options = options
        self._calls = Calls(client)
        self._clock = clock
        self._shown: dict[str, Shown] = {}
        self._gone: set[str] = set()
        self._channels: dict[str, str] = {}
        self._making = threading.Lock()

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: see ``integrations.slack.options``.  Slack is not called yet, so that it may be down.

        Raises InvalidInput naming the wrong field, or a secret that is not there.
        """
        read = read_options(name, options)
        return cls(name, web_client(read), clock=clock, options=read)

    def check(self) -> str:
        """Do the tokens, the workspace and the scopes fit?  Raises what ``examine`` raises."""
        return examine(self._options) if self._options is not None else "configured"

    def close(self) -> None:
        """Nothing to give back: each call has a connection of its own."""

    def show(self, view: CaseView) -> Mapping[str, str]:
        """Bring the channel up to date; the ids of ``channel`` and ``card``, and who was ``invited``.

        What Slack asked to wait with is left for the next call, while the rest goes on.  Raises Throttled, Unreachable,
        Refused or NotFound; nothing is then lost or doubled, because the next call goes on from what stands in Slack.
        """
        incident = view.incident.id
        try:
            return self._bring_up(view)
        except Unreachable:
            self._shown.pop(incident, None)  # it may have been done all the same: read it again
            raise
        except NotFound as error:
            shown = self._shown.get(incident)
            if error.code == "channel_not_found":
                self._gone.add(shown.channel if shown else view.links.get("channel", ""))
                self._shown.pop(incident, None)
            elif error.code == "thread_not_found" and shown is not None:
                shown.card = ""
            raise
        except Refused as error:
            if error.code == "is_archived" and view.incident.closed is not None:
                return {}  # the case is over and people have put its channel away
            raise

    def _bring_up(self, view: CaseView) -> Mapping[str, str]:
        shown, card = self._known(view), view.card
        later: list[Throttled] = []
        stages: list[Callable[[], None]] = [
            lambda: self._settle(shown, "purpose", channels.purpose_of(card), "conversations.setPurpose"),
            lambda: self._show_card(shown, card),
            lambda: self._invite(shown, view),
            lambda: self._settle(shown, "pin", shown.card, "pins.add"),
            lambda: self._show_plan(shown, card),
            lambda: self._tell(shown, view),
            lambda: self._settle(shown, "topic", channels.topic_of(card), "conversations.setTopic"),
        ]
        for stage in stages:
            try:
                stage()
            except Throttled as error:
                later.append(error)
        if later:
            raise later[0]
        return {"channel": shown.channel, "card": shown.card, "invited": ",".join(sorted(shown.invited))}

    def _known(self, view: CaseView) -> Shown:
        incident = view.incident.id
        shown = self._shown.get(incident)
        if shown is None:
            shown = self._shown[incident] = self._linked(view) or self._made(view)
        return shown

    def _linked(self, view: CaseView) -> Shown | None:
        """What stands in the channel that an earlier call returned."""
        links = view.links
        channel, card = links.get("channel", ""), links.get("card", "")
        if not channel or channel in self._gone:
            return None
        self._channels[view.incident.id] = channel
        shown = recall(self._calls, view.incident.id, channel, card=card)
        shown.done = {"purpose": channels.purpose_of(view.card)} | ({"pin": card} if shown.card == card else {})
        shown.invited = {each for each in links.get("invited", "").split(",") if each}
        return shown

    def _made(self, view: CaseView) -> Shown:
        """A new channel, or what stands in one that was made and not remembered."""
        incident = view.incident.id
        with self._making:
            others = {channel for each, channel in self._channels.items() if each != incident}
            channel, is_new = channels.make_or_find(self._calls, view.card, others=others)
            self._channels[incident] = channel
        return Shown(channel) if is_new else recall(self._calls, incident, channel)

    def _show_card(self, shown: Shown, card: Card) -> None:
        message = card_message(card)
        look = hashlib.sha256(json.dumps(message, sort_keys=True).encode()).hexdigest()[:16]
        if shown.card and look == shown.look:
            return
        if shown.card and self._update(shown, message, _card_metadata(card, look, shown.after)):
            shown.look = look
            return
        metadata = _card_metadata(card, look, shown.seq)
        shown.card = self._post(shown.channel, "to post the card", message, metadata)
        shown.look, shown.after = look, shown.seq

    def _update(self, shown: Shown, message: Json, metadata: Json) -> bool:
        """Change the card; False when somebody has deleted it."""
        place = {"channel": shown.channel, "ts": shown.card}
        try:
            self._calls.do("chat.update", "to update the card", metadata=metadata, **place, **message)
        except NotFound as error:
            if error.code != "message_not_found":
                raise
            return False
        return True

    def _show_plan(self, shown: Shown, card: Card) -> None:
        if card.digest and card.plan and card.digest != shown.plan:
            payload = {"incident": card.id, "digest": card.digest}
            metadata = {"event_type": PLAN, "event_payload": payload}
            self._post(shown.channel, "to post the plan", plan_message(card), metadata)
            shown.plan = card.digest

    def _tell(self, shown: Shown, view: CaseView) -> None:
        if not shown.card:
            return
        news = [each for each in entries(view.events, view.incident) if each.seq > shown.seq]
        for part in _replies(news):
            payload = {"incident": view.incident.id, "seq": part[-1].seq}
            mark = "*EXERCISE*\n" if view.card.exercise else ""
            message = {"text": mark + "\n".join(_line(each) for each in part)}
            check(message)
            metadata = {"event_type": EVENT, "event_payload": payload}
            self._post(shown.channel, "to tell the timeline", message, metadata, thread_ts=shown.card)
            shown.seq = part[-1].seq

    def _invite(self, shown: Shown, view: CaseView) -> None:
        members = sorted({member for person in view.people for member in person.slack} - shown.invited)
        if members:
            channels.invite(self._calls, shown.channel, members)
            shown.invited |= set(members)

    def _settle(self, shown: Shown, what: str, wanted: str, method: str) -> None:
        """Do what is nice to have; when Slack refuses it for good, say so in the log and leave it."""
        if not wanted or shown.done.get(what) == wanted:
            return
        field = "timestamp" if what == "pin" else what
        try:
            self._calls.do(method, f"to set the {what}", channel=shown.channel, **{field: wanted})
        except Refused as error:
            if error.code == "is_archived":
                raise
            if error.code != "already_pinned":
                _log.warning("%s", error)
        except NotFound as error:
            if error.code == "channel_not_found":
                raise
        shown.done[what] = wanted

    def _post(self, channel: str, doing: str, message: Json, metadata: Json, **more: str) -> str:
        quiet = {"unfurl_links": False, "unfurl_media": False}
        answer = self._calls.do(
            "chat.postMessage", doing, channel=channel, metadata=metadata, **quiet, **message, **more
        )
        return str(answer["ts"])


def _card_metadata(card: Card, look: str, after: int) -> Json:
    return {"event_type": CARD, "event_payload": {"incident": card.id, "look": look, "after": after}}


def _replies(news: Iterable[Entry]) -> Iterator[list[Entry]]:
    """What happened at one go is told at one go: as many lines as one message takes."""
    part: list[Entry] = []
    for entry in news:
        length = sum(len(_line(each)) + 1 for each in [*part, entry])
        if part and (len(part) >= _LINES_IN_A_REPLY or length > MESSAGE_TEXT - 50):
            yield part
            part = []
        part.append(entry)
    if part:
        yield part


def _line(entry: Entry) -> str:
    return cut(f"{moment(entry.at, '{time_secs}')} {escaped(entry.text)}", _LINE)
