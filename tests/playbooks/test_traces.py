"""An incident as a trace: computed from the record, told once, the same whenever it is computed, and reticent."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from written_case import CREDENTIAL, ID, KEY, START, Case

import playbooks
from playbooks.deeds import UNDO
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Action, Phase
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.record import EventKind
from playbooks.spans import Span
from playbooks.traces import ROOT, spans_after

CANARY = "canary-7f3a-in-any-text"
REQUEST, OTHER_REQUEST = "1" * 64, "2" * 64


def told(case: Case, after: int = -1) -> list[Span]:
    """The spans of a case."""
    return spans_after(case.events, after, page="https://kq.example")


def one(case: Case, name: str) -> Span:
    """The only span of this name."""
    [found] = [each for each in told(case) if each.name == name]
    return found


def receipt(case: Case) -> Receipt:
    """A move asked for when the last event was written, accepted and proven within the second after."""
    asked = case.events[-1].at
    return Receipt(
        subject=f"{KEY}?{CANARY}", move=CANARY, requested_at=asked, accepted_at=asked + timedelta(milliseconds=200),
        proven_at=asked + timedelta(milliseconds=800), request_id=CANARY, undo={"policy": CANARY},
    )  # fmt: skip


def probe(case: Case, *, milliseconds: int, code: str = "DisabledException") -> ProbeResult:
    """A try that was refused, so long after the last event."""
    return ProbeResult(
        subject=f"{CREDENTIAL}?{CANARY}", operation="Decrypt", expected="refused", outcome=Outcome.REFUSED, code=code,
        at=case.events[-1].at + timedelta(milliseconds=milliseconds), detail=CANARY,
    )  # fmt: skip


def ask(case: Case, who: str, request: str, *, deed: str = "approve") -> None:
    """Somebody is asked by a link."""
    case.note(
        EventKind.APPROVAL_ASKED, request=request, approver=who, digest=case.plan.digest, deed=deed,
        expires_at=START + timedelta(hours=1), via="slack",
    )  # fmt: skip


def approve(case: Case, who: str, *, request: str = "", method: str = "totp") -> None:
    """Somebody agrees to the plan."""
    case.note(EventKind.APPROVAL_GIVEN, approver=who, digest=case.plan.digest, method=method, request=request)


def prove(case: Case, step: str) -> None:
    """A step with all three times and two probes."""
    case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner=f"{CANARY}/1/1.0")
    case.note(
        EventKind.STEP_FINISHED, step=step, outcome="proven", receipt=receipt(case), outputs={"key": CANARY},
        probes=(probe(case, milliseconds=400), probe(case, milliseconds=900)), detail=CANARY,
    )  # fmt: skip


def full(*, exercise: bool = False, outcome: str = "recovered") -> Case:
    """A case with everything that a trace tells, and the canary wherever a record takes text."""
    case = Case(exercise=exercise)
    case.note(EventKind.ACKNOWLEDGED, by=f"bo-{CANARY}", via="cli")
    for step in case.steps(Phase.CONTAIN):
        prove(case, step)
    case.note(EventKind.CONTAINED, probes=6, not_shown=(f"revoke-grants of {KEY}: {CANARY}",))
    ask(case, "cy", REQUEST)
    case.note(EventKind.NOTE, text=CANARY, by="cy")
    approve(case, "cy", request=REQUEST)
    case.note(EventKind.APPROVAL_DENIED, approver="di", digest=case.plan.digest, reason=CANARY, via="web")
    renew = case.steps(Phase.RENEW)
    case.fail(renew[0], f"{KEY} {CANARY}", code="ThrottlingException", retryable=True)
    case.note(EventKind.STEP_STARTED, step=renew[0], attempt=2, owner="host/1/1.0")
    case.note(EventKind.STEP_FINISHED, step=renew[0], outcome="done", detail=CANARY)
    case.note(EventKind.STEP_UNDONE, step=case.steps(Phase.CONTAIN)[0], receipt=receipt(case))
    case.note(EventKind.MESSAGE_QUEUED, id="m", audience="owners", subject=CANARY, body=CANARY)
    case.note(EventKind.CLOSED, by=f"bo-{CANARY}", outcome=outcome)
    return case


def test_a_closed_case_is_one_tree_of_spans_within_its_root() -> None:
    """Every parent is there, nothing begins before it, and no id is used twice."""
    spans = told(full())
    by_id = {each.span_id: each for each in spans}
    assert len(by_id) == len(spans)
    assert {each.trace_id for each in spans} == {spans[0].trace_id}
    [root] = [each for each in spans if each.parent_id == 0]
    assert (root.name, root.begun, root.ended) == (ROOT, START, full().events[-1].at)
    for each in spans:
        assert each is root or by_id[each.parent_id].begun <= each.begun <= each.ended <= by_id[each.parent_id].ended
    parents = {each.name: by_id[each.parent_id].name for each in spans if each is not root}
    assert parents["cut-credential"] == "contain"
    assert {parents[name] for name in ("contain", "gate approve", "undo cut-credential")} == {ROOT}


def test_what_was_told_never_changes_as_the_record_grows() -> None:
    """At every event of the record: exported twice, and computed later, a span is the same to the last attribute."""
    case = full()
    whole = told(case)
    for length in range(1, len(case.events) + 1):
        before = spans_after(case.events[:length], -1, page="https://kq.example")
        assert before == whole[: len(before)]
        assert told(case, after=length - 1) == whole[len(before) :]
    assert [each.seq for each in whole] == sorted(each.seq for each in whole)


def test_an_open_case_tells_what_is_over_and_no_root() -> None:
    """A step that runs is not told; nor is a phase some step of which may still run."""
    case = Case()
    *most, last = case.steps(Phase.CONTAIN)
    for step in most:
        prove(case, step)
    case.note(EventKind.STEP_STARTED, step=last, attempt=1, owner="host/1/1.0")
    assert [each.attributes["keyquell.step.id"] for each in told(case)] == most
    case.note(EventKind.STEP_FINISHED, step=last, outcome="proven")
    assert [each.name for each in told(case)][-1] == "contain"
    assert ROOT not in [each.name for each in told(case)]


def test_a_phase_goes_on_while_a_step_of_it_runs_or_may_be_tried_again() -> None:
    """Side by side: the end of one is not the end of all."""
    case = Case()
    first, *others, last = case.steps(Phase.CONTAIN)
    for step in (first, last):
        case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
    for step in others:
        case.run(step)
    case.note(EventKind.STEP_FINISHED, step=first, outcome="proven")
    assert "contain" not in [each.name for each in told(case)]
    case.note(EventKind.STEP_FAILED, step=last, error="no", code="Throttled", retryable=True)
    assert "contain" not in [each.name for each in told(case)]
    case.fail(last, "no", code="Denied", retryable=False)
    assert one(case, "contain").error == "Denied"
    assert one(case, "contain").begun == case.events[3].at


def test_a_step_says_when_it_was_accepted_what_each_probe_showed_and_when_it_was_proven() -> None:
    """Three times, never one."""
    case = Case()
    prove(case, case.named(Action.CUT_CREDENTIAL))
    step = one(case, "cut-credential")
    assert [(each.name, (each.at - step.begun) / timedelta(milliseconds=1)) for each in step.moments] == [
        ("accepted", 200), ("probe", 400), ("proven", 800), ("probe", 900),
    ]  # fmt: skip
    assert step.moments[1].attributes == {
        "keyquell.probe.operation": "Decrypt", "keyquell.probe.expected": "refused",
        "keyquell.probe.outcome": "refused", "keyquell.probe.code": "DisabledException",
    }  # fmt: skip
    assert step.attributes["keyquell.step.outcome"] == "proven"
    assert (step.ended - step.begun, step.error) == (timedelta(seconds=1), "")


def test_each_attempt_is_a_span_and_a_failed_one_says_the_kind() -> None:
    """The phase that went on to succeed is no error."""
    case = full()
    tried = case.steps(Phase.RENEW)[0]
    first, second = (each for each in told(case) if each.attributes.get("keyquell.step.id") == tried)
    assert (first.error, first.attributes["keyquell.step.retryable"]) == ("ThrottlingException", True)
    assert (second.error, second.attributes["keyquell.step.attempt"]) == ("", 2)
    assert first.parent_id == second.parent_id == one(case, "renew").span_id
    assert one(case, "renew").error == ""
    undone = one(case, "undo cut-credential")
    assert (undone.ended - undone.begun, undone.moments[0].name) == (timedelta(seconds=1), "accepted")


@pytest.mark.parametrize("code", ["", f"the key {KEY} is off", "x" * 65, "zwölf", "two\nlines"])
def test_what_is_no_code_is_not_repeated_as_the_kind_of_an_error(code: str) -> None:
    """It may be text that somebody wrote; the conventions have a word for it."""
    case = Case()
    step = case.named(Action.CUT_CREDENTIAL)
    case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
    case.note(EventKind.STEP_FAILED, step=step, error="no", code=code, retryable=False)
    assert one(case, "cut-credential").error == "_OTHER"


def test_a_phase_in_which_a_step_was_not_proven_is_an_error() -> None:
    """A step that was done without a probe is none: the record claims no more of it."""
    case = Case()
    first, *others = case.steps(Phase.CONTAIN)
    case.run(first, outcome="not-proven")
    for step in others:
        case.run(step, outcome="done")
    errors = {each.attributes.get("keyquell.step.id", each.name): each.error for each in told(case)}
    assert errors == {first: "not-proven", **dict.fromkeys(others, ""), "contain": "not-proven"}
    assert others


def test_an_attempt_whose_process_died_ends_where_another_took_the_step_over() -> None:
    """And the result of an owner that was thought dead ends nothing twice."""
    case = Case()
    step = case.named(Action.CUT_CREDENTIAL)
    for attempt in (1, 2):
        case.note(EventKind.STEP_STARTED, step=step, attempt=attempt, owner=f"host/{attempt}/1.0")
    case.note(EventKind.STEP_FINISHED, step=step, outcome="proven")
    case.note(EventKind.STEP_FINISHED, step=step, outcome="done")
    attempts = [(each.error, each.attributes["keyquell.step.attempt"]) for each in told(case)]
    assert attempts == [("superseded", 1), ("", 2)]
    takeover = len(case.events) - 3
    assert spans_after(case.events[: takeover + 1], takeover - 1) != []


def test_a_gate_lasts_from_when_somebody_was_asked() -> None:
    """Or from the plan's making, when a name was given on the command line; a no is no error."""
    case = Case()
    asked = len(case.events)
    ask(case, "cy", REQUEST)
    ask(case, "di", OTHER_REQUEST)
    approve(case, "cy", request=REQUEST)
    case.note(EventKind.APPROVAL_DENIED, approver="di", digest=case.plan.digest, reason="no", via="web")
    approve(case, "ed", method="cli")
    gates = told(case)
    assert [each.begun for each in gates] == [case.events[number].at for number in (asked, asked + 1, 2)]
    assert [(each.name, each.attributes["keyquell.gate.outcome"], each.error) for each in gates] == [
        ("gate approve", "approved", ""), ("gate approve", "denied", ""), ("gate approve", "approved", ""),
    ]  # fmt: skip
    assert [each.attributes["keyquell.gate.method"] for each in gates] == ["totp", "web", "cli"]


