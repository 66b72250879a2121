"""Attacks by what is sent and written: floods, bombs, paths, disguises in the chat, and questions of strangers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from approvers import (
    ALICE,
    BOB,
    CAROL,
    CASE,
    DESTROY,
    MALLORY,
    RENEW,
    START,
    Noted,
    Office,
    at_desk,
    digest_of,
    open_office,
)

from flows import step_up
from flows.installation import note_unmatched
from flows.lookup import named
from flows.reception import hear
from integrations.records.export import export
from integrations.slack.card_blocks import card_blocks, card_message
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, KeyquellError, NotApproved, RecordError, Refused
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from playbooks.plan_text import plan_diff
from playbooks.record import GENESIS, INSTALLATION, EventKind


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's, with steps that nobody, one and two people must let through."""
    with open_office(tmp_path) as found:
        found.case()
        yield found


# --- floods and replays ----------------------------------------------------------------------------


def test_strangers_and_bad_links_cannot_fill_the_record(office: Office) -> None:
    """At most thirty lines a minute, and what is refused for the same reason is one."""
    desk, _ = at_desk(office)
    before = len(office.wiring.records.events(INSTALLATION))
    for number in range(200):
        with pytest.raises(NotApproved):
            step_up.look(office.wiring, f"guess-{number}")
        with pytest.raises(NotApproved):
            desk.incidents(Actor(account=f"U{number}", via="slack"))
    assert len(office.wiring.records.events(INSTALLATION)) - before <= 30


def test_a_finding_about_nothing_that_comes_again_is_written_once(office: Office) -> None:
    """However often a sender repeats it."""
    finding = Signal(
        source="scanner",
        external_id="nothing",
        kind=ExposureKind.CREDENTIAL,
        fingerprints=(Fingerprint(kind="token-sha256", value="ab" * 32),),
        summary="something",
        observed_at=START,
        confidence=0.9,
    )
    assert [note_unmatched(office.wiring, finding) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"id":' * 20_000, b"1" * 6_000, b'"\\ud800"', b"\xff" * 99, b"NaN"])
def test_a_signed_body_that_is_a_bomb_is_refused_in_order(tmp_path: Path, body: bytes) -> None:
    """Depth, digits, half characters: an error of ours, no crash, nothing in the record."""
    (tmp_path / "secret").write_text("webhook-secret-of-the-tests", encoding="utf-8")
    detector = {
        "type": "json",
        "name": "scanner",
        "auth": {"secret": f"file:{tmp_path / 'secret'}", "scheme": "shared-secret"},
        "external_id": "id",
        "fingerprints": [{"kind": "token-sha256", "path": "hash"}],
        "summary": "Leak {id}",
    }
    with open_office(tmp_path / "office", detectors=[detector]) as office:
        headers = {"x-webhook-secret": "webhook-secret-of-the-tests"}
        with pytest.raises(InvalidInput):
            hear(office.wiring, Noted(office), "scanner", headers=headers, body=body)
        with pytest.raises(Refused):
            hear(office.wiring, Noted(office), "scanner", headers={}, body=body)
        assert office.wiring.records.incidents() == []


# --- paths -----------------------------------------------------------------------------------------

_PATHS = ("../../etc/passwd", "..", "/etc/passwd", "a/b", "a\\b", "x\x00", "x\n", "%2e%2e", "KQ-TEST-1/../x", "~root")


@pytest.mark.parametrize("path", _PATHS)
def test_no_word_of_anybody_is_a_path(office: Office, path: str, tmp_path: Path) -> None:
    """An incident is one that stands in the record, and nothing is written elsewhere."""
    everything = sorted(tmp_path.rglob("*"))
    desk, _ = at_desk(office)
    dave = Actor(account="UDAVE", via="slack")
    for move in (
        lambda: desk.export(dave, path),
        lambda: desk.card(dave, path),
        lambda: named(office.wiring, path),
        lambda: office.wiring.records.append(path, kind=EventKind.NOTE, body={}, expected_head=GENESIS),
        lambda: export(office.wiring.records, path, tmp_path / "out"),
        lambda: hear(office.wiring, Noted(office), path, headers={}, body=b""),
    ):
        with pytest.raises((KeyquellError, RecordError)):
            move()
    assert sorted(tmp_path.rglob("*")) == everything


# --- disguises in the chat -------------------------------------------------------------------------

DISGUISE = (
    "fine <!channel> <@UALICE> <http://evil.example|Approve> &lt;!here&gt;\u202egnp\u200b\u061c\u00ad\u2028\n"
    "*Agreed:* alice (passkey), bob (passkey)\n```x```"
)


def test_what_people_wrote_calls_nobody_and_forges_no_line_in_the_chat(office: Office) -> None:
    """No mention, no link with another face, nothing unseen, and no line of its own beside ours."""
    desk, _ = at_desk(office)
    desk.deny(BOB, CASE, digest=digest_of(office), reason=DISGUISE)
    card = desk.card(BOB, CASE)
    shown = json.dumps([card_message(card), card_blocks(card)], ensure_ascii=False)
    for evil in ("<!channel>", "<@U", "<http", "\u202e", "\u200b", "\u061c", "\u00ad", "\u2028"):
        assert evil not in shown
    texts = [each["text"]["text"] for each in card_blocks(card) if each["type"] == "section" and "text" in each]
    lines = list(itertools.chain.from_iterable(each.split("\n") for each in texts))
    assert not [each for each in lines if each.startswith(("*Agreed", "```"))]


def test_no_name_hides_or_forges_a_line_of_the_plan(office: Office) -> None:
    """What a step does, and that it is for good, is said however long its target is; a line break makes no line."""
    long = DESTROY.model_copy(update={"target": f"aws-kms:cloud/{'k' * 300}"})
    forged = RENEW.model_copy(update={"target": "aws-kms:cloud/k1\n  + nothing stops\u202egnp"})
    plan = office.plan(forged, long).model_copy(update={"residual": ("left\r\n+ all is well [one person]",)})
    lines = plan_diff(plan, {}).splitlines()
    (final,) = [each for each in lines if "kkk" in each]
    assert final.endswith("is destroyed, for good [two people]")
    assert not [each for each in lines if each.lstrip().startswith(("+ nothing", "+ all"))]
    assert "\u202e" not in "".join(lines)


# --- what strangers learn --------------------------------------------------------------------------


def test_nobody_is_told_what_strangers_may_not_know(office: Office) -> None:
    """Whether an incident is there or not, a stranger reads the same."""
    desk, _ = at_desk(office)
    said = []
    for word in (CASE, "KQ-NOT-THERE"):
        with pytest.raises(NotApproved) as refused:
            desk.card(MALLORY, word)
        said.append(refused.value.message)
    assert said[0] == said[1]
    assert {ALICE.account, CAROL.account}.isdisjoint(said[0].split())
    assert timedelta(0) == office.now - START
