"""The journalled step: claims, gates and failures, on a real record with effects that the tests choose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import flows.actions
from flows import intake
from flows.effects import Effect, StepContext, StepResult
from flows.engine import StepFailed, contain_now, step_once
from flows.owners import FOREIGN_LEASE, alive, this_owner
from flows.settings import Settings
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.errors import NotApproved, RecordError, Refused, Throttled, Unreachable
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.receipts import Outcome, ProbeResult
from playbooks.record import GENESIS, EventKind

ID = "KQ-20260301-test"
K = EventKind


def step(step_id: str, *, gate: Gate = Gate.PRE_APPROVED, needs: tuple[str, ...] = (), unavailable: str = "") -> Step:
    """A step whose effect the test chooses."""
    phase, _, rest = step_id.partition(".")
    return Step(
        id=step_id,
        phase=Phase(phase),
        action=Action(rest.partition("-")[2]),
        target=f"aws-kms:prod/{step_id[-1]}",
        reversibility=Reversibility.REVERSIBLE,
        gate=gate,
        why="test",
        needs=needs,
        unavailable=unavailable,
    )


CUT, DISABLE = step("contain.1-cut-credential"), step("contain.2-disable-key", needs=("contain.1-cut-credential",))
DELETE = step("retire.1-schedule-deletion", gate=Gate.TWO_PERSON)
GRANTS = step("contain.3-revoke-grants", unavailable="no grants here")


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[Wiring]:
    """An incident with a plan of four steps, and no backend at all."""
    settings = Settings.model_validate({
        "source": tmp_path / "keyquell.yaml", "state": tmp_path, "estate": tmp_path / "estate.yaml",
        "policy": {"retries": 2, "retry_delay_seconds": 0.01},
    })  # fmt: skip
    with Wiring.open(settings) as opened:
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target="aws-iam:prod/app/AKIA1", confidence=1)
        plan = Plan(
            incident_id=ID,
            playbook="kms-credential-leak",
            playbook_version=1,
            exposures=("credential of aws-iam:prod/app/AKIA1",),
            steps=(CUT, DISABLE, GRANTS, DELETE),
        )
        opening = body_of(
            K.INCIDENT_OPENED, codename="c", severity="high", exercise=True, requested_by="alice", playbook="p"
        )
        opened.records.append(ID, kind=K.INCIDENT_OPENED, body=opening, expected_head=GENESIS)
        opened.records.append_next(ID, kind=K.EXPOSURE_ADDED, body=body_of(K.EXPOSURE_ADDED, exposure=exposure))
        opened.records.append_next(ID, kind=K.PLAN_MADE, body=body_of(K.PLAN_MADE, plan=plan))
        yield opened


@pytest.fixture
def effect(monkeypatch: pytest.MonkeyPatch) -> Callable[[Effect], None]:
    """Lets this be what every step does."""

    def choose(chosen: Effect) -> None:
        monkeypatch.setattr(flows.actions, "EFFECTS", dict.fromkeys(Action, chosen))

    return choose


def proven(context: StepContext) -> StepResult:
    """An effect that is shown by one probe."""
    probe = ProbeResult(
        subject=context.step.target, operation="try", expected="refused", outcome=Outcome.REFUSED, at=datetime.now(UTC)
    )
    return StepResult("proven", probes=[probe])


def kinds(wiring: Wiring) -> list[str]:
    """The events after the plan."""
    return [event.kind.value for event in wiring.records.events(ID)[3:]]


def started(wiring: Wiring, owner: str) -> None:
    """Somebody has claimed the first step."""
    body = body_of(K.STEP_STARTED, step=CUT.id, attempt=1, owner=owner)
    wiring.records.append_next(ID, kind=K.STEP_STARTED, body=body)


def test_a_step_that_succeeded_is_not_run_again(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """Whoever calls later finds its result."""
    effect(proven)
    assert step_once(wiring, ID, CUT.id).state == "proven"
    effect(_never)
    assert step_once(wiring, ID, CUT.id).attempts == 1


def test_a_step_that_cannot_be_made_is_never_run(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """Its reason was known before anything began."""
    effect(_never)
    assert step_once(wiring, ID, GRANTS.id).state == "unavailable"
    assert kinds(wiring) == []


def test_the_claim_is_in_the_record_before_the_effect(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """What a killed responder began is known to the next one."""
    seen: list[str] = []

    def look(context: StepContext) -> StepResult:
        seen.extend(kinds(context.wiring))
        return StepResult("done")

    effect(look)
    step_once(wiring, ID, CUT.id)
    assert seen == ["step-started"]


@pytest.mark.parametrize(
    ("approvers", "runs"),
    [((), False), (("bob",), False), (("bob", "bob"), False), (("bob", "carol"), True)],
)
def test_a_gate_holds_until_enough_people_agreed(
    wiring: Wiring, effect: Callable[[Effect], None], approvers: tuple[str, ...], runs: bool
) -> None:
    """Two distinct people; nothing is written and nothing happens before."""
    effect(proven if runs else _never)
    plan = wiring.incident(ID).plan
    assert plan is not None
    for approver in approvers:
        intake.approve(wiring, ID, approver=approver, digest=plan.digest)
    if runs:
        assert step_once(wiring, ID, DELETE.id).succeeded
        return
    with pytest.raises(NotApproved):
        step_once(wiring, ID, DELETE.id)
    assert "step-started" not in kinds(wiring)


@pytest.mark.parametrize(
    ("error", "retryable", "code"),
    [
        (Throttled("slow down", code="ThrottlingException"), True, "ThrottlingException"),
        (Unreachable("no answer", code="ReadTimeoutError"), True, "ReadTimeoutError"),
        (Refused("denied", code="AccessDenied"), False, "AccessDenied"),
        (ValueError("hunter2"), False, ""),
    ],
)
def test_a_failure_is_recorded_with_whether_it_may_pass(
    wiring: Wiring, effect: Callable[[Effect], None], error: Exception, retryable: bool, code: str
) -> None:
    """The text of an unexpected error stays out of the record: it may hold a secret."""

    def fail(_: StepContext) -> StepResult:
        raise error

    effect(fail)
    with pytest.raises(StepFailed) as raised:
        step_once(wiring, ID, CUT.id)
    assert raised.value.retryable is retryable
    status = wiring.incident(ID).steps[CUT.id]
    assert (status.state, status.retryable, status.code) == ("failed", retryable, code)
    assert "hunter2" not in status.error


@pytest.mark.parametrize(("error", "attempts"), [(Throttled("slow down"), 3), (Refused("denied"), 1)])
def test_the_hot_path_retries_only_what_may_pass(
    wiring: Wiring, effect: Callable[[Effect], None], error: Exception, attempts: int
) -> None:
    """With two retries: three attempts under throttling, one when refused; contained in neither case."""

    def fail(_: StepContext) -> StepResult:
        raise error

    effect(fail)
    incident = contain_now(wiring, ID)
    assert incident.steps[CUT.id].attempts == attempts
    assert incident.contained_at is None
    assert incident.not_contained


def test_a_stop_ends_the_retries_and_whoever_contains_next_goes_on(
    wiring: Wiring, effect: Callable[[Effect], None]
) -> None:
    """The attempt under way is recorded; neither it nor what needs it is begun until somebody contains again."""
    stop = threading.Event()

    def fail(_: StepContext) -> StepResult:
        stop.set()
        raise Throttled("slow down")

    effect(fail)
    for _ in range(2):
        steps = contain_now(wiring, ID, stop=stop).steps
        assert (steps[CUT.id].state, steps[CUT.id].attempts, steps[DISABLE.id].attempts) == ("failed", 1, 0)
    effect(proven)
    assert contain_now(wiring, ID).contained_at is not None


def test_a_stop_withholds_no_first_attempt_while_backends_take_what_is_asked(
    wiring: Wiring, effect: Callable[[Effect], None]
) -> None:
    """A step that waits for one that goes well is begun after it."""
    stop = threading.Event()

    def stopped_meanwhile(context: StepContext) -> StepResult:
        stop.set()
        return proven(context)

    effect(stopped_meanwhile)
    assert contain_now(wiring, ID, stop=stop).contained_at is not None


def test_a_stop_waits_for_nobody_elses_claim(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """The step is left to its holder, and what needs it is not begun."""
    effect(_never)
    started(wiring, "elsewhere/1/1.00")
    stop = threading.Event()
    stop.set()
    assert step_once(wiring, ID, CUT.id, stop=stop).state == "running"
    assert contain_now(wiring, ID, stop=stop).steps[DISABLE.id].attempts == 0


def test_containment_is_claimed_once_when_every_step_is_shown(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """After the last containing step, and never a second time."""
    effect(proven)
    contain_now(wiring, ID)
    contain_now(wiring, ID)
    assert kinds(wiring).count("contained") == 1
    assert kinds(wiring)[-1] == "contained"
    assert "retire" not in str(wiring.incident(ID).steps[DELETE.id].state)


def test_many_threads_at_one_step_run_it_once(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """One claims; the others wait for the result."""
    runs: list[int] = []

    def slow(context: StepContext) -> StepResult:
        runs.append(1)
        threading.Event().wait(0.2)
        return proven(context)

    effect(slow)
    threads = [threading.Thread(target=step_once, args=(wiring, ID, CUT.id)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs) == 1


def test_a_claim_whose_result_could_not_be_written_does_not_block_its_own_process(
    wiring: Wiring, effect: Callable[[Effect], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk at the wrong moment: the same process may try again at once."""
    effect(proven)
    real = SqlRecords.append_next

    def full(*_: object, **__: object) -> None:
        raise RecordError("disk full")

    monkeypatch.setattr(SqlRecords, "append_next", full)
    with pytest.raises(RecordError):
        step_once(wiring, ID, CUT.id)
    monkeypatch.setattr(SqlRecords, "append_next", real)
    assert step_once(wiring, ID, CUT.id).attempts == 2


