"""People of the fake workspace: they type commands, click what they see, fill in modals; over socket or signed HTTP."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

import aiohttp
from fakes.slack_answers import UnableError, answered, state_of
from fakes.slack_chat import answer
from fakes.slack_limits import option_problems
from fakes.slack_socket import Ack, NotAnsweredError, Sockets
from fakes.slack_views import answer_submission
from fakes.slack_workspace import SlackError, Workspace, elements_of

__all__ = ["PlaysPeople", "UnableError"]
_T = TypeVar("_T")


class PlaysPeople(Workspace):
    """What people do.  Each move raises UnableError when Slack would not let them, NotAnsweredError without an ack.

    ``acks`` are all answers so far; ``troubles`` what Slack would have refused in them (shown to people as "something
    went wrong").
    """

    deliver: str
    http_target: str
    signing_secret: str
    ack_seconds: float
    retries: int
    sockets: Sockets

    def __init__(self) -> None:
        super().__init__()
        self.acks: list[Ack] = []
        self.troubles: list[str] = []
        self.offered: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self._last_http: tuple[bytes, dict[str, str]] = (b"", {})

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do something in the server's loop and wait for it."""
        raise NotImplementedError

    def messages(self, channel: str) -> list[dict[str, Any]]:
        """All messages of a channel (by id or name), replies among them, in order."""
        with self.lock:
            found = [each for each in self.channels.values() if channel in (each.id, each.name)]
            return [json.loads(json.dumps(each)) for each in found[0].messages] if found else []

    def join(self, channel: str, user: str) -> None:
        """Put a person into a channel."""
        with self.lock:
            if user not in self.channels[channel].members:
                self.channels[channel].members.append(user)

    def say(self, user: str, channel: str, text: str) -> str:
        """A person writes a message; its timestamp."""
        with self.lock:
            ts = self.ts()
            message = {"type": "message", "user": user, "text": text, "ts": ts, "team": self.team}
            self.channels[channel].messages.append(message)
            return ts

    def slash(self, command: str, text: str, user: str, channel: str = "D0DIRECT") -> Ack:
        """Type a command."""
        with self.lock:
            known = self.channels.get(channel)
            payload = self._from(user) | {
                "command": command,
                "text": text,
                "channel_id": channel,
                "channel_name": known.name if known else "directmessage",
                "user_id": user,
                "user_name": self.users[user]["name"],
                "team_id": self.team,
                "team_domain": "example",
                "response_url": self.response_url(channel, user),
                "trigger_id": self.trigger(user),
            }
            for name in ("user", "team", "type"):
                payload.pop(name, None)
        ack = self._tell("slash_commands", payload)
        if ack.body:
            with self.lock:
                self._judge(lambda: answer(self, channel, user, ack.body))
        return ack

    def click(self, channel: str, ts: str, action_id: str, user: str, *, value: Any = None) -> Ack:
        """Press a button (or choose ``value`` in a menu) of a message that stands there; confirms its dialog."""
        with self.lock:
            message, whispered = self._seen(channel, ts, user)
            element, action = _find(message.get("blocks", []), action_id)
            action |= answered(element, value, self.offered.get((ts, action_id), []))
            container = {"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": whispered}
            known = self.channels.get(channel)
            payload = self._from(user) | {
                "type": "block_actions",
                "container": container,
                "trigger_id": self.trigger(user),
                "channel": {"id": channel, "name": known.name if known else "directmessage"},
                "state": {"values": {}},
                "response_url": self.response_url(channel, user, ts),
                "actions": [action],
            }
            if not whispered:
                payload["message"] = {name: each for name, each in message.items() if name != "metadata"}
        return self._tell("interactive", payload)

    def act(self, view_id: str, action_id: str, user: str, *, value: Any = None) -> Ack:
        """Press a button or choose in a menu of an open modal."""
        with self.lock:
            view = self._open(view_id, user)
            element, action = _find(view["blocks"], action_id)
            action |= answered(element, value, self.offered.get((view_id, action_id), []))
            payload = self._from(user) | {
                "type": "block_actions",
                "container": {"type": "view", "view_id": view_id},
                "trigger_id": self.trigger(user, view_id),
                "view": view,
                "actions": [action],
            }
        return self._tell("interactive", payload)

    def submit(self, view_id: str, values: Mapping[str, Any], user: str) -> Ack:
        """Fill in a modal and press its submit button; ``values`` by action id or block id."""
        with self.lock:
            view = self._open(view_id, user)
            if "submit" not in view:
                raise UnableError("the modal has no submit button")
            offered = {name: options for (where, name), options in self.offered.items() if where == view_id}
            view["state"] = {"values": state_of(view["blocks"], values, offered)}
            payload = self._from(user) | {
                "type": "view_submission",
                "trigger_id": self.trigger(user, view_id),
                "view": json.loads(json.dumps(view)),
                "response_urls": [],
            }
        ack = self._tell("interactive", payload)
        with self.lock:
            if view_id in self.views:
                self._judge(lambda: answer_submission(self, self.views[view_id], user, ack.body))
        return ack

    def close_view(self, view_id: str, user: str) -> Ack | None:
        """Close a modal; the app hears of it only when it asked to."""
        with self.lock:
            view = self._open(view_id, user)
            del self.views[view_id]
            self.stacks[user].remove(view_id)
            payload = self._from(user) | {"type": "view_closed", "view": view, "is_cleared": False}
        return self._tell("interactive", payload) if view.get("notify_on_close") else None

    def suggest(self, action_id: str, value: str, user: str, *, view_id: str = "") -> list[dict[str, Any]]:
        """Type into a searching menu of an open modal; the options it offers, judged by Slack's limits."""
        with self.lock:
            names = [view_id] if view_id else self.stacks.get(user, [])[-1:]
            if not names:
                raise UnableError("no modal is open")
            view = self._open(names[0], user)
            element, action = _find(view["blocks"], action_id)
            if element["type"] not in ("external_select", "multi_external_select"):
                raise UnableError(f"{action_id} does not search")
            if len(value) < element.get("min_query_length", 3):
                raise UnableError(f"{action_id} searches from {element.get('min_query_length', 3)} characters on")
            payload = self._from(user) | {
                "type": "block_suggestion",
                "container": {"type": "view", "view_id": view["id"]},
                "action_id": action_id,
                "block_id": action["block_id"],
                "value": value,
                "view": view,
            }
        ack = self._tell("interactive", payload)
        groups = ack.body.get("option_groups")
        options = [one for each in groups for one in each["options"]] if groups else ack.body.get("options")
        if problems := option_problems(options):
            self.troubles += problems
            return []
        self.offered[view["id"], action_id] = options
        return list(options or [])

    def shortcut_message(self, callback_id: str, channel: str, ts: str, user: str) -> Ack:
        """Choose a shortcut in the menu of a message."""
        with self.lock:
            message, whispered = self._seen(channel, ts, user)
            if whispered:
                raise UnableError("an ephemeral message has no shortcuts")
            payload = self._from(user) | {
                "type": "message_action",
                "callback_id": callback_id,
                "trigger_id": self.trigger(user),
                "response_url": self.response_url(channel, user, ts),
                "channel": {"id": channel, "name": self.channels[channel].name},
                "message_ts": ts,
                "message": message,
                "action_ts": self.ts(),
            }
        return self._tell("interactive", payload)

    def replay_last(self) -> Ack:
        """Send the last thing again: the same envelope id, or the same signed bytes."""
        if self.deliver == "http":
            return self.run(self._send(*self._last_http))
        return self.run(self.sockets.replay(list(self.sockets.envelopes)[-1]))

    def post_signed(self, body: bytes | str, *, timestamp: Any = None, signature: str | None = None) -> Ack:
        """Post raw bytes to the app, with a right or a forged timestamp and signature; any status is an answer."""
        raw = body.encode() if isinstance(body, str) else body
        return self.run(self._send(raw, self._headers(raw, timestamp=timestamp, signature=signature)))

    def _headers(self, body: bytes, *, timestamp: Any = None, signature: str | None = None) -> dict[str, str]:
        at = str(int(time.time()) if timestamp is None else timestamp)
        made = hmac.new(self.signing_secret.encode(), f"v0:{at}:".encode() + body, hashlib.sha256).hexdigest()
        signed = f"v0={made}" if signature is None else signature
        return {
            "X-Slack-Request-Timestamp": at,
            "X-Slack-Signature": signed,
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def _tell(self, kind: str, payload: dict[str, Any]) -> Ack:
        plain = json.loads(json.dumps(payload))
        if self.deliver == "socket":
            ack = self.run(self.sockets.deliver(kind, plain, retries=self.retries))
        else:
            fields = plain if kind == "slash_commands" else {"payload": json.dumps(plain)}
            body = urlencode({name: str(each) for name, each in fields.items()}).encode()
            self._last_http = body, self._headers(body)
            ack = self.run(self._send(*self._last_http))
            if ack.status != 200:
                raise NotAnsweredError(f"the app answered {ack.status}")
        self.acks.append(ack)
        return ack

    async def _send(self, body: bytes, headers: dict[str, str]) -> Ack:
        started = time.monotonic()
        limit = aiohttp.ClientTimeout(total=self.ack_seconds)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit) as session,
                session.post(self.http_target, data=body, headers=headers) as response,
            ):
                text = await response.text()
                seconds = time.monotonic() - started
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:  # noqa: UP041 - the same class from 3.11 on
            raise NotAnsweredError(f"the app gave no answer: {error!r}") from error
        is_json = response.content_type == "application/json" and text.strip()
        found = json.loads(text) if is_json else ({"text": text} if text.strip() else {})
        return Ack(found if isinstance(found, dict) else {"text": text}, response.status, seconds)

    def _from(self, user: str) -> dict[str, Any]:
        if user not in self.users or self.users[user]["deleted"]:
            raise UnableError("there is no such person")
        name = self.users[user]["name"]
        return {
            "token": "verification",
            "api_app_id": self.app,
            "team": {"id": self.team, "domain": "example"},
            "user": {"id": user, "username": name, "name": name, "team_id": self.team},
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _seen(self, channel: str, ts: str, user: str) -> tuple[dict[str, Any], bool]:
        whispers = [
            each for each in self.ephemerals if (each["channel"], each["ts"], each["user"]) == (channel, ts, user)
        ]
        if whispers:
            return whispers[0], True
        known = self.channels.get(channel)
        if known is None or (known.private and user not in known.members):
            raise UnableError("the person does not see this channel")
        try:
            return known.message(ts), False
        except SlackError as error:
            raise UnableError("there is no such message") from error

    def _open(self, view_id: str, user: str) -> dict[str, Any]:
        if view_id not in self.stacks.get(user, []) or view_id not in self.views:
            raise UnableError("the person has no such modal open")
        return self.views[view_id]

    def _judge(self, work: Any) -> None:
        try:
            work()
        except SlackError as error:
            self.troubles.append(" ".join([error.code, *error.more.get("response_metadata", {}).get("messages", [])]))


def _find(blocks: list[dict[str, Any]], action_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    for block in blocks:
        for element in elements_of(block):
            if element.get("action_id") == action_id:
                at = f"{time.time():.6f}"
                action = {"type": element["type"], "action_id": action_id, "block_id": block["block_id"]}
                return element, action | {"action_ts": at}
    raise UnableError(f"nothing called {action_id} stands there")
