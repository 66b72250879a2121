"""The incident computed from its events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from playbooks.codenames import codename, new_incident_id
from playbooks.errors import InvalidInput, RecordError
from playbooks.event_bodies import MODELS, body_of, check_body
from playbooks.exposures import Exposure, ExposureKind
from playbooks.incident import Incident
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.record import GENESIS, Event, EventKind

ID = "KQ-20260301-test"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
K = EventKind


class Writing:
    """Writes a chain in memory, one event a second."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.add(
            K.INCIDENT_OPENED,
            codename=codename(ID),
            severity="high",
            exercise=True,
            requested_by="alice",
            playbook="kms-credential-leak",
        )

    def add(self, kind: EventKind, **fields: Any) -> Writing:
        last = self.events[-1] if self.events else None
        self.events.append(
            Event.link(
                incident=ID,
                seq=len(self.events),
                at=START + timedelta(seconds=len(self.events)),
                kind=kind,
                body=body_of(kind, **fields),
                prev=last.hash if last else GENESIS,
            )
        )
        return self

    @property
    def incident(self) -> Incident:
        return Incident.of(self.events)


def step(step_id: str, action: Action, target: str = "aws-kms:prod/k1", **fields: Any) -> Step:
    values: dict[str, Any] = {
        "reversibility": Reversibility.REVERSIBLE,
        "gate": Gate.PRE_APPROVED,
        "why": "test",
    } | fields
    return Step(id=step_id, phase=Phase(step_id.partition(".")[0]), action=action, target=target, **values)


CUT = step("contain.1-cut-credential", Action.CUT_CREDENTIAL, "aws-iam:prod/app/AKIA1")
GRANTS = step("contain.2-revoke-grants", Action.REVOKE_GRANTS, unavailable="this backend has no grants")
CREATE = step("renew.1-create-key", Action.CREATE_KEY, needs=(CUT.id,))
SWITCH = step(
    "renew.2-switch-key",
    Action.SWITCH_KEY,
    inputs={"new_key": f"step:{CREATE.id}#key", "all": [f"step:{CREATE.id}#key", "plain"], "days": 7},
    needs=(CREATE.id,),
)


def plan(*steps: Step) -> Plan:
    return Plan(
        incident_id=ID, playbook="p", playbook_version=1, exposures=(), steps=steps or (CUT, GRANTS, CREATE, SWITCH)
    )


def planned() -> Writing:
    return Writing().add(K.PLAN_MADE, plan=plan())


def finished(writing: Writing, step_id: str, outcome: str = "done", **fields: Any) -> Writing:
    writing.add(K.STEP_STARTED, step=step_id, attempt=1, owner="a")
    return writing.add(K.STEP_FINISHED, step=step_id, outcome=outcome, **fields)


def test_an_opened_incident_knows_its_opening_and_nothing_else() -> None:
    """The first event gives id, codename and who asked; all the rest is empty."""
    incident = Writing().incident
    assert (incident.id, incident.requested_by, incident.exercise) == (ID, "alice", True)
    assert (incident.phase, incident.next_steps(), incident.plan) == ("opened", (), None)
    assert incident.opened_at == START


def test_steps_become_runnable_when_their_needs_have_succeeded() -> None:
    """Unavailable steps never run; a finished one leaves, its dependants arrive."""
    writing = planned()
    assert [each.id for each in writing.incident.next_steps()] == [CUT.id]
    finished(writing, CUT.id, "proven")
    assert [each.id for each in writing.incident.next_steps()] == [CREATE.id]
    assert writing.incident.steps[GRANTS.id].state == "unavailable"


def test_a_running_step_stays_runnable_and_counts_its_attempts() -> None:
    """Its owner may have died: another may claim it, and both starts are counted."""
    writing = planned().add(K.STEP_STARTED, step=CUT.id, attempt=1, owner="a")
    writing.add(K.STEP_STARTED, step=CUT.id, attempt=2, owner="b")
    status = writing.incident.steps[CUT.id]
    assert (status.state, status.owner, status.attempts) == ("running", "b", 2)
    assert writing.incident.next_steps()[0].id == CUT.id


