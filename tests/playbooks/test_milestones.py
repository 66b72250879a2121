"""When contained, renewed, safe and restored may be claimed, and what the response does next: tables of states."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from playbooks.event_bodies import body_of
from playbooks.incident import Approval, Incident
from playbooks.milestones import RETIREMENT_BLOCKED, due, recovered
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.progress import next_move
from playbooks.receipts import Census
from playbooks.record import GENESIS, Event, EventKind
from playbooks.step_status import StepStatus

ID = "KQ-20260301-test"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
K = EventKind


def step(step_id: str, **fields: Any) -> Step:
    """A pre-approved step of the phase and action in its id."""
    phase, _, rest = step_id.partition(".")
    values = {"gate": Gate.PRE_APPROVED, "reversibility": Reversibility.REVERSIBLE, "why": "test", "target": "t"}
    return Step(id=step_id, phase=Phase(phase), action=Action(rest.partition("-")[2]), **(values | fields))


A, B = "contain.1-cut-credential", "contain.2-revoke-grants"
RENEW, MOVE = "renew.1-create-key", "reencrypt.1-rewrap"
CHECK, RETIRE = "verify.1-check-consumer", "retire.1-destroy-key"
STEPS = (
    step(A),
    step(B),
    step(RENEW, needs=(A,)),
    step(MOVE, needs=(RENEW,), target="files:docs/x"),
    step(CHECK, needs=(MOVE,), target="app"),
    step(RETIRE, gate=Gate.TWO_PERSON, needs=(CHECK,)),
)


def incident(states: dict[str, str], *, steps: tuple[Step, ...] = STEPS, **fields: Any) -> Incident:
    """An incident whose steps stand like this; the rest are pending."""
    plan = Plan(incident_id=ID, playbook="p", playbook_version=1, exposures=(), steps=steps)
    opening = body_of(
        K.INCIDENT_OPENED, codename="c", severity="high", exercise=True, requested_by="alice", playbook="p"
    )
    first = Event.link(incident=ID, seq=0, at=NOW, kind=K.INCIDENT_OPENED, body=opening, prev=GENESIS)
    second = Event.link(
        incident=ID, seq=1, at=NOW, kind=K.PLAN_MADE, body=body_of(K.PLAN_MADE, plan=plan), prev=first.hash
    )
    made = Incident.of([first, second])
    for step_id, state in states.items():
        state, _, code = state.partition(":")
        made.steps[step_id] = replace(StepStatus(), state=state, attempts=1, code=code)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def clear(**fields: int) -> Census:
    """A census of ten objects, all under the new key unless said otherwise."""
    counts = {"objects": 10, "bytes": 1, "on_new": 10, "on_old": 0} | fields
    return Census(dataset="files:docs/x", taken_at=NOW, **counts)


@pytest.mark.parametrize(
    ("first", "second", "claim"),
    [
        ("proven", "proven", K.CONTAINED),
        ("proven", "done", K.CONTAINED),
        ("proven", "unavailable", K.CONTAINED),
        ("proven", "undone", K.NOT_CONTAINED),
        ("done", "proven", K.NOT_CONTAINED),
        ("done", "done", K.NOT_CONTAINED),
        ("unavailable", "unavailable", K.NOT_CONTAINED),
        ("proven", "failed", K.NOT_CONTAINED),
        ("proven", "not-proven", K.NOT_CONTAINED),
        ("failed", "failed", K.NOT_CONTAINED),
        ("proven", "pending", None),
        ("proven", "running", None),
        ("running", "failed", None),
    ],
)
def test_containment_is_claimed_only_when_nothing_contradicts_it(
    first: str, second: str, claim: EventKind | None
) -> None:
    """Every containing step settled, none failed or unproven, and at least one shown by probes."""
    found = due(incident({A: first, B: second}))
    assert [kind for kind, _ in found] == ([claim] if claim else [])


def test_a_key_that_takes_no_new_encryption_contains_nothing_by_itself() -> None:
    """Whoever holds the key goes on reading: a way to the ciphertext must be shown to be cut as well."""
    stop = "contain.1-stop-encryption"
    [(kind, body)] = due(incident({stop: "proven"}, steps=(step(stop),)))
    assert (kind, body["reasons"]) == (K.NOT_CONTAINED, ["no containing step could be proven"])
    both = incident(
        {stop: "proven", "contain.2-cut-credential": "proven"}, steps=(step(stop), step("contain.2-cut-credential"))
    )
    assert [kind for kind, _ in due(both)] == [K.CONTAINED]


def test_what_was_not_shown_is_said() -> None:
    """A step that no probe could try is named beside the claim."""
    [(kind, body)] = due(incident({A: "proven", B: "done"}))
    assert kind is K.CONTAINED
    assert body["not_shown"] == ["revoke-grants of t: done"]


def test_failed_containment_is_said_once_and_can_still_be_proven_later() -> None:
    """The same verdict is not repeated; a later proof is."""
    assert due(incident({A: "failed", B: "done"}, not_contained=("it failed",))) == []
    later = due(incident({A: "proven", B: "done"}, not_contained=("it failed",)))
    assert [kind for kind, _ in later] == [K.CONTAINED]


@pytest.mark.parametrize(
    ("census", "state", "safe"),
    [
        (clear(), "proven", True),
        (clear(), "done", False),
        (clear(on_new=9, on_old=1), "proven", False),
        (clear(on_new=9, unreachable=1), "proven", False),
        (clear(on_new=9, failed=1), "proven", False),
        (clear(on_new=9, unknown=1), "proven", False),
        (None, "proven", False),
    ],
)
def test_data_is_safe_only_by_a_clear_census(census: Census | None, state: str, safe: bool) -> None:
    """A step that says so is not enough, and neither is a census with a single object that is not under the new key."""
    censuses = {} if census is None else {census.dataset: census}
    found = due(incident({MOVE: state}, censuses=censuses))
    assert [kind for kind, _ in found] == ([K.DATA_SAFE] if safe else [])


@pytest.mark.parametrize(("state", "claimed"), [("proven", True), ("done", False), ("not-proven", False)])
def test_restored_is_what_the_consumer_itself_has_shown(state: str, claimed: bool) -> None:
    """The service's own word after the switch."""
    assert (K.RESTORED in dict(due(incident({CHECK: state})))) is claimed


