"""The desk's moves and questions: done once, nothing waited for, no secret kept."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from approvers import (
    ALICE,
    BOB,
    CAROL,
    CASE,
    CREDENTIAL,
    DAVE,
    KEY,
    LEAK,
    Office,
    at_desk,
    open_office,
)

from flows import approvals
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, RecordError
from playbooks.exposures import Exposure
from playbooks.record import EventKind, verify_chain


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's; nobody has a passkey yet."""
    with open_office(tmp_path) as office:
        office.case()
        yield office


def test_the_first_to_acknowledge_counts(office: Office) -> None:
    """Eight at the same moment: one event."""
    desk, _ = at_desk(office)
    together = threading.Barrier(8)

    def acknowledge(who: Actor) -> None:
        together.wait()
        desk.acknowledge(who, CASE)

    threads = [threading.Thread(target=acknowledge, args=(who,)) for who in (ALICE, CAROL) * 4]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(office.wiring.records.of_kind(EventKind.ACKNOWLEDGED)) == 1
    verify_chain(office.wiring.records.events(CASE))


def test_a_case_ends_once_and_stays_so(office: Office) -> None:
    """Another outcome later is refused; a closed case takes no more."""
    desk, _ = at_desk(office)
    with pytest.raises(InvalidInput, match="never proven contained"):
        desk.stand_down(ALICE, CASE, outcome="recovered")
    with pytest.raises(InvalidInput, match="no way for a case to end"):
        desk.stand_down(ALICE, CASE, outcome="whatever")
    approvals.close(office.wiring, CASE, by="alice", outcome="false-alarm")
    assert desk.stand_down(ALICE, CASE, outcome="false-alarm") is None
    with pytest.raises(InvalidInput, match="stays so"):
        desk.stand_down(ALICE, CASE, outcome="not-contained")
    for move in (desk.contain, desk.acknowledge):
        with pytest.raises(InvalidInput, match="is closed"):
            move(ALICE, CASE)


def test_a_form_that_is_sent_twice_declares_once(office: Office) -> None:
    """Whatever the chat repeats; the note loses its secrets."""
    desk, background = at_desk(office)
    first = desk.declare(ALICE, [LEAK], severity="critical", note="token: s3cr3ts3cr3ts3cr3t", origin="view:1")
    again = desk.declare(ALICE, [LEAK], severity="critical", origin="view:1")
    other = desk.declare(ALICE, [LEAK], severity="critical", origin="view:2")
    assert first == again != other
    assert [kind for kind, _ in background.started] == ["contain"] * 3
    assert office.wiring.incident(first).requested_by == "alice"
    assert "s3cr3t" not in repr(office.wiring.records.events(first))


@pytest.mark.parametrize(("exposures", "severity"), [([], "high"), ([LEAK], "dreadful")])
def test_a_form_that_makes_no_sense_declares_nothing(office: Office, exposures: list[Exposure], severity: str) -> None:
    """It says what is wrong."""
    desk, _ = at_desk(office)
    with pytest.raises(InvalidInput):
        desk.declare(ALICE, exposures, severity=severity)
    assert len(office.wiring.records.incidents()) == 1


def test_targets_are_found_by_what_people_call_them(office: Office) -> None:
    """Consumer, owner, kind, part of a word, and a slip of the finger; nothing for nothing like it."""
    desk, _ = at_desk(office)
    every = desk.targets(ALICE, "")
    assert [each.uri for each in every] == [KEY, CREDENTIAL]
    for text in ("checkout credential", "AKIAEXAMPLE", "svc", "chekout credential"):
        assert desk.targets(ALICE, text)[0].uri == CREDENTIAL, text
    assert [each.uri for each in desk.targets(ALICE, "platform")] == [KEY]
    assert desk.targets(ALICE, "zzzzzzzz") == []
    assert len(desk.targets(ALICE, "", limit=1)) == 1


def test_leaked_text_is_recognised_and_kept_nowhere(office: Office) -> None:
    """The access key id names the credential; the rest of the text is gone."""
    desk, _ = at_desk(office)
    text = f"oh no: {CREDENTIAL.rpartition('/')[2]} and wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY0000"
    report = desk.recognise(ALICE, text)
    assert [each.target for each in report.exposures] == [CREDENTIAL]
    assert "wJalr" not in repr(report)
    assert "checkout" in report.summary
    kept = "".join(each.read_text(errors="replace") for each in (office.root / "state").glob("**/*") if each.is_file())
    assert "wJalr" not in kept


def test_what_leaked_from_elsewhere_is_noted_for_a_person(office: Office) -> None:
    """By its fingerprint, in the chain of the installation."""
    desk, _ = at_desk(office)
    report = desk.recognise(ALICE, "ghp_" + "a1B2" * 9)
    assert report.exposures == ()
    assert "nothing in the estate matches" in report.summary
    assert len(office.wiring.records.of_kind(EventKind.SIGNAL_UNMATCHED)) == 1
    assert desk.recognise(ALICE, "all is well here").summary == "No secret was recognised in it."


def test_the_incident_of_a_channel_is_found(office: Office) -> None:
    """By the ids that a surface linked; an empty id is nobody's."""
    office.write(EventKind.LINKED, surface="slack", ids={"channel": "C1", "empty": ""})
    desk, _ = at_desk(office)
    assert desk.incident_of(ALICE, "C1") == CASE
    assert desk.incident_of(ALICE, "C2") is None
    assert desk.incident_of(ALICE, "") is None


def test_who_says_who_is_here_and_who_is_missing(office: Office) -> None:
    """In sentences that somebody who has just come in needs."""
    desk, _ = at_desk(office)
    desk.acknowledge(ALICE, CASE)
    said = " ".join(desk.who(BOB, CASE))
    assert "Alice A. asked for this response." in said
    assert "Alice A. took the case (slack)." in said
    assert "May contain: Alice A., carol." in said
    assert "May still approve: bob, carol." in said


def test_an_export_is_a_file_and_stands_in_the_record(office: Office) -> None:
    """Who took it is known afterwards."""
    desk, _ = at_desk(office)
    name, content = desk.export(DAVE, CASE)
    assert name == f"{CASE}.keyquell"
    assert b"The record was exported" in content
    assert content.endswith(b"\n")


def test_an_estate_with_a_mistake_does_not_hide_the_card(office: Office) -> None:
    """What is burning does not wait for a typing error elsewhere."""
    (office.root / "estate.yaml").write_text("keys: [{", encoding="utf-8")
    desk, _ = at_desk(office)
    assert desk.card(ALICE, CASE).id == CASE


def test_a_case_is_known_by_its_codename(office: Office) -> None:
    """As people say it in the chat."""
    desk, _ = at_desk(office)
    assert desk.card(ALICE, f"quiet-{CASE.lower()}").id == CASE


def test_a_plan_that_was_never_made_is_said_to_be_missing(office: Office) -> None:
    """Rather than shown empty."""
    desk, _ = at_desk(office)
    with pytest.raises((InvalidInput, RecordError)):
        desk.plan(ALICE, "KQ-NONE")
