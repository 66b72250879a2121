"""The state of a fake Slack workspace, and the registry of the Web API methods that work on it."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Args = dict[str, Any]


class SlackError(Exception):
    """What the Web API answers with ``ok: false``; ``more`` stands beside ``error``."""

    def __init__(self, code: str, **more: Any) -> None:
        super().__init__(code)
        self.code = code
        self.more = more


@dataclass
class Channel:
    """A conversation; ``messages`` are in order of posting, replies among them; ``pins`` are timestamps."""

    id: str
    name: str
    private: bool
    creator: str
    members: list[str]
    topic: str = ""
    purpose: str = ""
    archived: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)

    def message(self, ts: str) -> dict[str, Any]:
        """The stored message; SlackError when there is none."""
        for each in self.messages:
            if each["ts"] == ts:
                return each
        raise SlackError("message_not_found")

    def shown(self) -> dict[str, Any]:
        """The conversation object of the Web API."""
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.private,
            "is_group": self.private,
            "is_private": self.private,
            "is_archived": self.archived,
            "creator": self.creator,
            "topic": {"value": self.topic, "creator": self.creator if self.topic else "", "last_set": 0},
            "purpose": {"value": self.purpose, "creator": self.creator if self.purpose else "", "last_set": 0},
            "num_members": len(self.members),
        }


@dataclass
class Trigger:
    """A trigger id: good once and until ``ends`` (monotonic seconds)."""

    user: str
    ends: float
    view: str = ""
    used: bool = False


@dataclass
class ResponseUrl:
    """Where an answer to an interaction may be posted."""

    channel: str
    user: str
    ends: float
    source: str = ""
    uses: int = 5


@dataclass(frozen=True)
class Method:
    """One Web API method: what it does and what it asks of the caller."""

    name: str
    run: Callable[[Workspace, Args], dict[str, Any] | None]
    scopes: tuple[str, ...]
    needs: tuple[str, ...]
    per_minute: int
    per_channel: bool
    token: str


METHODS: dict[str, Method] = {}


def method(
    name: str,
    *,
    scopes: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    per_minute: int = 50,
    per_channel: bool = False,
    kind: str = "bot",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a Web API method; any one of ``scopes`` is enough, every one of ``needs`` must be given.

    ``kind`` is the kind of token that it takes.
    """

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        METHODS[name] = Method(name, run, scopes, needs, per_minute, per_channel, kind)
        return run

    return register