def test_a_no_answers_the_latest_question_and_a_plan_made_again_asks_nothing_anew() -> None:
    """The same digest is the same plan."""
    case = Case()
    for request in (REQUEST, OTHER_REQUEST):
        ask(case, "di", request)
    case.note(EventKind.APPROVAL_DENIED, approver="di", digest=case.plan.digest, reason="no", via="web")
    case.note(EventKind.PLAN_MADE, plan=case.plan)
    approve(case, "ed", method="cli")
    assert [each.begun for each in told(case)] == [case.events[4].at, case.events[2].at]


def test_a_confirmed_undo_is_a_gate_of_its_own() -> None:
    """By the link, or by a one-time code without one."""
    case = Case()
    ask(case, "cy", REQUEST, deed=UNDO)
    for request in (REQUEST, ""):
        case.note(EventKind.CONFIRMED, by="cy", deed=UNDO, digest=case.plan.digest, method="totp", request=request)
    assert [(each.name, (each.ended - each.begun).seconds) for each in told(case)] == [
        ("gate undo", 1), ("gate undo", 0),
    ]  # fmt: skip


def test_a_step_that_ends_after_the_case_hangs_below_its_phase() -> None:
    """Another host was thought dead; the phase and the root are told already and stay as they are."""
    case = Case()
    step = case.named(Action.CUT_CREDENTIAL)
    case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
    case.note(EventKind.CLOSED, by="alice", outcome="false-alarm")
    before = told(case)
    assert [each.name for each in before] == ["contain", ROOT]
    case.note(EventKind.STEP_FINISHED, step=step, outcome="proven")
    [late] = told(case, after=before[-1].seq)
    assert (late.name, late.parent_id) == ("cut-credential", before[0].span_id)


