"""What is wrong with a key is told from the inventory and from what was read, and nothing is guessed."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from playbooks.estate import ConsumerEntry, Estate, KeyEntry
from playbooks.key_health import Healths, Weakness, quantum_vulnerable, weak
from playbooks.keys import KeyFacts, KeyState
from playbooks.refs import KeyRef

GOOD, BAD = KeyRef.parse("pkcs11:token=a;object=good"), KeyRef.parse("pkcs11:token=a;object=bad")


TODAY = date(2026, 3, 1)
LONG_AGO = datetime(2020, 3, 1, tzinfo=UTC)
LATELY = datetime(2026, 2, 1, tzinfo=UTC)


def facts(
    ref: KeyRef, algorithm: str, *, extractable: bool | None, since: datetime | None = LATELY, **changes: Any
) -> KeyFacts:
    known: dict[str, Any] = {
        "ref": ref,
        "algorithm": algorithm,
        "purpose": "encrypt",
        "state": KeyState.ACTIVE,
        "version": "1",
        "extractable": extractable,
        "containment_unit": "object",
        "capabilities": frozenset(),
        "protecting_since": since,
        "read_at": datetime(2026, 3, 1, tzinfo=UTC),
    }
    return KeyFacts(**known | changes)


def estate() -> Estate:
    return Estate(
        keys=(KeyEntry(ref=GOOD, owner="storage"), KeyEntry(ref=BAD)),
        consumers=(ConsumerEntry(name="shop", uses=(GOOD,)),),
    )


def test_a_sound_key_has_nothing_and_comes_last() -> None:
    """Owned, used, drilled, strong and kept inside."""
    read = {str(GOOD): facts(GOOD, "AES-256-GCM", extractable=False)}
    worst, sound = Healths(estate(), read, {str(GOOD)}, today=TODAY)
    assert (sound.ref, sound.weaknesses) == (str(GOOD), ())
    assert worst.ref == str(BAD)


def test_every_weakness_is_told() -> None:
    """A short RSA key that may leave its HSM, with no owner, no use and no drill."""
    read = {str(BAD): facts(BAD, "RSA-1024", extractable=True, since=LONG_AGO)}
    worst = next(iter(Healths(estate(), read, (), today=TODAY)))
    assert set(worst.weaknesses) == set(Weakness) - {Weakness.NOT_READ, Weakness.AGE_UNKNOWN}
    assert Healths(estate(), read, (), today=TODAY).counted()[Weakness.NEVER_DRILLED] == 2


def test_what_was_not_read_is_not_judged() -> None:
    """Without facts a key is neither weak nor strong: it was not read."""
    worst = next(iter(Healths(estate(), {}, (), today=TODAY)))
    assert Weakness.NOT_READ in worst.weaknesses
    assert not {Weakness.WEAK, Weakness.EXPORTABLE, Weakness.QUANTUM_VULNERABLE} & set(worst.weaknesses)


def test_a_backend_that_does_not_say_is_not_called_exportable() -> None:
    """None is ignorance, not a yes."""
    read = {str(BAD): facts(BAD, "AES-256-GCM", extractable=None)}
    assert Weakness.EXPORTABLE not in next(iter(Healths(estate(), read, (), today=TODAY))).weaknesses


def judged(entry: KeyEntry, known: KeyFacts | None, *, today: date = TODAY) -> tuple[date | None, set[Weakness]]:
    read = {str(entry.ref): known} if known else {}
    [health] = Healths(Estate(keys=(entry,)), read, (), today=today)
    return health.rotate_by, set(health.weaknesses) & {Weakness.OVERDUE, Weakness.AGE_UNKNOWN}


@pytest.mark.parametrize(
    ("purpose", "days", "due"),
    [("encrypt", None, date(2028, 2, 1)), ("sign", None, date(2029, 1, 31)), ("encrypt", 90, date(2026, 5, 2))],
)
def test_a_cryptoperiod_is_that_of_the_inventory_or_the_usual_one(purpose: str, days: int | None, due: date) -> None:
    """Two years of encryption, three of signing; the last day of it is not overdue yet."""
    entry = KeyEntry(ref=BAD, cryptoperiod_days=days)
    known = facts(BAD, "AES-256-GCM", extractable=False, purpose=purpose)
    assert judged(entry, known, today=due) == (due, set())
    assert judged(entry, known, today=due + timedelta(days=1)) == (due, {Weakness.OVERDUE})


def test_what_a_backend_says_of_the_age_counts_more_than_the_inventory() -> None:
    """A key that was rotated is as old as its latest version."""
    entry = KeyEntry(ref=BAD, protecting_since=LONG_AGO.date())
    assert judged(entry, facts(BAD, "AES-256-GCM", extractable=False))[1] == set()
    assert judged(entry, facts(BAD, "AES-256-GCM", extractable=False, since=None))[1] == {Weakness.OVERDUE}
    assert judged(entry, None) == (date(2022, 3, 1), {Weakness.OVERDUE})


def test_a_key_of_unknown_age_is_not_called_overdue() -> None:
    """It is said that nobody knows it; of a key that was never read even that is not known."""
    entry = KeyEntry(ref=BAD)
    assert judged(entry, facts(BAD, "AES-256", extractable=False, since=None)) == (None, {Weakness.AGE_UNKNOWN})
    assert judged(entry, None) == (None, set())


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.DEACTIVATED, KeyState.DESTROYED])
def test_a_key_that_protects_nothing_is_not_overdue(state: KeyState) -> None:
    """Its cryptoperiod of protecting ended when it was taken out of use."""
    assert judged(KeyEntry(ref=BAD), facts(BAD, "AES-256", extractable=False, since=LONG_AGO, state=state)) == (
        None,
        set(),
    )


def test_the_furthest_day_is_told_although_the_cryptoperiod_ends_after_it() -> None:
    """A date that no calendar has must not break the page."""
    entry = KeyEntry(ref=BAD, protecting_since=date(9998, 1, 1), cryptoperiod_days=10_000)
    assert judged(entry, None)[0] == date.max


@pytest.mark.parametrize(
    ("algorithm", "is_weak", "is_vulnerable"),
    [
        ("AES-128", False, False),
        ("AES-256-GCM", False, False),
        ("RSA-1024", True, True),
        ("RSA-2048", False, True),
        ("RSA-3072", False, True),
        ("EC-P192", True, True),
        ("EC-P256", False, True),
        ("Ed25519", False, True),
        ("3DES", True, False),
        ("ML-DSA-65", False, False),
        ("HMAC-SHA-256", False, False),
        ("", False, False),
    ],
)
def test_algorithms_are_told_apart(algorithm: str, is_weak: bool, is_vulnerable: bool) -> None:
    """By the strength tables, and by whether Shor's algorithm applies."""
    assert weak(algorithm) is is_weak
    assert quantum_vulnerable(algorithm) is is_vulnerable
