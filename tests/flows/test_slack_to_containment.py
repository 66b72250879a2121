"""From a form in Slack to a key that is cut: the record leads, Slack follows, whatever state it is in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.authenticator import SoftAuthenticator
from fakes.slack_direct import direct_messages
from fakes.slack_listener import listening, options_for, until
from fakes.slack_server import FakeSlack
from small_shop import Shop

from flows import step_up
from flows.background import Background
from flows.boards import Boards
from flows.confirmations import carry_out
from flows.desk import ResponseDesk
from flows.wiring import Wiring
from playbooks.incident import Incident
from playbooks.record import EventKind


@dataclass
class Room:
    """A shop with a listener and boards; ann may declare, contain and approve, mallory is in no roster."""

    shop: Shop
    slack: FakeSlack
    wiring: Wiring
    ann: str
    mallory: str
    channel: str

    def form(self, user: str = "") -> tuple[str, dict[str, Any]]:
        """A filled-in declaration of the shop's leaked credential."""
        who = user or self.ann
        self.slack.slash("/keyquell", "declare", who, self.channel)
        view = until(lambda: self.top(who), "the form")
        offered = self.slack.suggest("target", "aws", who, view_id=view["id"])
        assert self.shop.credential in [each["value"] for each in offered]
        return view["id"], {"target": self.shop.credential, "kind": "credential", "note": "seen in a public log"}

    def incident(self) -> Incident | None:
        """The only incident, once there is one."""
        ids = self.wiring.records.incidents()
        assert len(ids) <= 1
        return self.wiring.incident(ids[0]) if ids else None

    def contained(self) -> Incident:
        """Wait until the record says that containment holds."""

        def found() -> Incident | None:
            incident = self.incident()
            return incident if incident is not None and incident.contained_at is not None else None

        return until(found, "containment", seconds=30)  # type: ignore[no-any-return]

    def incident_channels(self) -> list[str]:
        """Channels that the board made."""
        return [each.name for each in self.slack.channels.values() if each.private and not each.id.startswith("D")]

    def press(self, name: str) -> None:
        """Ann presses a button of the live card in the incident's channel, once she is in it."""

        def card() -> tuple[str, str] | None:
            with self.slack.lock:
                for channel in self.slack.channels.values():
                    for message in channel.messages if self.ann in channel.members else ():
                        if f"'kq:{name}'" in str(message.get("blocks", "")):
                            return channel.id, message["ts"]
            return None

        channel, ts = until(card, f"a card with {name}", seconds=60)
        self.slack.click(channel, ts, f"kq:{name}", self.ann)

    def link(self, words: str) -> str:
        """The token of the link that ann was whispered with these words."""

        def whispered() -> str | None:
            for each in list(self.slack.ephemerals):
                if each["user"] == self.ann and words in str(each["text"]):
                    assert "/approve/" not in each["text"]
                    return str(each["blocks"][1]["elements"][0]["url"])
            return None

        return str(until(whispered, words)).rpartition("/")[2]

    def top(self, user: str) -> dict[str, Any] | None:
        """The modal on top of a person's screen, once it can be submitted."""
        stack = self.slack.stacks.get(user, [])
        view = self.slack.views.get(stack[-1]) if stack else None
        return view if view is not None and "submit" in view else None


@pytest.fixture
def room(shop: Shop, tmp_path: Path) -> Iterator[Room]:
    with FakeSlack() as slack:
        ann, mallory = slack.add_user("ann"), slack.add_user("mallory")
        channel = slack.add_channel("general", members=(ann, mallory))
        _configure(shop, tmp_path, slack, ann)
        with shop.wiring() as wiring:
            background = Background(wiring)
            with listening(app := wiring.chat(ResponseDesk(wiring, background))), _boards(wiring):
                until(lambda: app.connected, "a connection")
                yield Room(shop, slack, wiring, ann, mallory, channel)
            background.wait(seconds=10)
        assert slack.troubles == []


def _configure(shop: Shop, tmp_path: Path, slack: FakeSlack, ann: str) -> None:
    person = {"name": "ann", "slack": [ann], "roles": ["declare", "contain", "approve", "audit"]}
    (shop.root / "roster.yaml").write_text(yaml.safe_dump({"version": 1, "people": [person]}))
    settings = yaml.safe_load(shop.config.read_text())
    settings |= {"roster": "roster.yaml", "slack": options_for(tmp_path, slack)}
    shop.config.write_text(yaml.safe_dump(settings))


