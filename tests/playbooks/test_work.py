"""What a response moved is counted from its record: censuses, shards, calls, probes, and the slowest step."""

from __future__ import annotations

from datetime import timedelta

from written_case import START, Case

from playbooks.metrics.measure import MeasureName
from playbooks.metrics.work import Work, work_of
from playbooks.plans import Phase
from playbooks.receipts import Census, Receipt
from playbooks.record import EventKind
from playbooks.summary import summary_of


def _receipt(*, changed: bool = True, second: int = 5) -> Receipt:
    at = START + timedelta(seconds=second)
    return Receipt(subject="aws-kms:cloud/k1", move="disable", requested_at=at, accepted_at=at, changed=changed)


def test_a_case_without_a_move_did_no_work() -> None:
    """Opened and planned is not worked."""
    assert work_of(Case().events) == Work()


def test_the_last_census_counts_and_every_shard_does() -> None:
    """Ten objects, of which seven are verified in the end and one failed; the shards wrote eight of them."""
    case = Case()
    step = case.steps(Phase.REENCRYPT)[0]
    for on_new, on_old, failed in ((0, 10, 0), (7, 2, 1)):
        census = Census(
            dataset="files:docs/invoices", objects=10, bytes=5000, on_new=on_new, on_old=on_old, failed=failed,
            taken_at=START,
        )  # fmt: skip
        case.note(EventKind.CENSUS_TAKEN, census=census)
    case.note(EventKind.SHARD_FINISHED, step=step, shard=0, result={"rewritten": 5, "bytes": 2500})
    case.note(EventKind.SHARD_FINISHED, step=step, shard=1, result={"rewritten": 3, "bytes": 1500})
    work = work_of(case.events)
    assert (work.objects, work.bytes, work.verified, work.on_old, work.failed) == (10, 5000, 7, 2, 1)
    assert (work.rewritten, work.bytes_rewritten) == (8, 4000)


def test_a_move_that_changed_nothing_is_not_counted() -> None:
    """Convergent moves leave a receipt without a change."""
    case = Case()
    first, second = (step.id for step in case.plan.steps[:2])
    for step, changed in ((first, True), (second, False)):
        case.note(EventKind.STEP_STARTED, step=step, attempt=1, owner="host/1/1.0")
        case.note(EventKind.STEP_FINISHED, step=step, outcome="proven", receipt=_receipt(changed=changed))
    assert work_of(case.events).calls == 1


def test_the_slowest_step_lasts_from_its_first_start_over_every_retry() -> None:
    """Started, failed, started and finished: the time between the tries is part of it."""
    case = Case()
    quick, slow = case.plan.steps[0].id, case.plan.steps[1].id
    case.run(quick)
    case.fail(slow, "throttled", retryable=True)
    begun = len(case.events) - 2
    case.run(slow)
    slowest = work_of(case.events).slowest
    assert slowest is not None
    assert (slowest.step, slowest.seq) == (slow, len(case.events) - 1)
    assert slowest.seconds == len(case.events) - 1 - begun


def test_downtime_runs_from_the_first_step_with_a_price_until_everything_works() -> None:
    """An upper bound: nobody knows that a consumer stood still for the whole of it."""
    case = Case()
    priced = next(step for step in case.plan.steps if step.price)
    measured = summary_of(case.events).measured(MeasureName.DOWNTIME, now=START + timedelta(hours=1))
    assert (measured.state, measured.why) == ("undefined", "no step that stops a service was taken")
    case.note(EventKind.STEP_STARTED, step=priced.id, attempt=1, owner="host/1/1.0")
    case.note(EventKind.STEP_FINISHED, step=priced.id, outcome="proven", receipt=_receipt(second=3))
    running = summary_of(case.events).measured(MeasureName.DOWNTIME, now=START + timedelta(hours=1))
    assert (running.state, running.lower_seconds, running.upper_seconds) == ("running", 0.0, None)
    case.note(EventKind.RESTORED, consumers=("app",))
    ended = summary_of(case.events).measured(MeasureName.DOWNTIME, now=START + timedelta(hours=1))
    assert (ended.state, ended.lower_seconds) == ("reached", 0.0)
    assert ended.upper_seconds == (case.events[-1].at - _receipt(second=3).accepted_at).total_seconds()
