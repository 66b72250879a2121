"""Whose yes counts for which step: by role, by method, by the roster as it stands now."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from playbooks.authority import Authority, needs_step_up, role_for
from playbooks.gates import satisfied
from playbooks.incident import Approval, Denial
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.roster import Role, Roster

NOW = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)
ROSTER = Roster.model_validate(
    {
        "people": [
            {"name": "bob", "roles": ["approve", "retire"]},
            {"name": "carol", "roles": ["approve", "retire"]},
            {"name": "grace", "roles": ["approve"]},
            {"name": "frank", "roles": ["approve", "retire"], "left": "2027-01-01"},
        ]
    }
)
AUTHORITY = Authority(ROSTER, NOW)


def step(phase: Phase, gate: Gate, reversibility: Reversibility) -> Step:
    return Step(
        id=f"{phase.value}.1-create-key",
        phase=phase,
        action=Action.CREATE_KEY,
        target="aws-kms:cloud/k1",
        reversibility=reversibility,
        gate=gate,
        why="the test says so",
    )


ONE = step(Phase.RENEW, Gate.ONE_PERSON, Reversibility.REVERSIBLE)
TWO = step(Phase.RENEW, Gate.TWO_PERSON, Reversibility.REVERSIBLE)
WINDOWED = step(Phase.RENEW, Gate.ONE_PERSON, Reversibility.WINDOWED)
RETIRE = step(Phase.RETIRE, Gate.TWO_PERSON, Reversibility.IRREVERSIBLE)
PLAN = Plan(incident_id="KQ-1", playbook="p", playbook_version=1, exposures=(), steps=(ONE,))


def yes(approver: str, method: str = "webauthn", *, at: datetime = NOW) -> Approval:
    return Approval(approver, PLAN.digest, method, at)


def test_what_is_reversible_and_one_persons_needs_no_passkey() -> None:
    """Everything else does."""
    assert [needs_step_up(each) for each in (ONE, TWO, WINDOWED, RETIRE)] == [False, True, True, True]
    assert [role_for(each) for each in (ONE, RETIRE)] == [Role.APPROVE, Role.RETIRE]


@pytest.mark.parametrize("method", ["slack", "totp", "cli"])
@pytest.mark.parametrize("step", [TWO, WINDOWED, RETIRE], ids=["two people", "windowed", "irreversible"])
def test_a_click_a_code_or_a_name_counts_for_nothing_grave(method: str, step: Step) -> None:
    """Whatever the stored event calls itself."""
    assert "without a passkey" in AUTHORITY.objection(yes("bob", method), step)
    assert AUTHORITY.objection(yes("bob", method), ONE) == ""


@pytest.mark.parametrize("method", ["webauthn", "break-glass"])
def test_a_passkey_or_a_broken_glass_counts(method: str) -> None:
    """Once a person, and with the role."""
    assert AUTHORITY.objection(yes("Bob", method), RETIRE) == ""
    assert "role retire" in AUTHORITY.objection(yes("grace", method), RETIRE)
    assert "has left" in AUTHORITY.objection(yes("frank", method), RETIRE)
    assert "nobody in the roster" in AUTHORITY.objection(yes("mallory", method), RETIRE)


def test_what_a_removed_passkey_gave_does_not_count() -> None:
    """For any step, and for that passkey alone; without a roster there are no passkeys."""
    lost = replace(yes("bob"), credential="lost-one")
    after = Authority(ROSTER, NOW, removed=frozenset({"lost-one"}))
    for step in (ONE, RETIRE):
        assert "was removed" in after.objection(lost, step)
        assert after.objection(replace(lost, credential="another"), step) == ""
        assert after.objection(yes("bob", "break-glass"), step) == ""
        assert AUTHORITY.objection(lost, step) == ""


def test_a_roster_that_cannot_be_read_lets_nobody_count() -> None:
    """Not even those who would have counted without one."""
    broken = Authority(None, NOW, broken="line 3")
    assert "cannot be read" in broken.objection(yes("bob"), ONE)
    assert Authority(None, NOW).objection(yes("bob", "cli"), RETIRE) == ""


def allowed(step: Step, *approvals: Approval, requested_by: str = "alice", denied: tuple[Denial, ...] = ()) -> bool:
    return satisfied(step, PLAN, approvals, requested_by=requested_by, denied=denied, authority=AUTHORITY)[0]


def test_two_people_are_two_people() -> None:
    """Not one twice, not one by two methods, not the requester, not one whose word has no weight."""
    assert allowed(RETIRE, yes("bob"), yes("carol"))
    assert allowed(RETIRE, yes("bob", "break-glass"), yes("carol"))
    assert not allowed(RETIRE, yes("bob"), yes("BOB "))
    assert not allowed(RETIRE, yes("bob"), yes("bob", "break-glass"))
    assert not allowed(RETIRE, yes("bob"), yes("carol"), requested_by="Carol")
    assert not allowed(RETIRE, yes("bob"), yes("grace"))
    assert not allowed(RETIRE, yes("bob"), yes("carol", "slack"))


def test_one_no_stops_two_yes() -> None:
    """Until there is another plan."""
    no = Denial("grace", PLAN.digest, "wait", NOW)
    assert not allowed(RETIRE, yes("bob"), yes("carol"), denied=(no,))
    assert allowed(RETIRE, yes("bob"), yes("carol"), denied=(Denial("grace", "0" * 64, "wait", NOW),))


def test_the_hours_are_those_of_the_approval_the_role_is_that_of_today() -> None:
    """An approval at night stays out of hours in the morning; a role that ended since has ended."""
    rules = {"hours": {"from": 8, "to": 18}}
    roster = Roster.model_validate({"people": [{"name": "bob", "roles": ["approve"]}], "rules": rules})
    night = yes("bob", at=NOW - timedelta(hours=6))
    assert "outside the hours" in Authority(roster, NOW).objection(night, ONE)
    assert Authority(roster, NOW + timedelta(hours=14)).objection(yes("bob"), ONE) == ""
    ended = Roster.model_validate({"people": [{"name": "bob", "roles": [{"role": "approve", "until": "2027-03-01"}]}]})
    assert "not valid" in Authority(ended, NOW).objection(yes("bob", at=NOW - timedelta(days=2)), ONE)