def test_a_phase_that_goes_on_after_it_was_over_is_a_second_span() -> None:
    """A further exposure brings steps that nobody knew; what was told before is not told anew."""
    case = Case()
    for step in case.steps(Phase.CONTAIN):
        case.run(step)
    further = Exposure(kind=ExposureKind.POLICY, target=KEY, confidence=1.0)
    case.note(EventKind.EXPOSURE_ADDED, exposure=further)
    step = case.steps(Phase.CONTAIN)[0]
    case.note(EventKind.STEP_UNDONE, step=step)
    case.note(EventKind.STEP_STARTED, step=step, attempt=2, owner="host/1/1.0")
    case.note(EventKind.STEP_FINISHED, step=step, outcome="proven")
    phases = [each for each in told(case) if each.name == "contain"]
    assert len({each.span_id for each in phases}) == len(phases) == 2
    assert phases[0].ended < phases[1].begun


@pytest.mark.parametrize(
    ("outcome", "error"), [("recovered", ""), ("false-alarm", ""), ("not-contained", "not-contained")]
)
def test_the_root_says_how_the_case_ended_and_holds_its_milestones(outcome: str, error: str) -> None:
    """A case that ended not contained is an error; a false alarm is none."""
    root = one(full(outcome=outcome), ROOT)
    assert (root.error, root.attributes["keyquell.outcome"]) == (error, outcome)
    assert [each.name for each in root.moments] == ["exposure-added", "plan-made", "acknowledged", "contained"]
    assert root.attributes["keyquell.exposure.kinds"] == ("credential",)
    assert root.attributes["keyquell.incident.url"] == f"https://kq.example/incidents/{ID}"