@pytest.mark.parametrize(("retryable", "runnable"), [(True, [CUT.id]), (False, [])])
def test_only_a_retryable_failure_may_run_again(retryable: bool, runnable: list[str]) -> None:
    """A refusal stays failed until the plan changes."""
    writing = planned().add(K.STEP_STARTED, step=CUT.id, attempt=1, owner="a")
    writing.add(K.STEP_FAILED, step=CUT.id, error="no answer", code="", retryable=retryable)
    assert [each.id for each in writing.incident.next_steps()] == runnable
    assert writing.incident.steps[CUT.id].error == "no answer"


def test_a_not_proven_step_holds_back_what_needs_it() -> None:
    """Not proven is not succeeded."""
    writing = finished(planned(), CUT.id, "not-proven")
    assert writing.incident.next_steps() == ()


def test_outputs_replace_references_wherever_they_stand() -> None:
    """Strings in lists too; other values pass through unchanged."""
    writing = finished(finished(planned(), CUT.id), CREATE.id, outputs={"key": "aws-kms:prod/k2"})
    inputs = writing.incident.resolve_inputs(SWITCH)
    assert inputs == {"new_key": "aws-kms:prod/k2", "all": ["aws-kms:prod/k2", "plain"], "days": 7}


def test_a_missing_output_names_both_steps() -> None:
    """The error says who needs what from whom, and where that step stands."""
    with pytest.raises(InvalidInput, match=rf"{SWITCH.id} needs the output 'key' of step {CREATE.id}.*pending"):
        planned().incident.resolve_inputs(SWITCH)


def test_a_late_result_never_takes_a_better_one_back() -> None:
    """An owner thought dead reports not-proven or a failure after the proof: the proof stands."""
    writing = finished(planned(), CUT.id, "proven")
    writing.add(K.STEP_FINISHED, step=CUT.id, outcome="not-proven")
    writing.add(K.STEP_FAILED, step=CUT.id, error="late", code="", retryable=True)
    assert writing.incident.steps[CUT.id].state == "proven"


def test_approvals_count_for_the_current_plan_alone() -> None:
    """A new digest starts from none; the same plan made again keeps them."""
    first = plan()
    writing = planned().add(K.APPROVAL_GIVEN, approver="bob", digest=first.digest, method="cli")
    writing.add(K.APPROVAL_DENIED, approver="eve", digest=first.digest, reason="too wide")
    writing.add(K.APPROVAL_GIVEN, approver="carol", digest="0" * 64, method="cli")
    assert [each.approver for each in writing.incident.approvals] == ["bob"]
    assert [each.reason for each in writing.incident.denials] == ["too wide"]
    writing.add(K.PLAN_MADE, plan=first)
    assert len(writing.incident.approvals) == 1
    writing.add(K.PLAN_MADE, plan=plan(CUT))
    assert writing.incident.approvals == writing.incident.denials == ()


def test_a_new_plan_keeps_what_was_achieved_under_another_number() -> None:
    """Steps are matched by what they do to which target, so nothing harmful is done twice."""
    writing = finished(planned(), CUT.id, "proven")
    other = step("contain.1-cut-credential", Action.CUT_CREDENTIAL, "aws-iam:prod/app/AKIA2")
    moved = CUT.model_copy(update={"id": "contain.2-cut-credential"})
    writing.add(K.PLAN_MADE, plan=plan(other, moved))
    assert {name: status.state for name, status in writing.incident.steps.items()} == {
        other.id: "pending",
        moved.id: "proven",
    }


def test_a_further_exposure_means_not_contained_any_more() -> None:
    """Containment was claimed for what was known then; the same exposure again changes nothing."""
    first = Exposure(kind=ExposureKind.CREDENTIAL, target="aws-iam:prod/app/AKIA1", confidence=1)
    writing = Writing().add(K.EXPOSURE_ADDED, exposure=first).add(K.CONTAINED, probes=2, not_shown=("a",))
    writing.add(K.EXPOSURE_ADDED, exposure=first)
    assert writing.incident.contained_at is not None
    writing.add(K.EXPOSURE_ADDED, exposure=first.model_copy(update={"target": "aws-iam:prod/app/AKIA2"}))
    assert writing.incident.contained_at is None
    assert len(writing.incident.exposures) == 2


