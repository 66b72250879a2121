"""Slack and PagerDuty both away: containment waits for neither, and each is told once and in order when it is back."""

from __future__ import annotations

import itertools
import json
import secrets
from collections import defaultdict
from pathlib import Path

import pytest
from serve_lab import HOOK, ServeLab, change, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


def test_with_slack_and_pagerduty_away_keys_are_cut_and_word_follows(lab: ServeLab) -> None:
    """Refused, then hanging, then told to wait: three cases meanwhile; nothing is lost, doubled or said too often."""
    lab.slack.down()
    lab.pagerduty.fault = "down"
    try:
        with lab.serving():
            _leak(lab, 0, "while both refuse")
            lab.pagerduty.fault = "hang"
            lab.slack.hang("*", 30, times=1000)
            lab.slack.up()
            _leak(lab, 1, "while both hang")
            lab.pagerduty.fault = "throttled"
            lab.slack.heal()
            lab.slack.rate_limit("*", 1, times=1000)
            _leak(lab, 2, "while both ask to wait")
            assert lab.channels() == []
            assert lab.pagerduty.account.incidents == []
            lab.pagerduty.fault = ""
            lab.slack.heal()
            until(lambda: len(lab.channels()) == 3, "the channels", seconds=90)
            until(lambda: len(lab.pagerduty.account.incidents) == 3, "the calls", seconds=90)
            until(lambda: all(_whole(lab, name) for name in lab.channels()), "cards, plans and timelines", seconds=90)
    finally:
        lab.pagerduty.fault = ""
    lab.told_once()
    _cards_rest(lab)
    assert len(lab.said().splitlines()) < 30, lab.said()


def _leak(lab: ServeLab, number: int, when: str) -> None:
    assert lab.leak(number).status_code == 202
    until(lambda: lab.all_contained(number + 1), f"containment {when}")
    assert not lab.active(number)


def _whole(lab: ServeLab, name: str) -> bool:
    """Card, plan and something of the timeline."""
    kinds = {each["metadata"]["event_type"] for each in lab.slack.messages(name) if each.get("metadata")}
    return len(kinds) == 3


def _cards_rest(lab: ServeLab) -> None:
    """No card is touched twice within two seconds, however much happens."""
    moments = defaultdict(list)
    for call in list(lab.slack.calls):
        if call.method == "chat.update" and not call.error:
            moments[call.args["channel"]].append(call.at)
    for found in moments.values():
        assert all(later - sooner >= 1.95 for sooner, later in itertools.pairwise(found)), found


def test_no_secret_reaches_words_files_record_or_prefect(lab: ServeLab, prefect_home: Path) -> None:
    """Tokens, the leaked secret itself, and the token of a link that Slack whispers; looked for everywhere."""
    leaked = f"canary-{secrets.token_hex(12)}"
    with lab.serving():
        until(lambda: "Ready." in lab.said(), "Prefect", seconds=120)
        assert lab.leak(0, secret=leaked).status_code == 202
        until(lambda: lab.all_contained(1), "containment")
        token = lab.link("undo")
        assert len(token) > 20
        lab.pagerduty.fault = "forbidden"
        lab.slack.fail("*", error="invalid_auth", times=3)
        assert lab.leak(1, secret=leaked).status_code == 202
        until(lambda: lab.all_contained(2), "containment")
        until(lambda: "Forbidden" in lab.said() or "refused" in lab.said(), "a word on the trouble")
        planted = [leaked, token, HOOK, lab.slack.bot_token, lab.slack.app_token, lab.slack.signing_secret]
        planted += [lab.pagerduty.account.token, lab.pagerduty.webhook_secrets[0], lab.pagerduty.routing_key]
        planted += [json.loads(Path(each.credential.removeprefix("file:")).read_text())["secret_access_key"]
                    for each in lab.credentials]  # fmt: skip
        places = [lab.shop.root / "state", lab.shop.root / "outbox", prefect_home, *lab.outputs]
        lab.pagerduty.fault = ""
    found = [(place, number) for place in _files(places) for number, each in enumerate(planted) if _holds(place, each)]
    assert found == []
    assert leaked not in json.dumps(lab.slack.messages(lab.channels()[0]))


def _files(places: list[Path]) -> list[Path]:
    return [each for place in places for each in (place.rglob("*") if place.is_dir() else [place]) if each.is_file()]


def _holds(place: Path, secret: str) -> bool:
    try:
        return secret.encode() in place.read_bytes()
    except OSError:
        return False


def test_slack_by_signed_http_in_the_same_process(lab: ServeLab) -> None:
    """A signed command opens the form, its submission a case, a signed button answers; a forged one does nothing."""
    change(lab, lambda settings: settings["slack"].update(mode="http"))
    lab.slack.deliver, lab.slack.http_target = "http", f"{lab.url}/slack/events"
    with lab.serving():
        lab.declare(0)
        until(lambda: lab.all_contained(1), "containment")
        assert not lab.active(0)
        assert len(lab.link("undo")) > 20
        lab.slack.signing_secret = "forged"
        before = len(lab.incidents())
        with pytest.raises(Exception, match=r"401|answer"):
            lab.slack.slash("/keyquell", "status", lab.ann, lab.lobby)
        assert len(lab.incidents()) == before
    lab.told_once()
