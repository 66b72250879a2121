"""Incidents as OCSF findings: what the class demands is always there, and says what the record says."""

from __future__ import annotations

from typing import Any

import pytest
from written_case import CREDENTIAL, ID, START, Case

from playbooks.ocsf import REQUIRED, findings_after
from playbooks.record import EventKind


def told(case: Case, after: int = -1) -> list[dict[str, Any]]:
    """The findings of a case."""
    return findings_after(case.events, after, product_version="0.1.0", page="https://kq.example")


def whole(*, exercise: bool = False, outcome: str = "recovered", severity: str = "high") -> Case:
    """A case from its declaration to its end."""
    case = Case(exercise=exercise, severity=severity)
    case.note(EventKind.ACKNOWLEDGED, by="alice", via="cli")
    case.contained()
    case.note(EventKind.RESTORED, consumers=("app",))
    case.note(EventKind.CLOSED, by="alice", outcome=outcome)
    return case


@pytest.mark.parametrize("severity", ["low", "medium", "high", "critical"])
@pytest.mark.parametrize("outcome", ["recovered", "false-alarm", "not-contained"])
@pytest.mark.parametrize("exercise", [True, False])
def test_every_finding_has_what_the_class_demands(severity: str, outcome: str, *, exercise: bool) -> None:
    """Numbers that belong together do: type is class and activity, time is milliseconds."""
    for each in told(whole(exercise=exercise, outcome=outcome, severity=severity)):
        assert [name for name in REQUIRED if name not in each] == []
        assert (each["class_uid"], each["category_uid"]) == (2005, 2)
        assert each["type_uid"] == 200500 + each["activity_id"]
        assert each["activity_id"] in (1, 2, 3)
        assert each["status_id"] in (1, 2, 4, 5)
        assert each["severity_id"] == {"low": 2, "medium": 3, "high": 4, "critical": 5}[severity]
        assert each["time"] >= each["start_time"] == int(START.timestamp() * 1000)
        assert each["finding_info_list"]
        assert all(info["uid"] and info["title"] for info in each["finding_info_list"])
        assert each["metadata"]["version"] == "1.3.0"
        assert each["metadata"]["product"]["name"] == "keyquell"


def test_a_case_is_created_updated_and_closed_once_in_order() -> None:
    """And its status goes forward: new, in progress, resolved, closed."""
    found = told(whole())
    assert [each["activity_id"] for each in found] == [1, 2, 2, 2, 2, 3]
    assert [each["status_id"] for each in found] == [1, 1, 2, 2, 4, 5]
    assert [each["metadata"]["sequence"] for each in found] == sorted(each["metadata"]["sequence"] for each in found)
    assert len({each["metadata"]["uid"] for each in found}) == len(found)


def test_what_was_told_is_not_told_again_and_says_the_same() -> None:
    """A receiver that gets a finding twice can drop it by its uid."""
    case = whole()
    found = told(case)
    assert told(case, after=found[2]["metadata"]["sequence"]) == found[3:]
    assert told(case, after=len(case.events)) == []


@pytest.mark.parametrize(
    ("exercise", "outcome", "verdict"),
    [
        (False, "recovered", "True Positive"),
        (False, "not-contained", "True Positive"),
        (False, "false-alarm", "False Positive"),
        (True, "recovered", "Test"),
        (True, "false-alarm", "Test"),
    ],
)
def test_the_verdict_comes_with_the_end(outcome: str, verdict: str, *, exercise: bool) -> None:
    """And an exercise is a test, however it ended."""
    *before, last = told(whole(exercise=exercise, outcome=outcome))
    assert last["verdict"] == verdict
    assert not any("verdict_id" in each for each in before)


def test_an_exercise_is_marked_in_every_finding() -> None:
    """In a label, in a field, and in the words for people."""
    for each in told(whole(exercise=True)):
        assert each["metadata"]["labels"] == ["exercise"]
        assert each["unmapped"]["exercise"] is True
        assert each["message"].startswith("[EXERCISE] ")


def test_each_exposure_is_a_finding_of_its_own_and_the_page_is_linked() -> None:
    """Before one is known, the case stands for it."""
    found = told(Case())
    assert [info["uid"] for info in found[0]["finding_info_list"]] == [ID]
    assert [info["uid"] for info in found[1]["finding_info_list"]] == [f"{ID}/credential/{CREDENTIAL}"]
    assert found[0]["src_url"] == f"https://kq.example/incidents/{ID}"