def test_the_phase_follows_what_was_shown() -> None:
    """From planned over not contained to closed, in words for people."""
    writing = planned()
    seen = [writing.incident.phase]
    for kind, fields in (
        (K.STEP_STARTED, {"step": CUT.id, "attempt": 1, "owner": "a"}),
        (K.NOT_CONTAINED, {"reasons": ("the old key still decrypts",)}),
        (K.CONTAINED, {"probes": 3}),
        (K.RENEWED, {}),
        (K.DATA_SAFE, {"datasets": ()}),
        (K.RESTORED, {"consumers": ("app",)}),
        (K.CLOSED, {"by": "alice", "outcome": "recovered"}),
    ):
        seen.append(writing.add(kind, **fields).incident.phase)
    assert seen == [
        "planned", "containing", "not contained", "contained", "renewed", "data safe", "restored", "closed: recovered",
    ]  # fmt: skip
    assert writing.incident.next_steps() == ()


def test_shards_and_messages_are_kept_by_id() -> None:
    """A message knows which channel took it and which refused; a shard's result is found by its number."""
    writing = planned().add(K.SHARD_FINISHED, step=CUT.id, shard=3, result={"rewritten": 10})
    writing.add(K.MESSAGE_QUEUED, id="m1", audience="security", subject="s", body="b")
    writing.add(K.MESSAGE_FAILED, id="m1", channel="pager", error="down")
    writing.add(K.MESSAGE_DELIVERED, id="m1", channel="console")
    incident = writing.incident
    assert incident.shards_done == {CUT.id: {3: {"rewritten": 10}}}
    assert (incident.messages["m1"].delivered, incident.messages["m1"].failures) == (("console",), {"pager": 1})


CONTRADICTIONS: list[tuple[str, Callable[[], Writing]]] = [
    ("never started", lambda: planned().add(K.STEP_FINISHED, step=CUT.id, outcome="done")),
    ("never started", lambda: planned().add(K.STEP_FAILED, step=CUT.id, error="e", code="", retryable=True)),
    ("never started", lambda: planned().add(K.STEP_UNDONE, step=CUT.id)),
    ("no step", lambda: planned().add(K.STEP_STARTED, step="contain.9-disable-key", attempt=1, owner="a")),
    ("no step", lambda: Writing().add(K.STEP_STARTED, step=CUT.id, attempt=1, owner="a")),
    ("starts again", lambda: finished(planned(), CUT.id).add(K.STEP_STARTED, step=CUT.id, attempt=2, owner="a")),
    ("never made", lambda: Writing().add(K.APPROVAL_GIVEN, approver="bob", digest="x", method="cli")),
    ("never queued", lambda: Writing().add(K.MESSAGE_DELIVERED, id="m", channel="c")),
    ("belongs to", lambda: Writing().add(K.PLAN_MADE, plan=plan().model_copy(update={"incident_id": "KQ-other"}))),
    (
        "after the incident was closed",
        lambda: Writing().add(K.CLOSED, by="a", outcome="recovered").add(K.CLOSED, by="a", outcome="recovered"),
    ),
    ("second time", lambda: _opened_twice()),
]


def _opened_twice() -> Writing:
    writing = Writing()
    return writing.add(K.INCIDENT_OPENED, **writing.events[0].body)


@pytest.mark.parametrize(("why", "write"), CONTRADICTIONS)
def test_contradictory_events_are_refused(why: str, write: Callable[[], Writing]) -> None:
    """The error names the event and what it contradicts."""
    writing = write()
    with pytest.raises(RecordError, match=rf"event {len(writing.events) - 1} .*{why}"):
        _ = writing.incident


def test_events_out_of_order_are_refused() -> None:
    """A gap, an unknown start and an empty record are no incident."""
    events = planned().add(K.RENEWED).events
    for wrong in ([events[0], events[2]], events[1:], []):
        with pytest.raises(RecordError):
            Incident.of(wrong)


def test_a_plan_whose_digest_does_not_match_is_refused() -> None:
    """The digest is computed again from the plan's content."""
    body = plan().model_dump(mode="json") | {"digest": "0" * 64}
    with pytest.raises(RecordError, match="digest does not match"):
        check_body(K.PLAN_MADE, {"plan": body})


