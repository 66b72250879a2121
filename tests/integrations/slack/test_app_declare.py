"""``/keyquell declare``: a form at once, one incident for each form, the incident before the message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.slack_listener import until
from slack_listening import Floor, floor
from strict_desk import CREDENTIAL, KEY, LONG

from playbooks.codenames import codename
from playbooks.errors import RecordError


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Floor]:
    with floor(tmp_path) as found:
        yield found


def test_a_filled_in_form_opens_one_incident_and_tells_its_codename(at: Floor) -> None:
    """What was chosen reaches the desk as an exposure, bound to the form's id."""
    form, values = at.fill(note="seen in the build log", severity="critical", since=1_700_000_000)
    ack = at.slack.submit(form, values, at.ann)
    assert ack.body == {}
    at.told(codename("KQ-20261123-0000"))
    exposures, severity, note, origin = at.desk.declared[0]
    assert [(each.kind, each.target) for each in exposures] == [("credential", CREDENTIAL)]
    assert exposures[0].occurred.not_before is not None
    assert (severity, note, origin) == ("critical", "seen in the build log", f"slack:view:{form}")


def test_the_search_offers_keys_and_credentials_but_no_datasets(at: Floor) -> None:
    """A dataset cannot leak a key; it is not among what can be reported."""
    at.type("declare")
    offered = at.slack.suggest("target", "o", at.ann, view_id=at.form()["id"])
    assert any("archive signing" in each["text"]["text"] for each in offered)
    assert not any("orders" in each["text"]["text"] for each in offered)


def test_words_after_declare_choose_the_best_match(at: Floor) -> None:
    """``/keyquell declare payments`` needs one choice less."""
    at.type("declare payments")
    view = at.form()
    assert view["blocks"][0]["element"]["initial_option"]["value"] == KEY


def test_a_uri_longer_than_slack_takes_still_finds_its_key(at: Floor) -> None:
    """Slack takes 150 characters as a value; the key behind a longer URI is found again."""
    at.type("declare")
    form = at.form()["id"]
    offered = at.slack.suggest("target", "archive", at.ann, view_id=form)
    at.slack.submit(form, {"target": offered[0]["value"], "kind": "signing-key"}, at.ann)
    until(lambda: at.desk.declared, "the declaration")
    assert at.desk.declared[0][0][0].target == LONG


def test_a_form_delivered_twice_opens_one_incident(at: Floor) -> None:
    """Slack delivers again what it believes lost; one incident, one message."""
    form, values = at.fill()
    at.slack.submit(form, values, at.ann)
    at.told("is open")
    at.slack.replay_last()
    at.slack.replay_last()
    at.type("help")
    at.heard("declare")
    assert len(at.desk.declared) == 1
    assert len(at.called("chat.postMessage")) == 1


def test_a_form_submitted_twice_opens_one_incident(at: Floor) -> None:
    """Two clicks on Submit are two envelopes of the same form."""
    form, values = at.fill()
    at.slack.troubles.clear()
    view = dict(at.slack.views[form])
    at.slack.submit(form, values, at.ann)
    at.slack.views[form], at.slack.stacks[at.ann] = view, [form]
    at.slack.submit(form, values, at.ann)
    at.told("is open")
    at.type("help")
    at.heard("declare")
    assert len(at.desk.declared) == 1


@pytest.mark.parametrize(
    "note",
    [
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
        "the token is hvs.CAESIJ2mQx0k1v8bq7yZpT4rWcDfGhJk",
        "password: Tr0ub4dor&3",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzz1ZZZ2KEY",
    ],
    ids=["a private key", "a Vault token", "a password", "a random run"],
)
def test_a_note_that_looks_like_a_secret_is_refused_in_the_form(at: Floor, note: str) -> None:
    """The form stays open, says why, and nothing reaches the desk."""
    form, values = at.fill(note=note)
    ack = at.slack.submit(form, values, at.ann)
    assert ack.body["response_action"] == "errors"
    assert "looks like a secret" in ack.body["errors"]["note"]
    assert at.desk.declared == []
    assert form in at.slack.views
    assert at.slack.submit(form, values | {"note": "seen in the log"}, at.ann).body == {}
    at.told("is open")


