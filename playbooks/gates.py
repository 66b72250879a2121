"""Who has agreed to exactly this plan, and whether an old key may be retired yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from playbooks.authority import EVERYBODY, Authority, Yes
from playbooks.errors import RetirementBlocked
from playbooks.estate import DatasetEntry, Estate
from playbooks.names import person, same_person
from playbooks.plans import Action, Plan, Step
from playbooks.receipts import Census
from playbooks.refs import KeyRef

__all__ = ["Agreement", "No", "datasets_of", "person", "retirement_allowed", "same_person", "satisfied"]


class No(Protocol):
    """A denial of a plan's digest."""

    @property
    def approver(self) -> str: ...
    @property
    def digest(self) -> str: ...


class Agreement(Yes, Protocol):
    """An approval of a plan's digest."""

    @property
    def digest(self) -> str: ...


def satisfied(
    step: Step,
    plan: Plan,
    approvals: Iterable[Agreement],
    *,
    requested_by: str,
    denied: Iterable[No] = (),
    authority: Authority = EVERYBODY,
) -> tuple[bool, str]:
    """May the step run, and if not, why.

    Counts distinct people who approved this plan's digest and whom ``authority`` lets count for this step; the
    requester never counts, however the name is written.
    One denial of this digest stops every step that needs anybody.  Pre-approved steps need nobody, so that a denial
    of the rest does not hold up containment.
    """
    if step.unavailable:
        return False, f"it cannot be made: {step.unavailable}"
    needed = step.gate.people
    if needed == 0:
        return True, "the playbook approved it beforehand"
    refusals = sorted({person(each.approver) for each in denied if each.digest == plan.digest})
    if refusals:
        return False, f"{', '.join(refusals)} said no to this plan"
    given = [each for each in approvals if each.digest == plan.digest]
    weighed = [(person(each.approver), authority.objection(each, step)) for each in given]
    people = {name for name, why in weighed if not why}
    people -= {person(requested_by), ""}
    if len(people) >= needed:
        return True, f"approved by {', '.join(sorted(people))}"
    missing = needed - len(people)
    who = "another person" if missing == 1 else f"{missing} people"
    ignored = "".join(f"; {why}" for why in dict.fromkeys(why for name, why in weighed if why and name not in people))
    return False, f"it waits for {who} other than the requester to approve plan {plan.digest[:12]}{ignored}"


def datasets_of(key: KeyRef, *, plan: Plan, estate: Estate) -> list[DatasetEntry]:
    """The datasets whose objects or backups may need the key: under it by the estate, or moved off it by the plan.

    An estate that says already what holds after the move must not hide what the backups still need.  Raises
    RetirementBlocked for a dataset of the plan that the estate lists no more.
    """
    moved = {
        step.target
        for step in plan.steps
        if step.action in (Action.REWRAP, Action.REENCRYPT) and step.inputs.get("old_key") == str(key)
    }
    found = [entry for entry in estate.datasets if entry.key == key or str(entry.ref) in moved]
    if lost := sorted(moved - {str(entry.ref) for entry in found}):
        raise RetirementBlocked(
            f"the old key must stay: {', '.join(lost)} left the estate, so how long its backups are kept is not known.",
            hint="List it again with its backup_retention_days, 0 when there are no backups.",
        )
    return found


def retirement_allowed(
    *,
    censuses: Mapping[str, Census],
    datasets: Sequence[DatasetEntry],
    now: datetime,
    migrated_at: datetime | None,
    window_days: int = 0,
    override: str = "",
) -> None:
    """Return when the old key may be ended; raise RetirementBlocked naming every reason when it may not.

    ``datasets`` are those under the old key, ``censuses`` their latest by URI, ``migrated_at`` when the last object
    had left the key.  ``window_days`` is the backend's own delay (0: at once); it counts towards the backups'
    retention.  An ``override`` is the reason of an approved and recorded exception; it never covers objects that are
    still under the old key, because those would be lost.
    """
    held = [reason for dataset in datasets for reason in _under_old(dataset, censuses.get(str(dataset.ref)))]
    backups = [
        reason
        for dataset in datasets
        for reason in _in_backups(dataset, now=now, migrated_at=migrated_at, window_days=window_days)
    ]
    if not override.strip():
        held += backups
    if held:
        raise RetirementBlocked(
            f"the old key must stay: {'; '.join(held)}.",
            hint="Move what is left and take the census again, or wait for the backups to age out.",
        )


def _under_old(dataset: DatasetEntry, census: Census | None) -> Iterable[str]:
    if census is None:
        yield f"no census of {dataset.ref} was taken"
    elif not census.clear:
        left = max(census.objects - census.on_new, census.on_old)
        yield f"{left} of {census.objects} objects of {dataset.ref} are not shown to be under the new key"


def _in_backups(
    dataset: DatasetEntry, *, now: datetime, migrated_at: datetime | None, window_days: int
) -> Iterable[str]:
    kept = dataset.backup_retention_days
    if kept is None:
        yield f"how long backups of {dataset.ref} are kept is not known"
        return
    if kept == 0:
        return
    if migrated_at is None:
        yield f"{dataset.ref} has not been moved yet"
        return
    until = migrated_at + timedelta(days=kept)
    if now + timedelta(days=window_days) < until:
        ends = f"{until:%Y-%m-%d}"
        yield f"backups of {dataset.ref} may need it until {ends}"
