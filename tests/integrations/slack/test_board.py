"""The board in Slack: what people see of a case, and that nothing is doubled or lost whatever Slack does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.slack_server import FakeSlack
from written_case import CREDENTIAL, ESTATE, KEY, START, Case

from integrations.slack.board import SlackBoard
from integrations.slack.card_blocks import read_value
from playbooks.authority import EVERYBODY
from playbooks.card_of import card_of
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Throttled, Unreachable
from playbooks.plans import Plan
from playbooks.record import EventKind
from playbooks.roster import Person
from playbooks.surfaces import CaseView, Shows

CHANNEL = "kq-calm-otter"
NEW_BOARD = Callable[[], SlackBoard]


@pytest.fixture
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as running:
        yield running


@pytest.fixture
def new_board(slack: FakeSlack, tmp_path: Path) -> NEW_BOARD:
    """A board as a new process would have it."""
    token = tmp_path / "bot-token"
    token.write_text(slack.bot_token)
    options = {
        "mode": "http",
        "bot_token": f"file:{token}",
        "signing_secret": f"file:{token}",
        "base_url": slack.base_url,
    }

    def make() -> SlackBoard:
        made = SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC))
        made._calls._client.timeout = 1  # the tests do not wait as long as a responder would
        return made

    return make


@pytest.fixture
def board(new_board: NEW_BOARD) -> SlackBoard:
    return new_board()


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
    return Person(name=name, slack=members)


def test_a_case_gets_a_private_channel_with_card_plan_and_timeline(slack: FakeSlack, board: SlackBoard) -> None:
    """Named by codename, never by key; the card is pinned; the purpose names the incident."""
    assert isinstance(board, Shows)
    links = board.show(view(Case()))
    channel = slack.channels[links["channel"]]
    assert (channel.name, channel.private) == (CHANNEL, True)
    assert channel.pins == [links["card"]]
    assert "KQ-20260302-abcd" in channel.purpose
    assert channel.topic == "calm-otter · high · planned"
    card, plan = top(slack)
    assert card["ts"] == links["card"]
    assert "A credential that may use 1 key has leaked" in card["text"]
    assert "```" in json.dumps(plan["blocks"])
    assert CREDENTIAL in json.dumps(plan["blocks"])
    assert told(slack)[0] == "Declared by alice, severity high."


def test_the_card_and_the_timeline_name_no_key(slack: FakeSlack, board: SlackBoard) -> None:
    """Only the plan does, whatever people wrote."""
    case = Case()
    case.note(EventKind.NOTE, text=f"it is {CREDENTIAL}, in <https://x|{KEY}>", by="alice")
    board.show(view(case))
    card, *others = slack.messages(CHANNEL)
    replies = [each for each in others if "thread_ts" in each]
    everything = json.dumps([card, replies, slack.channels[next(iter(slack.channels))].shown()])
    assert CREDENTIAL not in everything
    assert KEY not in everything
    assert "alice noted" in told(slack)[-1].lower()


def test_the_buttons_carry_the_incident_and_the_plan_that_was_shown(slack: FakeSlack, board: SlackBoard) -> None:
    """So that a click on an old card approves nothing else; what is dangerous asks again."""
    case = Case()
    board.show(view(case))
    card = top(slack)[0]
    actions = next(each for each in card["blocks"] if each["type"] == "actions")["elements"]
    names = [each["action_id"] for each in actions]
    assert names == ["kq:contain", "kq:acknowledge", "kq:approve", "kq:deny", "kq:stand-down"]
    assert {read_value(each["value"]) for each in actions} == {(case.incident.id, case.plan.digest)}
    assert ["confirm" in each for each in actions] == [False, False, True, False, True]
    assert read_value("{}") == read_value("nonsense") == ("", "")


def test_showing_the_same_again_changes_nothing(slack: FakeSlack, board: SlackBoard) -> None:
    """Not one call, not even a reading one."""
    links = board.show(view(Case()))
    before = len(slack.calls)
    assert board.show(view(Case(), links)) == links
    assert len(slack.calls) == before


def test_news_updates_the_card_and_adds_to_the_thread(slack: FakeSlack, board: SlackBoard) -> None:
    """One edit for however much happened, and the new lines in order."""
    case = Case()
    links = board.show(view(case))
    already = len(told(slack))
    case.contained()
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="slack")
    board.show(view(case, links))
    assert made(slack, "chat.update") == 1
    shown = json.dumps(top(slack)[0]["blocks"], ensure_ascii=False)
    assert "✔ Contained at" in shown
    assert "✘ Data is not shown to be off the old key." in shown
    assert told(slack)[already:] == [
        "1 credential: refused when tried afresh.",
        "1 credential: its sessions are refused.",
        "1 key: refused to all but the recovery identity.",
        "Contained: 3 probes refused.",
        "Bob took the case.",
    ]
    assert len(top(slack)) == 2
    assert slack.channels[links["channel"]].topic.endswith("contained")


def test_a_changed_plan_is_posted_again(slack: FakeSlack, board: SlackBoard) -> None:
    """And only then."""
    case = Case()
    board.show(view(case))
    fewer = Plan.model_validate(case.plan.model_dump(exclude={"digest"}) | {"unknowns": ("something else",)})
    case.note(EventKind.PLAN_MADE, plan=fewer)
    board.show(view(case))
    board.show(view(case))
    assert [fewer.digest[:12] in each["text"] for each in top(slack)[1:]] == [False, True]


def test_a_case_without_a_plan_has_a_card_all_the_same(slack: FakeSlack, board: SlackBoard) -> None:
    """Just opened: nothing to post as a plan."""
    case = Case()
    del case.events[1:]
    board.show(view(case))
    assert len(top(slack)) == 1


def test_every_message_of_an_exercise_says_so(slack: FakeSlack, board: SlackBoard) -> None:
    """Card, plan, replies, topic and purpose."""
    links = board.show(view(Case(exercise=True)))
    assert all("EXERCISE" in each["text"] for each in slack.messages(CHANNEL))
    assert all("EXERCISE" in json.dumps(each["blocks"]) for each in top(slack))
    channel = slack.channels[links["channel"]]
    assert "EXERCISE" in channel.topic
    assert "EXERCISE" in channel.purpose


def test_people_are_invited_once(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Whoever left the channel is not called back, not by the next process either; newcomers are."""
    anna, bob = slack.add_user("anna"), slack.add_user("bob")
    case, people = Case(), (person("anna", anna),)
    links = new_board().show(view(case, people=people))
    channel = slack.channels[links["channel"]]
    assert anna in channel.members
    channel.members.remove(anna)
    links = new_board().show(view(case, links, people=(*people, person("bob", bob), person("nobody"))))
    assert channel.members == [slack.bot_user, bob]
    assert links["invited"] == ",".join(sorted([anna, bob]))