class Workspace:
    """Everything that Slack remembers.  Only touch it while holding ``lock``."""

    trigger_seconds = 3.0
    response_url_seconds = 1800.0

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.team = "T" + _random_id()
        self.app = "A" + _random_id()
        self.bot_user = "U" + _random_id()
        self.bot = "B" + _random_id()
        self.base = ""
        self.users: dict[str, dict[str, Any]] = {}
        self.groups: dict[str, list[str]] = {}
        self.channels: dict[str, Channel] = {}
        self.views: dict[str, dict[str, Any]] = {}
        self.stacks: dict[str, list[str]] = {}
        self.ephemerals: list[dict[str, Any]] = []
        self.triggers: dict[str, Trigger] = {}
        self.response_urls: dict[str, ResponseUrl] = {}
        self.files: dict[str, dict[str, Any]] = {}
        self.tickets: dict[str, float] = {}
        self._last_ts = 0
        self.add_user("keyquell", id=self.bot_user, is_bot=True)

    def add_user(self, name: str, **more: Any) -> str:
        """A person of the workspace; the member id.  ``deleted=True`` is a deactivated account."""
        member = more.pop("id", "U" + _random_id())
        profile = {"real_name": name.title(), "display_name": name, "email": f"{name}@example.com"}
        user = {"id": member, "team_id": self.team, "name": name, "real_name": name.title(), "deleted": False}
        self.users[member] = user | {"is_bot": False, "tz": "Etc/UTC", "profile": profile} | more
        return member

    def add_channel(self, name: str, *, private: bool = False, members: tuple[str, ...] = (), bot: bool = True) -> str:
        """A channel that somebody made; the bot is in it unless told otherwise."""
        people = [*members, self.bot_user] if bot else list(members)
        channel = Channel("C" + _random_id(), name, private, people[0] if people else "", people)
        self.channels[channel.id] = channel
        return channel.id

    def ts(self) -> str:
        """A fresh timestamp, later than every other."""
        self._last_ts = max(self._last_ts + 1, time.time_ns() // 1000)
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def trigger(self, user: str, view: str = "") -> str:
        """A new trigger id for one modal."""
        name = f"{_random_id()}.{_random_id()}.{secrets.token_hex(16)}"
        self.triggers[name] = Trigger(user, time.monotonic() + self.trigger_seconds, view)
        return name

    def use_trigger(self, name: str) -> Trigger:
        """Redeem a trigger id: once, in time."""
        trigger = self.triggers.get(name)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.used:
            raise SlackError("exchanged_trigger_id")
        if time.monotonic() > trigger.ends:
            raise SlackError("expired_trigger_id")
        trigger.used = True
        return trigger

    def response_url(self, channel: str, user: str, source: str = "") -> str:
        """A new response URL."""
        name = secrets.token_urlsafe(18)
        self.response_urls[name] = ResponseUrl(channel, user, time.monotonic() + self.response_url_seconds, source)
        return f"{self.base}/actions/{self.team}/{name}"

    def channel(self, name: str, *, member: bool = True, open_only: bool = False) -> Channel:
        """The channel by id, as the bot may see it; SlackError otherwise."""
        found = self.channels.get(name)
        inside = found is not None and self.bot_user in found.members
        if found is None or (found.private and not inside):
            raise SlackError("channel_not_found")
        if open_only and found.archived:
            raise SlackError("is_archived")
        if member and not inside:
            raise SlackError("not_in_channel")
        return found

    def user(self, member: str) -> dict[str, Any]:
        """The user object; SlackError when nobody has this id."""
        if member not in self.users:
            raise SlackError("user_not_found")
        return self.users[member]


def decoded(value: Any, expected: type) -> Any:
    """A structured argument, which the SDKs send as JSON text in a form; SlackError when it is something else."""
    if isinstance(value, str) and expected is not str:
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SlackError("invalid_arguments") from error
    if not isinstance(value, expected):
        raise SlackError("invalid_arguments")
    return value


def flag(value: Any) -> bool:
    """A boolean argument of a form."""
    return value in (True, "true", "1", 1, "True")


def with_block_ids(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks as Slack stores them: each with a block id, each element with an action id."""
    stored: list[dict[str, Any]] = json.loads(json.dumps(blocks))
    for block in stored:
        block.setdefault("block_id", secrets.token_urlsafe(4))
        for element in elements_of(block):
            element.setdefault("action_id", secrets.token_urlsafe(4))
    return stored


def elements_of(block: dict[str, Any]) -> list[dict[str, Any]]:
    """The interactive elements of a block."""
    found = list(block["elements"]) if block["type"] == "actions" else []
    found += [block[name] for name in ("accessory", "element") if name in block]
    return [each for each in found if each["type"] != "image"]


def page(items: list[Any], args: Args, most: int = 1000) -> tuple[list[Any], dict[str, Any]]:
    """One page by cursor, and the ``response_metadata`` that leads to the next."""
    limit = min(int(args.get("limit") or 100), most)
    cursor = str(args.get("cursor") or "")
    if cursor and not re.fullmatch(r"p\d+", cursor):
        raise SlackError("invalid_cursor")
    start = int(cursor[1:]) if cursor else 0
    following = f"p{start + limit}" if start + limit < len(items) else ""
    return items[start : start + limit], {"next_cursor": following}


def _random_id() -> str:
    return "0" + secrets.token_hex(5).upper()
