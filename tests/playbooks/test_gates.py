"""Approvals count for exactly one plan, and an old key stays until nothing needs it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cases import CASES, KMS
from freezegun import freeze_time

from playbooks.errors import RetirementBlocked
from playbooks.estate import DatasetEntry, Estate
from playbooks.gates import datasets_of, retirement_allowed, satisfied
from playbooks.incident import Approval
from playbooks.plans import Gate
from playbooks.receipts import Census
from playbooks.refs import KeyRef

PLAN = CASES["kms-credential-leak"]().plan()
RETIRE = next(step for step in PLAN.steps if step.gate is Gate.TWO_PERSON)
FREE = next(step for step in PLAN.steps if step.gate is Gate.PRE_APPROVED)
MOVED = datetime(2026, 3, 1, tzinfo=UTC)
OLD, REPLACEMENT = KeyRef.parse("aws-kms:prod/k1"), KeyRef.parse("aws-kms:prod/new")


def says(*people: str, digest: str = PLAN.digest) -> list[Approval]:
    return [Approval(approver=name, digest=digest, method="cli", at=MOVED) for name in people]


@pytest.mark.parametrize(
    ("approvals", "denials", "allowed"),
    [
        pytest.param([], [], False, id="nobody"),
        pytest.param(says("ann"), [], False, id="one person"),
        pytest.param(says("ann", "bob"), [], True, id="two people"),
        pytest.param(says("ann", "ann"), [], False, id="one person twice"),
        pytest.param(says("ann", " Ann "), [], False, id="one person written in two ways"),
        pytest.param(says("ann", "req"), [], False, id="the requester does not count"),
        pytest.param(says("ann", "bob", digest="0" * 64), [], False, id="approvals of another plan"),
        pytest.param(says("ann", "bob"), says("eve"), False, id="one denial stops"),
        pytest.param(says("ann", "bob"), says("eve", digest="0" * 64), True, id="a denial of another plan"),
        pytest.param(says("ann", " "), [], False, id="a nameless approver"),
    ],
)
def test_two_people_must_agree_to_this_very_plan(
    approvals: list[Approval], denials: list[Approval], allowed: bool
) -> None:
    """Distinct people, this digest, never the requester, no denial."""
    got, reason = satisfied(RETIRE, PLAN, approvals, requested_by="req", denied=denials)
    assert got is allowed
    assert reason


def test_preapproved_containment_runs_also_when_the_rest_is_denied() -> None:
    """A no to the plan must not let the attacker go on."""
    assert satisfied(FREE, PLAN, [], requested_by="req", denied=says("eve"))[0]


def test_an_unavailable_step_never_runs() -> None:
    """No approval makes a backend able."""
    step = RETIRE.model_copy(update={"unavailable": "no such move"})
    assert satisfied(step, PLAN, says("ann", "bob"), requested_by="req") == (False, "it cannot be made: no such move")


def census(dataset: DatasetEntry, *, old: int = 0, unknown: int = 0) -> dict[str, Census]:
    found = Census(
        dataset=str(dataset.ref), objects=10, bytes=1, on_new=10 - old - unknown, on_old=old, unknown=unknown,
        taken_at=MOVED,
    )  # fmt: skip
    return {found.dataset: found}


INVOICES = KMS.datasets[0]
"""Its backups are kept for 14 days."""


@pytest.mark.parametrize(
    ("dataset", "censuses", "days", "window", "why"),
    [
        pytest.param(INVOICES, {}, 99, 0, "no census", id="no census"),
        pytest.param(INVOICES, census(INVOICES, old=1), 99, 30, "1 of 10", id="one object left"),
        pytest.param(INVOICES, census(INVOICES, unknown=2), 99, 30, "2 of 10", id="objects nobody can tell"),
        pytest.param(INVOICES, census(INVOICES), 13, 0, "2026-03-15", id="backups not aged out"),
        pytest.param(INVOICES, census(INVOICES), 0, 13, "2026-03-15", id="a window shorter than the retention"),
        pytest.param(
            INVOICES.model_copy(update={"backup_retention_days": None}), census(INVOICES), 999, 30, "not known",
            id="unknown retention",
        ),
    ],
)  # fmt: skip
def test_an_old_key_stays_while_something_may_need_it(
    dataset: DatasetEntry, censuses: dict[str, Census], days: int, window: int, why: str
) -> None:
    """Every reason is named."""
    with (
        freeze_time(MOVED + timedelta(days=days)),
        pytest.raises(RetirementBlocked, match=why),
    ):
        retirement_allowed(
            censuses=censuses, datasets=[dataset], now=datetime.now(UTC), migrated_at=MOVED, window_days=window
        )


@pytest.mark.parametrize(
    ("days", "window"),
    [pytest.param(14, 0, id="at once after the retention"), pytest.param(0, 14, id="a window as long as it")],
)
def test_an_old_key_may_end_when_nothing_needs_it(days: int, window: int) -> None:
    """A deletion window counts towards the backups' retention."""
    with freeze_time(MOVED + timedelta(days=days)):
        retirement_allowed(
            censuses=census(INVOICES), datasets=[INVOICES], now=datetime.now(UTC), migrated_at=MOVED, window_days=window
        )


def test_an_override_covers_backups_but_never_live_objects() -> None:
    """Losing a backup can be accepted; losing data that is in use cannot."""
    retirement_allowed(
        censuses=census(INVOICES), datasets=[INVOICES], now=MOVED, migrated_at=MOVED, override="backups were deleted"
    )
    with pytest.raises(RetirementBlocked):
        retirement_allowed(
            censuses=census(INVOICES, old=1), datasets=[INVOICES], now=MOVED, migrated_at=MOVED, override="never mind"
        )


def test_an_estate_that_follows_the_move_hides_no_backups() -> None:
    """What the plan moved off the old key still counts, whatever key the estate names for it by now."""
    moved = tuple(entry.model_copy(update={"key": REPLACEMENT}) for entry in KMS.datasets)
    followed = KMS.model_copy(update={"datasets": moved})
    assert datasets_of(OLD, plan=PLAN, estate=followed) == list(moved)
    assert datasets_of(REPLACEMENT, plan=PLAN, estate=KMS) == []


def test_a_dataset_that_left_the_estate_keeps_the_old_key() -> None:
    """Nobody can say any more how long its backups live."""
    with pytest.raises(RetirementBlocked, match="left the estate"):
        datasets_of(OLD, plan=PLAN, estate=Estate())