def test_one_unknown_person_keeps_nobody_else_out(slack: FakeSlack, board: SlackBoard) -> None:
    """Wrong and deactivated accounts are left out, and the rest of the board is there."""
    anna, gone = slack.add_user("anna"), slack.add_user("gone", deleted=True)
    links = board.show(view(Case(), people=(person("a", anna), person("b", gone), person("c", "U0WRONG"))))
    assert slack.channels[links["channel"]].members == [slack.bot_user, anna]
    assert told(slack)
    before = made(slack, "conversations.invite")
    board.show(view(Case(), links, people=(person("a", anna), person("b", gone), person("c", "U0WRONG"))))
    assert made(slack, "conversations.invite") == before


def test_a_codename_that_is_taken_gets_a_suffix(slack: FakeSlack, board: SlackBoard) -> None:
    """Somebody else's channel is neither used nor named after the key; two cases of one codename have one each."""
    slack.add_channel(CHANNEL, private=True, bot=False)
    first = board.show(view(Case()))["channel"]
    second = board.show(view(Case(), incident_id="KQ-20260302-zzzz"))["channel"]
    names = {slack.channels[each].name for each in (first, second)}
    assert len(names) == 2
    assert all(each.startswith(f"{CHANNEL}-") for each in names)


def test_two_cases_of_one_codename_never_share_a_channel(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Not even when the first one's channel could not be marked, and a new process looks for it."""
    slack.fail("conversations.setPurpose", error="restricted_action")
    first = new_board().show(view(Case()))["channel"]
    assert slack.channels[first].purpose == ""
    board = new_board()
    second = board.show(view(Case(), incident_id="KQ-20260302-zzzz"))["channel"]
    assert second != first
    assert board.show(view(Case()))["channel"] == first


@pytest.mark.parametrize("last", ["conversations.create", "conversations.setPurpose", "chat.postMessage", "pins.add"])
def test_a_crash_anywhere_doubles_nothing(slack: FakeSlack, new_board: NEW_BOARD, last: str) -> None:
    """The process dies after the call was done and before anything was remembered; the next one has no links."""
    case = Case()
    slack.hang(last, 1.5, after=True)
    with pytest.raises(Unreachable):
        new_board().show(view(case))
    new_board().show(view(case))
    new_board().show(view(case))
    assert [each.name for each in slack.channels.values()] == [CHANNEL]
    assert len(top(slack)) == 2
    assert len(told(slack)) == len(set(told(slack))) > 1
    assert len(slack.channels[next(iter(slack.channels))].pins) == 1


def test_an_answer_that_was_lost_is_not_asked_for_again_in_vain(slack: FakeSlack, board: SlackBoard) -> None:
    """Slack took the reply and the answer did not come: the same board reads it before it goes on."""
    case = Case()
    links = board.show(view(case))
    case.note(EventKind.NOTE, text="one", by="alice")
    slack.hang("chat.postMessage", 1.5, after=True)
    with pytest.raises(Unreachable):
        board.show(view(case, links))
    case.note(EventKind.NOTE, text="two", by="alice")
    board.show(view(case, links))
    assert told(slack)[-2:] == ["Alice noted: one.", "Alice noted: two."]
    assert sum("noted" in each for each in told(slack)) == 2


def test_a_new_process_goes_on_where_the_last_one_stopped(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """With its links: the card is edited only if it changed, and only new lines are told."""
    case = Case()
    links = new_board().show(view(case))
    count = len(slack.messages(CHANNEL))
    assert new_board().show(view(case, links)) == links
    assert len(slack.messages(CHANNEL)) == count
    assert made(slack, "chat.update") == 0
    case.note(EventKind.NOTE, text="more", by="alice")
    new_board().show(view(case, links))
    assert told(slack)[-1] == "Alice noted: more."
    assert len(slack.messages(CHANNEL)) == count + 1


def test_metadata_of_others_is_not_believed(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """A message that only says that it told everything silences nothing."""
    case = Case()
    links = new_board().show(view(case))
    channel = slack.channels[links["channel"]]
    payload = {"incident": case.incident.id, "seq": 999}
    forged = {"event_type": "keyquell_event", "event_payload": payload}
    message = {"type": "message", "user": "U0EVE", "text": "x", "ts": slack.ts(), "thread_ts": links["card"]}
    channel.messages.append(message | {"metadata": forged})
    case.note(EventKind.NOTE, text="still told", by="alice")
    new_board().show(view(case, links))
    assert told(slack)[-1] == "Alice noted: still told."


def test_a_long_thread_is_read_to_its_end(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """People talk a lot; pages are followed."""
    case = Case()
    links = new_board().show(view(case))
    for number in range(450):
        slack.say("U0ANNA", links["channel"], f"chatter {number}")
    thread = slack.channels[links["channel"]].messages
    for each in thread[-210:]:
        each["thread_ts"] = links["card"]
    case.note(EventKind.NOTE, text="news", by="alice")
    new_board().show(view(case))
    assert made(slack, "conversations.create") == 1
    ours = [each for each in slack.messages(CHANNEL) if each["user"] == slack.bot_user]
    assert len(ours) == 4


def test_a_deleted_card_is_posted_again_and_the_timeline_goes_on(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Nothing that was told is told again."""
    case = Case()
    board = new_board()
    links = board.show(view(case))
    channel = slack.channels[links["channel"]]
    channel.messages = [each for each in channel.messages if each["ts"] != links["card"]]
    channel.pins.clear()
    case.note(EventKind.NOTE, text="after", by="alice")
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    again = board.show(view(case, links))
    assert again["card"] != links["card"]
    assert channel.pins == [again["card"]]
    assert told(slack).count("Declared by alice, severity high.") == 1
    new_board().show(view(case, again))
    assert told(slack)[-2:] == ["Alice noted: after.", "Bob took the case."]


def test_a_deleted_channel_is_made_anew(slack: FakeSlack, board: SlackBoard) -> None:
    """The app was thrown out: the next call makes a channel that it can see."""
    case = Case()
    links = board.show(view(case))
    slack.channels[links["channel"]].members.remove(slack.bot_user)
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    with pytest.raises(NotFound):
        board.show(view(case, links))
    again = board.show(view(case, links))
    assert again["channel"] != links["channel"]
    assert slack.channels[again["channel"]].name.startswith(CHANNEL)


def test_slack_down_is_said_at_once_and_everything_follows_in_order(slack: FakeSlack, board: SlackBoard) -> None:
    """Connections refused, then back."""
    case = Case()
    links = board.show(view(case))
    slack.down()
    for number in range(5):
        case.note(EventKind.NOTE, text=f"{number}", by="alice")
        with pytest.raises(Unreachable) as caught:
            board.show(view(case, links))
        assert slack.bot_token not in str(caught.value)
    slack.up()
    board.show(view(case, links))
    assert told(slack)[-5:] == [f"Alice noted: {number}." for number in range(5)]


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        (lambda slack: slack.rate_limit("*", 7), Throttled),
        (lambda slack: slack.hang("*", 2), Unreachable),
        (lambda slack: slack.fail("*", error="internal_error"), Unreachable),
        (lambda slack: slack.fail("*", error="invalid_auth"), Refused),
    ],
)
def test_what_slack_says_is_translated(
    slack: FakeSlack, board: SlackBoard, trouble: Callable[[FakeSlack], None], expected: type[BackendError]
) -> None:
    """And nothing else has happened."""
    trouble(slack)
    with pytest.raises(expected) as caught:
        board.show(view(Case()))
    assert caught.value.subject.startswith("slack:")
    if expected is Throttled:
        assert "7 s" in caught.value.message
    assert not slack.channels


def test_a_card_that_has_to_wait_does_not_hold_the_timeline_up(slack: FakeSlack, board: SlackBoard) -> None:
    """Edits are limited for the whole workspace, posts for each channel; Slack is not asked again before its time."""
    case = Case()
    links = board.show(view(case))
    slack.rate_limit("chat.update", 30)
    case.note(EventKind.ACKNOWLEDGED, by="bob", via="cli")
    for _ in range(3):
        with pytest.raises(Throttled, match="30 s"):
            board.show(view(case, links))
    assert told(slack)[-1] == "Bob took the case."
    assert sum(each.method == "chat.update" for each in slack.calls) == 1


def test_a_storm_of_refusals_loses_and_doubles_nothing(slack: FakeSlack, new_board: NEW_BOARD) -> None:
    """Every few calls fail in one way or another, processes come and go; in the end the thread is the record."""
    case = Case()
    board, links = new_board(), {}
    for number in range(12):
        case.note(EventKind.NOTE, text=f"{number:02}", by="alice")
        if number % 3 == 0:
            slack.fail("*", error="internal_error")
        if number % 4 == 0:
            slack.rate_limit("*", 1, times=2)
        if number % 5 == 0:
            board = new_board()
        try:
            links = board.show(view(case, links))
        except (Throttled, Unreachable):
            continue
    slack.heal()
    final = new_board()
    final.show(view(case, links))
    assert [each for each in told(slack) if "noted" in each] == [f"Alice noted: {number:02}." for number in range(12)]
    assert len(slack.channels) == 1
    assert len(top(slack)) == 2


@pytest.mark.parametrize("scope", ["pins:write"])
def test_what_is_nice_to_have_does_not_stop_the_rest(slack: FakeSlack, board: SlackBoard, scope: str) -> None:
    """Without the right to pin there is still a card, a plan and a timeline."""
    slack.scopes.discard(scope)
    board.show(view(Case()))
    assert len(top(slack)) == 2
    assert told(slack)


def test_a_missing_scope_is_named(slack: FakeSlack, board: SlackBoard) -> None:
    """The hint says what to add."""
    slack.scopes -= {"groups:write", "channels:manage"}
    with pytest.raises(Refused, match="groups:write") as caught:
        board.show(view(Case()))
    assert caught.value.code == "missing_scope"


def test_an_archived_channel_of_a_closed_case_is_left_alone(slack: FakeSlack, board: SlackBoard) -> None:
    """While the case is open it is an error that says what to do."""
    case = Case()
    links = board.show(view(case))
    slack.channels[links["channel"]].archived = True
    case.note(EventKind.NOTE, text="x", by="alice")
    with pytest.raises(Refused, match="Unarchive"):
        board.show(view(case, links))
    case.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    assert board.show(view(case, links)) == {}


def test_long_texts_arrive_cut_and_a_backlog_in_a_few_replies(slack: FakeSlack, board: SlackBoard) -> None:
    """A plan of any length, a hundred notes of any length: everything within Slack's limits and rates."""
    case = Case()
    for number in range(100):
        case.note(EventKind.NOTE, text=f"{number} " + "<&> long " * 200, by="alice")
    board.show(view(case, plan="- a line of the plan & more <x>\n" * 2000))
    assert sum("noted" in each for each in told(slack)) == 100
    assert len(slack.messages(CHANNEL)) < 30
    assert all(len(each["text"]) <= 4000 for each in slack.messages(CHANNEL))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bot_token": "xoxb-in-clear"}, "bot_token"),
        ({"mode": "socket"}, "app_token"),
        ({"base_url": "http://slack.example/api/"}, "base_url"),
        ({"colour": "red"}, "colour"),
        ({"signing_secret": ""}, "signing_secret"),
        ({"command": "keyquell"}, "command"),
    ],
)
def test_wrong_options_are_named_and_not_repeated(change: dict[str, str], field: str) -> None:
    """No secret stands in the message."""
    options = {"mode": "http", "bot_token": "env:BOT", "signing_secret": "env:SIGN"} | change
    with pytest.raises(InvalidInput, match=field) as caught:
        SlackBoard.open("slack", options, clock=lambda: datetime.now(UTC))
    assert "in-clear" not in str(caught.value)
