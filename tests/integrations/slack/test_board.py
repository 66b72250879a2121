"""The board in Slack: what people see of a case, who is invited, and whose words are believed."""

from __future__ import annotations

import json

from fakes.slack_server import FakeSlack
from shown_case import CHANNEL, NEW_BOARD, made, person, told, top, view
from written_case import CREDENTIAL, KEY, Case

from integrations.slack.board import SlackBoard
from integrations.slack.card_blocks import read_value
from playbooks.plans import Plan
from playbooks.record import EventKind
from playbooks.surfaces import Shows


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


def test_long_texts_arrive_cut_and_a_backlog_in_a_few_replies(slack: FakeSlack, board: SlackBoard) -> None:
    """A plan of any length, a hundred notes of any length: everything within Slack's limits and rates."""
    case = Case()
    for number in range(100):
        case.note(EventKind.NOTE, text=f"{number} " + "<&> long " * 200, by="alice")
    board.show(view(case, plan="- a line of the plan & more <x>\n" * 2000))
    assert sum("noted" in each for each in told(slack)) == 100
    assert len(slack.messages(CHANNEL)) < 30
    assert all(len(each["text"]) <= 4000 for each in slack.messages(CHANNEL))