@pytest.mark.parametrize("exercise", [True, False])
def test_an_exercise_is_marked_in_every_span(*, exercise: bool) -> None:
    """Whoever counts cases must not count it."""
    for each in told(full(exercise=exercise)):
        assert (each.exercise, each.attributes["keyquell.exercise"]) == (exercise, exercise)


def test_no_key_no_person_and_no_written_text_is_in_a_trace() -> None:
    """More people read traces than may know which key is out."""
    case = full()
    stored = "".join(each.model_dump_json() for each in case.events)
    words = repr(told(case))
    for secret in (CANARY, KEY, CREDENTIAL, "AKIAEXAMPLE1", "files:docs/invoices", "alice", "'cy'", "'di'", "host/1"):
        assert secret.strip("'") in stored
        assert secret not in words


def test_two_installations_never_share_a_trace() -> None:
    """Even if they gave their incidents the same id: the hash of the opening tells them apart."""
    assert told(full())[0].trace_id == told(full())[0].trace_id
    assert told(full())[0].trace_id != told(full(exercise=True))[0].trace_id


def documented() -> set[str]:
    """What docs/traces.md puts in back-ticks; ``.name`` after a whole name stands for one with the same beginning."""
    text = (Path(playbooks.__file__).parents[1] / "docs" / "traces.md").read_text(encoding="utf-8")
    found, beginning = set(), ""
    for word in re.findall(r"`([^`\n]+)`", text):
        beginning = beginning if word.startswith(".") else word.rpartition(".")[0]
        found.add(beginning + word if word.startswith(".") else word)
    return found


def test_the_document_lists_every_span_moment_and_attribute() -> None:
    """A word that a trace says and nobody explains fails here; so does one that no trace of a drill says."""
    case = full(outcome="not-contained")
    spans = told(case)
    moments = [moment for each in spans for moment in each.moments]
    attributes = {name for each in (*spans, *moments) for name in each.attributes}
    names, said = {each.name for each in (*spans, *moments)}, documented()
    assert names - said <= {each.value for each in Action}
    assert attributes - said == set()
    explained = {each for each in said if each.startswith("keyquell.")}
    assert explained - attributes == {"keyquell.scenario"}