def test_a_record_that_cannot_be_written_is_said_by_the_hot_path(
    wiring: Wiring, effect: Callable[[Effect], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not look like a containment that merely found nothing to do."""
    effect(proven)

    def full(*_: object, **__: object) -> None:
        raise RecordError("disk full")

    monkeypatch.setattr(SqlRecords, "append_next", full)
    with pytest.raises(RecordError, match="disk full"):
        contain_now(wiring, ID)


@pytest.mark.parametrize("owner", ["{host}/999999999/1.00", "{host}/{pid}/1.00", "{host}/nonsense"])
def test_a_dead_owner_is_replaced_at_once(wiring: Wiring, effect: Callable[[Effect], None], owner: str) -> None:
    """A pid that is gone, one that was given to another process, and one that is none."""
    host, pid, _ = this_owner().split("/")
    effect(proven)
    started(wiring, owner.format(host=host, pid=pid))
    assert step_once(wiring, ID, CUT.id).attempts == 2


@pytest.mark.parametrize(
    ("ago", "lives"), [(timedelta(seconds=1), True), (FOREIGN_LEASE + timedelta(seconds=1), False)]
)
def test_an_owner_on_another_host_is_believed_for_a_while(ago: timedelta, lives: bool) -> None:
    """It cannot be looked up, so its lease decides."""
    now = datetime.now(UTC)
    assert alive("elsewhere/1/1.00", since=now - ago, now=now) is lives


def test_a_closed_case_starts_no_step(wiring: Wiring, effect: Callable[[Effect], None]) -> None:
    """A start after the closing event would make the record contradict itself."""
    effect(_never)
    intake.close(wiring, ID, by="alice", outcome="false-alarm")
    step_once(wiring, ID, CUT.id)
    assert contain_now(wiring, ID).closed is not None
    assert kinds(wiring) == ["closed"]


def _never(_: StepContext) -> StepResult:
    raise AssertionError("this step must not run")