def test_a_time_in_the_future_is_refused_in_the_form(at: Floor) -> None:
    """Nobody knows a key to be good tomorrow."""
    form, values = at.fill(since=int(time.time()) + 86_400)
    assert "future" in at.slack.submit(form, values, at.ann).body["errors"]["since"]


def test_somebody_without_a_role_is_told_so_in_the_form(at: Floor) -> None:
    """The refusal comes before the typing."""
    at.type("declare", user=at.stranger)
    view = until(
        lambda: (
            "You may not do that" in str(at.form(user=at.stranger, ready=False)["blocks"])
            and at.form(user=at.stranger, ready=False)
        ),
        "the refusal",
    )
    assert "submit" not in view


def test_a_declaration_that_fails_after_the_acknowledgement_is_told_to_the_person(at: Floor) -> None:
    """The acknowledgement stands; the failure is said, and nothing breaks."""
    form, values = at.fill()
    at.desk.trouble = RecordError("the record cannot be written.", hint="Use the other site.")
    assert at.slack.submit(form, values, at.ann).body == {}
    at.heard("Nothing was declared. The record cannot be written. Use the other site.")
    at.desk.trouble = None
    at.type("status")
    at.heard("No incident is open")


def test_an_unforeseen_error_shows_its_type_and_not_its_text(at: Floor, caplog: pytest.LogCaptureFixture) -> None:
    """The text of an unforeseen error may quote a secret."""
    form, values = at.fill()
    at.desk.trouble = ValueError("hunter2-hunter2")
    at.slack.submit(form, values, at.ann)
    at.heard("ValueError")
    assert "hunter2" not in str(at.slack.ephemerals) + caplog.text


def test_slack_down_after_the_acknowledgement_does_not_stop_the_declaration(at: Floor) -> None:
    """No call to Slack stands between the click and the desk; the message follows when Slack is back."""
    form, values = at.fill()
    at.slack.hang("*", 3.0, times=1)
    at.slack.submit(form, values, at.ann)
    at.slack.down()
    until(lambda: at.desk.declared, "the declaration")
    assert at.called("chat.postMessage") == []
    at.slack.up()
    until(lambda: at.app.connected, "a connection")


def test_a_form_that_slack_opens_too_late_is_explained(at: Floor) -> None:
    """A trigger lives three seconds and is used once."""
    at.slack.fail("views.open", error="expired_trigger_id")
    at.type("declare")
    at.heard("Slack did not open the form")
    assert len(at.called("views.open")) == 1


def test_a_slow_desk_does_not_keep_the_form_away(at: Floor) -> None:
    """The form is filled without the choice that the desk would have made."""
    at.desk.slow_seconds = 2.5
    at.type("declare payments")
    assert "initial_option" not in at.form()["blocks"][0]["element"]


def test_a_search_that_the_desk_answers_too_late_offers_nothing(at: Floor) -> None:
    """Slack waits three seconds for options; an empty list is an answer."""
    at.type("declare")
    form = at.form()["id"]
    at.desk.slow_seconds = 4
    assert at.slack.suggest("target", "pay", at.ann, view_id=form) == []
    assert at.slack.acks[-1].seconds < 3


def test_429_on_the_message_delays_it_and_doubles_nothing(at: Floor) -> None:
    """What Slack refused to take is said again after the time it asks for."""
    form, values = at.fill()
    at.slack.rate_limit("chat.postMessage", 1, times=2)
    at.slack.submit(form, values, at.ann)
    at.told("is open")
    assert len(at.desk.declared) == 1
    assert [each.error for each in at.called("chat.postMessage")] == ["ratelimited", "ratelimited", ""]