@pytest.mark.parametrize(
    ("kind", "fields", "why"),
    [
        (K.STEP_STARTED, {"step": "s", "attempt": 0, "owner": "a"}, "attempt"),
        (K.STEP_STARTED, {"step": "s", "attempt": 1}, "owner"),
        (K.STEP_FINISHED, {"step": "s", "outcome": "great"}, "outcome"),
        (K.CLOSED, {"by": "a", "outcome": "fine"}, "outcome"),
        (K.NOTE, {"text": "t", "by": "b", "colour": "red"}, "colour"),
    ],
)
def test_a_wrong_body_is_refused_with_its_field(kind: EventKind, fields: dict[str, Any], why: str) -> None:
    """Missing, wrong and unknown fields are named."""
    with pytest.raises(RecordError, match=why):
        body_of(kind, **fields)


def test_every_event_kind_has_a_body() -> None:
    """No kind can be written without a check."""
    assert set(MODELS) == set(EventKind)


def test_a_codename_belongs_to_its_id() -> None:
    """Two words, the same every time; ids name the UTC day."""
    made = new_incident_id(datetime(2026, 3, 1, 23, 30, tzinfo=UTC), b"\x01\x02\x03\x04")
    assert made.startswith("KQ-20260301-")
    assert len(made) == 16
    assert codename(made) == codename(made)
    assert codename(made).count("-") == 1
    with pytest.raises(ValueError, match="3 random bytes"):
        new_incident_id(START, b"")


REQUEST = "ab" * 32


def asked(deed: str, made: Plan, **fields: Any) -> Writing:
    """A case with a plan, and a request made to bob."""
    writing = Writing().add(K.PLAN_MADE, plan=made)
    fields = {"approver": "bob", "digest": made.digest, "deed": deed} | fields
    return writing.add(K.APPROVAL_ASKED, request=REQUEST, expires_at=START + timedelta(hours=1), via="slack", **fields)


def confirming(made: Plan, **fields: Any) -> dict[str, Any]:
    return {"by": "bob", "deed": "undo", "digest": made.digest, "method": "totp", "request": REQUEST} | fields


def test_a_confirmation_redeems_the_request_for_its_own_deed_once() -> None:
    """A record in which a request serves another deed, person or plan, or twice, is refused as a contradiction."""
    made = plan()
    writing = asked("undo", made).add(K.CONFIRMED, **confirming(made))
    assert writing.incident.redeemed == {REQUEST}
    assert writing.incident.approvals == ()
    with pytest.raises(RecordError, match="used twice"):
        _ = writing.add(K.CONFIRMED, **confirming(made)).incident
    for other in ({"deed": "close:false-alarm"}, {"by": "carol"}, {"digest": "0" * 64}, {"request": "cd" * 32}):
        with pytest.raises(RecordError, match="not made to them"):
            _ = asked("undo", made).add(K.CONFIRMED, **confirming(made, **other)).incident


def test_a_request_to_undo_gives_no_approval_and_one_to_approve_confirms_nothing() -> None:
    """Whoever could write to the record could not pass one off as the other."""
    made = plan()
    given = {"approver": "bob", "digest": made.digest, "method": "totp", "request": REQUEST}
    with pytest.raises(RecordError, match="not made to them"):
        _ = asked("undo", made).add(K.APPROVAL_GIVEN, **given).incident
    with pytest.raises(RecordError, match="not made to them"):
        _ = asked("approve", made).add(K.CONFIRMED, **confirming(made)).incident
    with pytest.raises(RecordError, match="deed"):
        body_of(K.CONFIRMED, **confirming(made, deed="approve"))


def test_a_request_of_an_older_record_asks_for_an_approval() -> None:
    """It names no deed."""
    made = plan()
    body = asked("approve", made).events[-1].body
    old = check_body(K.APPROVAL_ASKED, {name: value for name, value in body.items() if name != "deed"})
    assert old == check_body(K.APPROVAL_ASKED, body)


def test_a_confirmation_by_passkey_shows_its_evidence() -> None:
    """And a click is none."""
    for lacking in ({"method": "webauthn"}, {"method": "slack"}, {"deed": "close:whatever"}, {"by": ""}):
        with pytest.raises(RecordError):
            body_of(K.CONFIRMED, **confirming(plan(), **lacking))
