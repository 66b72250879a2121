"""``/keyquell`` answers questions to the one who asks; buttons do what the desk allows, for the plan that was seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.slack_direct import direct_messages
from fakes.slack_listener import until
from slack_listening import Floor, floor, said
from strict_desk import DIGEST, LINK

from playbooks.codenames import codename
from playbooks.desk import Actor
from playbooks.errors import Unreachable


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Floor]:
    with floor(tmp_path) as found:
        yield found


def _buttons(at: Floor) -> dict[str, Any]:
    """The whispered plan of the only incident, with its buttons."""
    at.type("approve")
    return at.heard("then approve")


def _press(at: Floor, name: str) -> Any:
    """Press a button of the live card, as ``status`` whispers it."""
    at.desk.surfaces[at.channel] = at.desk.incidents(Actor(account=at.ann, via="slack"))[0].id
    at.type("status")
    message = at.heard("Next:")
    return at.slack.click(at.channel, message["ts"], f"kq:{name}", at.ann)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("status", "A credential may be used by somebody else"),
        ("plan", "the key is turned off"),
        ("approve", "then approve"),
        ("who", "Two people who may approve have not answered &lt;yet&gt;."),
        ("help", "Report a leaked key"),
        ("", "Report a leaked key"),
        ("stauts", "Did you mean `/keyquell status`?"),
        ("frobnicate", "See `/keyquell help`."),
    ],
)
def test_questions_are_answered_to_the_one_who_asks(at: Floor, typed: str, answer: str) -> None:
    """The answer is ephemeral; the channel reads nothing."""
    at.desk.opened()
    at.type(typed)
    at.heard(answer)
    assert at.slack.messages(at.channel) == []


def test_a_codename_names_the_incident(at: Floor) -> None:
    """People say codenames, not ids."""
    at.desk.opened()
    second = at.desk.opened()
    at.type(f"plan {codename(second)}")
    assert codename(second) in said(at.heard("The plan of"))


def test_in_an_incidents_channel_its_incident_is_meant(at: Floor) -> None:
    """Two incidents are open; the channel decides."""
    at.desk.opened()
    second = at.desk.opened()
    at.desk.surfaces[at.channel] = second
    at.type("plan")
    assert codename(second) in said(at.heard("The plan of"))


def test_without_a_name_among_several_the_names_are_listed(at: Floor) -> None:
    """Nobody's plan is shown by guess."""
    first, second = at.desk.opened(), at.desk.opened()
    at.type("plan")
    words = said(at.heard("several incidents are open".capitalize()))
    assert codename(first) in words
    assert codename(second) in words


def test_an_incident_that_is_not_there_is_said_to_be_so(at: Floor) -> None:
    """A wrong name is quoted, harmlessly."""
    at.type("status <!channel>")
    assert "<!channel>" not in said(at.heard("there is no incident".capitalize()))


@pytest.mark.parametrize("typed", ["status", "plan x", "who x", "export x"])
def test_somebody_without_a_role_is_refused(at: Floor, typed: str) -> None:
    """Every question is the desk's to answer or to refuse."""
    at.desk.opened()
    at.type(typed, user=at.stranger)
    at.heard("You may not do that.", user=at.stranger)


def test_an_export_goes_to_the_auditors_direct_messages(at: Floor) -> None:
    """The record never reaches a channel, wherever it was asked for."""
    incident = at.desk.opened()
    at.type("export")
    at.heard("in your direct messages")
    assert [each["title"] for each in direct_messages(at.slack, at.ann)[0]["files"]] == [f"{incident}.json"]
    assert at.slack.messages(at.channel) == []
    assert next(iter(at.slack.files.values()))["content"] == b'{"events": []}'


def test_an_export_that_slack_does_not_take_is_said_to_have_failed(at: Floor) -> None:
    """The other way is named."""
    at.desk.opened()
    at.slack.fail("files.getUploadURLExternal", error="file_uploads_disabled")
    at.type("export")
    at.heard("Use `keyquell record export`")


@pytest.mark.parametrize("name", ["contain", "undo", "acknowledge"])
def test_a_button_moves_the_desk(at: Floor, name: str) -> None:
    """The incident is the one of the card."""
    at.desk.step_up = False
    incident = at.desk.opened()
    _press(at, name)
    until(lambda: at.desk.calls(name), name)
    assert at.desk.calls(name) == [(name, at.ann, incident)]
    at.heard(codename(incident))


@pytest.mark.parametrize("name", ["approve", "undo", "stand-down"])
def test_what_weighs_yields_a_link_for_that_person_only(at: Floor, name: str) -> None:
    """The click is intent; the passkey is the word that counts.  The link stands only behind the button."""
    at.desk.opened()
    _press(at, name)
    if name == "stand-down":
        at.slack.submit(at.form()["id"], {"outcome": "false-alarm"}, at.ann)
    message = at.heard("needs your passkey")
    button = message["blocks"][1]["elements"][0]
    assert button["url"] == LINK
    assert LINK not in message["text"]
    assert LINK not in str(at.whispers(at.stranger)) + str(at.slack.messages(at.channel))
    assert "works once" in said(message)
    at.slack.click(at.channel, message["ts"], "kq:passkey", at.ann)