@contextmanager
def _boards(wiring: Wiring) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=Boards(wiring).run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


def test_containment_is_proven_while_slack_makes_no_channel(room: Room) -> None:
    """The channel comes when Slack lets it; the key is cut before."""
    form, values = room.form()
    room.slack.fail("conversations.create", error="internal_error", times=1_000)
    room.slack.submit(form, values, room.ann)
    incident = room.contained()
    assert not room.shop.credential_active()
    assert room.incident_channels() == []
    assert incident.requested_by == "ann"
    until(lambda: incident.codename in str(direct_messages(room.slack, room.ann)), "the codename")
    room.slack.heal()
    until(room.incident_channels, "the channel", seconds=60)
    assert incident.codename in room.incident_channels()[0]


def test_containment_goes_on_when_slack_dies_after_the_acknowledgement(room: Room) -> None:
    """Nothing is asked of Slack between the click and the cut; what was not said is said when it is back."""
    form, values = room.form()
    room.slack.submit(form, values, room.ann)
    room.slack.down()
    incident = room.contained()
    assert not room.shop.credential_active()
    room.slack.up()
    until(room.incident_channels, "the channel", seconds=60)
    assert [name for name in room.incident_channels() if incident.codename in name] == room.incident_channels()
    assert len(room.incident_channels()) == 1


def test_a_form_sent_again_opens_no_second_incident(room: Room) -> None:
    """The record knows the form, also for a listener that has forgotten it."""
    form, values = room.form()
    view = dict(room.slack.views[form])
    room.slack.submit(form, values, room.ann)
    room.contained()
    room.slack.replay_last()
    again = room.wiring.chat(ResponseDesk(room.wiring, Background(room.wiring)))
    room.slack.drop_socket()
    with listening(again):
        until(lambda: len(room.slack.sockets.live) == 2, "both listeners")
        room.slack.views[form], room.slack.stacks[room.ann] = view, [form]
        room.slack.submit(form, values, room.ann)
        until(lambda: len(direct_messages(room.slack, room.ann)) >= 1, "an answer")
    assert len(room.wiring.records.incidents()) == 1


def test_a_stranger_opens_nothing_and_the_try_is_recorded(room: Room) -> None:
    """The refusal stands in the installation's record."""
    room.slack.slash("/keyquell", "declare", room.mallory, room.channel)

    def refused() -> bool:
        stack = room.slack.stacks.get(room.mallory, [])
        return bool(stack) and "You may not do that" in str(room.slack.views[stack[-1]]["blocks"])

    until(refused, "the refusal")
    assert room.wiring.records.incidents() == []
    assert room.wiring.records.of_kind(EventKind.ATTEMPT_REFUSED)


def test_a_stolen_account_takes_nothing_back_and_the_passkey_of_its_owner_does(room: Room) -> None:
    """Undo and stand down answer a click with a link; the key stays cut until the passkey behind it is touched."""
    authenticator, wiring = SoftAuthenticator(), room.wiring
    token = step_up.invite(wiring, person="ann", by="admin").link.rpartition("/")[2]
    step_up.enrol(wiring, token, authenticator.create(step_up.invited(wiring, token).options), label="key ring")
    form, values = room.form()
    room.slack.submit(form, values, room.ann)
    incident = room.contained()
    room.press("undo")
    undo = room.link("Taking back what was done")
    room.press("stand-down")
    view = until(lambda: room.top(room.ann), "the form")
    room.slack.submit(view["id"], {"outcome": "false-alarm"}, room.ann)
    end = room.link("Ending")
    assert not room.shop.credential_active()
    assert wiring.incident(incident.id).closed is None
    assert wiring.records.of_kind(EventKind.CONFIRMED) == []
    background = Background(wiring)
    for token in (undo, end):
        asked = step_up.look(wiring, token)
        step_up.redeem(wiring, token, authenticator.get(asked.options), address="127.0.0.1")
        carry_out(wiring, background, incident.id, by=asked.approver, deed=asked.deed)
        background.wait(seconds=30)
    assert room.shop.credential_active()
    closed = wiring.incident(incident.id).closed
    assert closed is not None
    assert (closed.by, closed.outcome) == ("ann", "false-alarm")
