"""A case as the board gets it, what stands in its channel afterwards, and a client that does not wait long."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fakes.slack_server import FakeSlack
from written_case import ESTATE, START, Case

from integrations.slack.board import SlackBoard
from playbooks.authority import EVERYBODY
from playbooks.card_of import card_of
from playbooks.roster import Person
from playbooks.surfaces import CaseView

CHANNEL = "kq-calm-otter"
NEW_BOARD = Callable[[], SlackBoard]


def impatient(adapter: Any) -> Any:
    """The adapter, waiting for no answer as long as a responder would."""
    adapter._calls._client.timeout = 1
    return adapter


def view(
    case: Case,
    links: Mapping[str, str] | None = None,
    *,
    people: tuple[Person, ...] = (),
    incident_id: str = "",
    plan: str = "",
) -> CaseView:
    """The case as a surface gets it."""
    incident = case.incident
    card = card_of(incident, estate=ESTATE, authority=EVERYBODY, now=START)
    if incident_id:
        incident, card = replace(incident, id=incident_id), replace(card, id=incident_id)
    if plan:
        card = replace(card, plan=plan)
    return CaseView(incident, case.events, card, people, links or {})


def top(slack: FakeSlack, channel: str = CHANNEL) -> list[dict[str, Any]]:
    """Messages of the channel that are no replies."""
    return [each for each in slack.messages(channel) if "thread_ts" not in each]


def told(slack: FakeSlack, channel: str = CHANNEL) -> list[str]:
    """The timeline's lines without their times."""
    replies = [each["text"] for each in slack.messages(channel) if "thread_ts" in each]
    return [line.partition("> ")[2] or line for text in replies for line in text.split("\n")]


def made(slack: FakeSlack, method: str) -> int:
    """Calls of a method that Slack answered with ok."""
    return sum(each.method == method and not each.error for each in slack.calls)


def person(name: str, *members: str) -> Person:
    """Somebody with these accounts in the workspace."""
    return Person(name=name, slack=members)
