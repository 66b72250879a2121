"""Drafts tell what the record holds, name no key, and leave to people what only people know."""

from __future__ import annotations

from datetime import timedelta

import pytest
from written_case import CREDENTIAL, KEY, START, Case

from playbooks.drafts import FILL_IN, draft, read_template, templates, wider
from playbooks.errors import InvalidInput
from playbooks.record import EventKind

NOW = START + timedelta(hours=2)


def cases() -> list[Case]:
    """Before anything, contained, failed, and closed."""
    contained, failed, closed = Case(), Case(), Case()
    contained.contained()
    failed.note(EventKind.NOT_CONTAINED, reasons=(f"cut-credential of {CREDENTIAL}: failed",))
    closed.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    return [Case(), contained, failed, closed]


@pytest.mark.parametrize("name", list(templates()))
def test_every_template_is_written_in_every_state_of_a_case_without_a_keys_name(name: str) -> None:
    """No place is left empty by mistake, and none is left as code."""
    for case in cases():
        made = draft(case.incident, name, NOW)
        for secretive in (KEY, CREDENTIAL, "AKIAEXAMPLE1", "{{", "{%"):
            assert secretive not in made.subject + made.body
        assert made.subject
        assert "What is not known" in made.body


def test_there_is_a_template_for_each_audience_with_its_reach() -> None:
    """What outsiders get is marked so, and is therefore read before it is sent."""
    found = {name: each.need_to_know for name, each in templates().items()}
    assert {name for name, reach in found.items() if reach == "responders"} == {"responders", "owner"}
    assert found["executives"] == "company"
    outside = {name for name, reach in found.items() if reach == "outside"}
    assert outside == {"customers", "vendor"} | {
        f"regulator-{each}" for each in ("gdpr", "nis2", "dora", "sec-8k", "hipaa", "generic")
    }


def test_a_draft_says_contained_only_when_it_is() -> None:
    """Taken back, it is not."""
    case = Case()
    assert "containment is not proven" in draft(case.incident, "customers", NOW).body
    case.contained()
    assert "Contained, shown by independent tries, at 2026-03-02 09:00 UTC." in draft(case.incident, "owner", NOW).body
    case.note(EventKind.STEP_UNDONE, step=case.plan.steps[0].id)
    assert "containment is not proven" in draft(case.incident, "customers", NOW).body


def test_regulator_drafts_are_information_and_no_legal_advice() -> None:
    """Counsel completes and sends them."""
    for name in (each for each in templates() if each.startswith("regulator-")):
        body = draft(Case().incident, name, NOW).body
        assert "no legal advice" in body
        assert FILL_IN in body


def test_a_draft_of_an_exercise_says_so_in_subject_and_first_line() -> None:
    """Whoever sees only one of them still knows."""
    made = draft(Case(exercise=True).incident, "customers", NOW)
    assert made.subject.startswith("EXERCISE: ")
    assert made.body.startswith("EXERCISE. Nothing of this is real.")


def test_an_unknown_template_names_those_that_there_are() -> None:
    """So that nobody has to guess."""
    with pytest.raises(InvalidInput, match=r"no template 'press'.*Known: .*customers"):
        draft(Case().incident, "press", NOW)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("audience: a", "front matter"),
        ("audience: a\nneed_to_know: everybody\nsubject: s\n---\nbody", "need_to_know"),
        ("audience: a\nneed_to_know: company\n---\nbody", "subject"),
        ("audience: a\nneed_to_know: company\nsubject: s\nto: x\n---\nbody", "to"),
    ],
)
def test_a_template_that_is_wrong_is_refused_with_its_field(text: str, what: str) -> None:
    """Files of a release are checked like any input."""
    with pytest.raises(InvalidInput, match=what):
        read_template(text, name="x")


def test_the_wider_reach_wins() -> None:
    """A playbook can widen a template's reach and never narrow it."""
    assert wider("company", "responders") == wider("responders", "company") == "company"
    assert wider("company", "outside") == "outside"
