"""What counts as usual use of a key: learned by the hour, robust, silent until it knows enough."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from playbooks.ports import UsageEvent
from playbooks.usage_baseline import Baseline, caller, hour_of, is_use, unapproved

MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = "aws-kms:prod/k1"
ARN = "arn:aws:iam::000000000000:user/app"
DAYS, WEEKS = timedelta(days=3), timedelta(days=28)


def uses(at: datetime, count: int, *, principal: str = ARN, operation: str = "Decrypt") -> list[UsageEvent]:
    """So many uses within the hour of a moment."""
    return [
        UsageEvent(at + timedelta(seconds=number % 3600), operation, principal, "10.0.0.1", KEY, f"{at}{number}")
        for number in range(count)
    ]


def learned(counts: Iterable[int], *, until: datetime = MONDAY) -> Baseline:
    """The baseline after hours with these counts, the last of which ends at ``until``."""
    counts = list(counts)
    start = hour_of(until) - len(counts)
    return Baseline(hours={start + place: count for place, count in enumerate(counts) if count}, began=start)


def found(baseline: Baseline, count: int, *, at: datetime = MONDAY) -> list[int]:
    """The uses that are called unusual when so many come within one hour."""
    after = baseline.after(uses(at, count), since=at, keep=WEEKS)
    return [each.uses for each in after.unusual(since=at, least=DAYS)]


@pytest.mark.parametrize(
    ("history", "count", "unusual"),
    [
        ([10] * 200, 20, False),
        ([10] * 200, 40, True),
        ([0, 20, 5, 30, 10, 0, 25] * 29, 50, False),
        ([1000] * 200, 1100, False),
        ([1000] * 200, 1200, True),
        ([0] * 199 + [1], 8, False),
        ([0] * 199 + [1], 9, True),
    ],
    ids=[
        "twice the usual is still chance",
        "four times the usual is not",
        "a key used in bursts may burst",
        "a busy key's chance is relative",
        "a fifth more of a busy key is not chance",
        "a key that sleeps may be used a little",
        "a key that sleeps is not used nine times",
    ],
)
def test_only_more_than_chance_explains_is_unusual(history: list[int], count: int, unusual: bool) -> None:
    """The bound follows the level and the spread of earlier hours."""
    assert found(learned(history), count) == ([count] if unusual else [])


def test_every_hour_is_compared_with_its_like() -> None:
    """A nightly batch is usual at night and unusual by day; what comes on Mondays only is usual on Mondays."""
    nightly = learned([500 if hour % 24 == 3 else 5 for hour in range(24 * 10)], until=MONDAY.replace(hour=0))
    assert found(nightly, 500, at=MONDAY.replace(hour=3)) == []
    assert found(nightly, 500, at=MONDAY.replace(hour=4)) == [500]
    weekly = learned([400 if hour % 168 == 9 else 5 for hour in range(168 * 5)], until=MONDAY.replace(hour=0))
    assert found(weekly, 400, at=MONDAY.replace(hour=9)) == []
    assert found(weekly, 400, at=(MONDAY + timedelta(days=1)).replace(hour=9)) == [400]


def test_a_few_wild_hours_do_not_become_usual() -> None:
    """An attacker who used the key for five hours is still unusual in the sixth."""
    assert found(learned([10] * 195 + [300] * 5), 300) == [300]


@pytest.mark.parametrize("hours", [0, 1, 24, 71])
def test_without_enough_history_it_is_silent(hours: int) -> None:
    """Three days are asked for here; before, everything would look unusual."""
    baseline = learned([1] * hours)
    assert baseline.bound(hour_of(MONDAY), least=DAYS) is None
    assert found(baseline, 10_000) == []


def test_chance_alone_raises_hardly_any_alarm() -> None:
    """Random use at a steady rate for four weeks: at most one hour of 672 is called unusual."""
    chance = random.Random(7)
    counts = [sum(chance.random() < 0.02 for _ in range(1000)) for _ in range(672)]
    baseline = learned(counts)
    start = MONDAY - timedelta(hours=672)
    assert len(list(baseline.unusual(since=start, least=DAYS))) <= 1


def test_reading_the_same_hours_again_counts_them_once() -> None:
    """Overlapping reads of a late trail: the last reading of an hour holds, with what came late."""
    once = Baseline(hours={}).after(uses(MONDAY, 5), since=MONDAY, keep=WEEKS)
    twice = once.after(uses(MONDAY, 6), since=MONDAY, keep=WEEKS)
    assert twice.hours == {hour_of(MONDAY): 6}


def test_what_is_old_is_forgotten() -> None:
    """The baseline stays as small as its window."""
    baseline = learned([1] * 2000).after(uses(MONDAY, 1), since=MONDAY, keep=WEEKS)
    assert len(baseline.hours) <= 28 * 24 + 1
    assert baseline.began == min(baseline.hours)


def test_looking_at_a_key_is_no_use_of_it() -> None:
    """Consoles and audits describe keys all day; making data keys and changing the policy count."""
    names = ("DescribeKey", "ListGrants", "GetKeyPolicy", "GenerateDataKey", "Decrypt", "PutKeyPolicy")
    counted = [name for name in names if is_use(uses(MONDAY, 1, operation=name)[0])]
    assert counted == ["GenerateDataKey", "Decrypt", "PutKeyPolicy"]


def test_the_sessions_of_a_role_are_one_principal() -> None:
    """A role has a new session name each time; nothing else loses its end."""
    role = "arn:aws:sts::000000000000:assumed-role/shop"
    assert caller(f"{role}/i-0abc") == caller(f"{role}/i-0def") == role
    assert caller(ARN) == ARN


def test_whoever_is_not_approved_is_named_once_with_the_first_use() -> None:
    """Patterns may hold a star; calls of services, which have no principal, are not judged."""
    other = "arn:aws:iam::000000000000:user/mallory"
    events = [
        *uses(MONDAY, 3),
        *uses(MONDAY + timedelta(hours=2), 2, principal=other),
        *uses(MONDAY + timedelta(hours=1), 1, principal=other, operation="Encrypt"),
        *uses(MONDAY, 1, principal=""),
    ]
    [one] = unapproved(events, ["arn:aws:iam::*:user/app"])
    assert (one.principal, one.uses, one.first.operation) == (other, 3, "Encrypt")
    assert len(unapproved(events, [])) == 2