def test_nothing_is_claimed_after_closing_or_without_a_plan() -> None:
    """A closed case has nothing to reach any more."""
    closed = incident({A: "proven", B: "proven"}, closed=object())
    assert due(closed) == []
    assert due(incident({A: "proven", B: "proven"}, plan=None)) == []


ALL = dict.fromkeys((A, B, RENEW, MOVE, CHECK), "proven")


@pytest.mark.parametrize(
    ("states", "fields", "move"),
    [
        ({}, {}, "run"),
        ({A: "running"}, {}, "run"),
        ({A: "failed", B: "done"}, {"not_contained": ("r",)}, "blocked"),
        ({A: "not-proven", B: "done"}, {"not_contained": ("r",)}, "blocked"),
        (ALL, {"contained_at": NOW}, "wait"),
        (ALL | {RETIRE: "done"}, {"contained_at": NOW}, "close"),
        (ALL | {RETIRE: f"failed:{RETIREMENT_BLOCKED}"}, {"contained_at": NOW}, "close"),
        (ALL | {RETIRE: "failed:AccessDenied"}, {"contained_at": NOW}, "blocked"),
        (ALL | {RETIRE: "done"}, {"contained_at": None}, "blocked"),
        (ALL | {RETIRE: "done"}, {"contained_at": NOW, "closed": object()}, "closed"),
        (ALL | {MOVE: "not-proven", CHECK: "pending", RETIRE: "pending"}, {"contained_at": NOW}, "blocked"),
    ],
)
def test_the_next_move_follows_from_the_record(states: dict[str, str], fields: dict[str, Any], move: str) -> None:
    """Run what is ready, wait for people, close what is recovered, and stop where a person has to look."""
    assert next_move(incident(states, **fields)).kind == move


def test_while_containment_is_known_not_to_hold_nothing_is_renewed() -> None:
    """A new key in the reach of the attacker would be the next leak."""
    steps = (*STEPS, step("notify.1-notify"))
    stuck = incident({A: "proven", B: "failed"}, steps=steps, not_contained=("r",))
    assert [each.id for each in next_move(stuck).steps] == ["notify.1-notify"]


def test_what_was_tried_in_vain_is_not_offered_again() -> None:
    """One run does not circle around a failing step."""
    stuck = incident({A: "failed"}, steps=(step(A),))
    stuck.steps[A] = replace(stuck.steps[A], retryable=True)
    assert next_move(stuck).kind == "run"
    assert next_move(stuck, tried=frozenset({A})).kind == "blocked"


def test_approvals_open_the_gate_of_their_digest_alone() -> None:
    """Two people for this plan run the retirement; two for another one do not."""
    ready = incident(ALL, contained_at=NOW)
    assert ready.plan is not None
    for digest, kind in (("0" * 64, "wait"), (ready.plan.digest, "run")):
        ready.approvals = tuple(Approval(name, digest, "cli", NOW) for name in ("bob", "carol"))
        assert next_move(ready).kind == kind


def test_a_case_is_recovered_only_when_contained() -> None:
    """All steps done and no proof of containment is no recovery."""
    assert recovered(incident(ALL | {RETIRE: "done"}, contained_at=NOW))
    assert not recovered(incident(ALL | {RETIRE: "done"}))
    assert not recovered(incident(ALL | {A: "failed", RETIRE: "done"}, contained_at=NOW))
