"""*Report a leaked key*: the text goes to the desk, its secret nowhere, and deletion is offered honestly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.slack_listener import listening, open_app, until
from slack_listening import COMMAND, Floor, floor, said
from strict_desk import CREDENTIAL

LEAK = "look what I found: AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz1ZZZ2KEY &amp; more"
SECRET = "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"


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Floor]:
    with floor(tmp_path) as found:
        yield found


def _report(at: Floor, text: str = LEAK) -> str:
    ts = at.slack.say(at.stranger, at.channel, text)
    at.slack.shortcut_message("kq_report_leak", at.channel, ts, at.ann)
    return ts


def test_what_was_recognised_is_declared(at: Floor) -> None:
    """The desk gets the text as it was written; the form shows what it is, not what it says."""
    _report(at)
    view = at.form()
    assert at.desk.texts[0].startswith("look what I found: AKIAIOSFODNN7EXAMPLE")
    assert "& more" in at.desk.texts[0]
    assert SECRET not in str(view)
    at.slack.submit(view["id"], {"severity": "critical"}, at.ann)
    at.told("is open")
    exposures, severity, _, origin = at.desk.declared[0]
    assert [(each.target, each.confidence) for each in exposures] == [(CREDENTIAL, 0.9)]
    assert (severity, origin) == ("critical", f"slack:view:{view['id']}")


def test_the_secret_is_nowhere_afterwards(at: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """Not in a call to Slack, not in a form, not in a log at its loudest."""
    caplog.set_level(logging.DEBUG)
    _report(at)
    at.slack.submit(at.form()["id"], {}, at.ann)
    at.told("is open")
    sent = str([each.args for each in at.slack.calls])
    assert SECRET not in sent + str(at.slack.views) + str(at.slack.ephemerals) + caplog.text
    assert at.slack.bot_token not in caplog.text


def test_a_form_from_before_a_restart_still_declares(at: Floor, tmp_path: Path) -> None:
    """What was recognised stands in the form as URIs, so the memory of the listener is not needed."""
    _report(at)
    view = at.form()
    again = open_app(tmp_path, at.slack, at.desk)
    at.slack.down()
    at.slack.up()
    until(lambda: at.app.connected, "a connection")
    with listening(again):
        until(lambda: len(at.slack.sockets.live) == 2, "the second listener")
        at.slack.submit(view["id"], {}, at.ann)
        at.told("is open")
    assert at.desk.declared[0][0][0].target == CREDENTIAL


def test_a_text_without_a_known_secret_leads_to_the_ordinary_form(at: Floor) -> None:
    """Nothing is declared by guess."""
    _report(at, "the weather is fine")
    until(lambda: "Nothing in it is known here" in str(at.form(ready=False)["blocks"]), "the answer")
    assert f"{COMMAND} declare" in str(at.form(ready=False)["blocks"])


def test_a_message_of_somebody_else_is_not_promised_to_be_deleted(at: Floor) -> None:
    """A bot deletes its own messages only; who can delete this one is said, with its address."""
    ts = _report(at)
    words = said(at.heard("only its own messages"))
    assert f"<@{at.stranger}>" in words
    assert ts.replace(".", "") in words
    assert "does not undo the leak" in words


def test_keyquells_own_message_is_deleted_by_a_button(at: Floor) -> None:
    """The offer is a button, and the message goes."""
    with at.slack.lock:
        ts = at.slack.say(at.slack.bot_user, at.channel, LEAK)
        at.slack.channels[at.channel].message(ts).update(app_id=at.slack.app, bot_id=at.slack.bot)
    at.slack.shortcut_message("kq_report_leak", at.channel, ts, at.ann)
    offer = at.heard("can be deleted here")
    at.slack.click(at.channel, offer["ts"], "kq:delete-message", at.ann)
    at.heard("The message is deleted.")
    assert at.slack.messages(at.channel) == []


def test_somebody_without_a_role_is_refused_in_the_form(at: Floor) -> None:
    """The desk decides who may have a text read."""
    ts = at.slack.say(at.ann, at.channel, LEAK)
    at.slack.shortcut_message("kq_report_leak", at.channel, ts, at.stranger)
    until(lambda: "You may not do that" in str(at.form(user=at.stranger, ready=False)["blocks"]), "the refusal")


def test_the_text_is_recognised_even_when_slack_opens_no_form(at: Floor) -> None:
    """The desk does not wait for Slack."""
    at.slack.fail("views.open", error="expired_trigger_id")
    _report(at)
    at.heard("One access key is in it.")
    assert len(at.desk.texts) == 1