def test_an_approval_that_needs_no_passkey_is_recorded_at_once(at: Floor) -> None:
    """What can be taken back does not ask for more than a click."""
    at.desk.step_up = False
    at.desk.opened()
    _press(at, "approve")
    at.heard(f"plan `{DIGEST[:12]}`")


def test_a_plan_that_changed_since_it_was_seen_is_not_approved(at: Floor) -> None:
    """The button carries the digest of what the person saw."""
    at.desk.opened()
    message = _buttons(at)
    at.desk.digest = "e" * 64
    at.slack.click(at.channel, message["ts"], "kq:approve", at.ann)
    at.heard("The plan has changed since you saw it. Look at it again.")
    assert LINK not in str(at.whispers())


def test_deny_asks_why_and_tells_the_desk(at: Floor) -> None:
    """A reason is part of a denial."""
    incident = at.desk.opened()
    _press(at, "deny")
    form = at.form()["id"]
    assert at.slack.submit(form, {"reason": "the payment run is on"}, at.ann).body == {}
    at.heard("You denied")
    assert at.desk.calls("deny") == [("deny", at.ann, f"{incident} the payment run is on")]


def test_a_reason_with_a_secret_is_refused_in_the_form(at: Floor) -> None:
    """Everybody in the incident would read it."""
    at.desk.opened()
    _press(at, "deny")
    ack = at.slack.submit(at.form()["id"], {"reason": "password: Tr0ub4dor&3"}, at.ann)
    assert "looks like a secret" in ack.body["errors"]["reason"]
    assert at.desk.calls("deny") == []


def test_stand_down_asks_how_it_ended(at: Floor) -> None:
    """The outcome is one of three."""
    at.desk.step_up = False
    incident = at.desk.opened()
    _press(at, "stand-down")
    at.slack.submit(at.form()["id"], {"outcome": "false-alarm"}, at.ann)
    at.heard("is over")
    assert at.desk.calls("stand-down") == [("stand-down", at.ann, f"{incident} false-alarm")]


def test_a_click_delivered_again_moves_the_desk_once(at: Floor) -> None:
    """A replayed envelope is acknowledged, and nothing is done again."""
    at.desk.opened()
    _press(at, "contain")
    until(lambda: at.desk.calls("contain"), "containment")
    at.slack.replay_last()
    at.type("help")
    at.heard("Report a leaked key")
    assert len(at.desk.calls("contain")) == 1


def test_somebody_without_a_role_moves_nothing_by_a_click(at: Floor) -> None:
    """The refusal is for their eyes, with what to do."""
    incident = at.desk.opened()
    blocks = [
        {
            "type": "actions",
            "elements": [
                {
                    "type": "button",
                    "action_id": "kq:contain",
                    "text": {"type": "plain_text", "text": "Contain now"},
                    "value": json.dumps({"i": incident, "d": DIGEST}),
                }
            ],
        }
    ]
    ts = at.slack.say(at.slack.bot_user, at.channel, "card")
    at.slack.channels[at.channel].message(ts)["blocks"] = blocks
    with at.slack.lock:
        for each in at.slack.channels[at.channel].messages[-1]["blocks"]:
            each["block_id"] = "b"
    at.slack.click(at.channel, ts, "kq:contain", at.stranger)
    at.heard("You may not do that. Nobody in the roster is meant. Ask for the role", user=at.stranger)


def test_a_backend_in_trouble_is_explained(at: Floor) -> None:
    """What the desk could not do is said with its hint."""
    at.desk.opened()
    message = _buttons(at)
    at.desk.trouble = Unreachable("the record does not answer.", hint="Approve on the command line.")
    at.slack.click(at.channel, message["ts"], "kq:approve", at.ann)
    at.heard("That did not work. The record does not answer. Approve on the command line.")


def test_a_long_plan_is_shown_within_slacks_limits(at: Floor) -> None:
    """The fake refuses what Slack would; the answer arrives."""
    at.desk.plan_text = "\n".join(f"  - step {number} <of> many & more, {'x' * 140}" for number in range(200))
    at.desk.opened()
    at.type("plan")
    message = at.heard("The plan of")
    assert "step 0" in said(message)
    assert [each.error for each in at.slack.calls if each.error] == []


def test_sixty_commands_at_once_are_all_acknowledged_in_slacks_three_seconds(at: Floor) -> None:
    """The desk is slow; the acknowledgement does not wait for it, and everybody gets an answer."""
    at.desk.opened()
    at.type_at_once("status", times=60)
    assert len(at.slack.acks) == 60
    assert max(each.seconds for each in at.slack.acks) < 3
    assert {each.attempts for each in at.slack.acks} == {1}
    until(lambda: len(at.whispers()) == 60, "sixty answers", seconds=60)


def test_slow_questions_do_not_hold_up_a_declaration(at: Floor) -> None:
    """What changes an incident has threads of its own."""
    form, values = at.fill()
    at.desk.opened()
    at.desk.slow_seconds = 4
    for _ in range(40):
        at.type("status")
    at.desk.slow_seconds = 0
    at.slack.submit(form, values, at.ann)
    until(lambda: len(at.desk.declared) == 2, "the declaration")
    assert len(at.desk.calls("card")) + len(at.desk.calls("incidents")) < 40
