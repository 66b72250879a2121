"""What is wrong with a key is told from the inventory and from what was read, and nothing is guessed."""

from datetime import UTC, datetime

import pytest

from playbooks.estate import ConsumerEntry, Estate, KeyEntry
from playbooks.key_health import Healths, Weakness, quantum_vulnerable, weak
from playbooks.keys import KeyFacts, KeyState
from playbooks.refs import KeyRef

GOOD, BAD = KeyRef.parse("pkcs11:token=a;object=good"), KeyRef.parse("pkcs11:token=a;object=bad")


def facts(ref: KeyRef, algorithm: str, *, extractable: bool | None) -> KeyFacts:
    return KeyFacts(
        ref=ref,
        algorithm=algorithm,
        purpose="encrypt",
        state=KeyState.ACTIVE,
        version="1",
        extractable=extractable,
        containment_unit="object",
        capabilities=frozenset(),
        read_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


def estate() -> Estate:
    return Estate(
        keys=(KeyEntry(ref=GOOD, owner="storage"), KeyEntry(ref=BAD)),
        consumers=(ConsumerEntry(name="shop", uses=(GOOD,)),),
    )


def test_a_sound_key_has_nothing_and_comes_last() -> None:
    """Owned, used, drilled, strong and kept inside."""
    read = {str(GOOD): facts(GOOD, "AES-256-GCM", extractable=False)}
    worst, sound = Healths(estate(), read, {str(GOOD)})
    assert (sound.ref, sound.weaknesses) == (str(GOOD), ())
    assert worst.ref == str(BAD)


def test_every_weakness_is_told() -> None:
    """A short RSA key that may leave its HSM, with no owner, no use and no drill."""
    read = {str(BAD): facts(BAD, "RSA-1024", extractable=True)}
    worst = next(iter(Healths(estate(), read, ())))
    assert set(worst.weaknesses) == set(Weakness) - {Weakness.NOT_READ}
    assert Healths(estate(), read, ()).counted()[Weakness.NEVER_DRILLED] == 2


def test_what_was_not_read_is_not_judged() -> None:
    """Without facts a key is neither weak nor strong: it was not read."""
    worst = next(iter(Healths(estate(), {}, ())))
    assert Weakness.NOT_READ in worst.weaknesses
    assert not {Weakness.WEAK, Weakness.EXPORTABLE, Weakness.QUANTUM_VULNERABLE} & set(worst.weaknesses)


def test_a_backend_that_does_not_say_is_not_called_exportable() -> None:
    """None is ignorance, not a yes."""
    read = {str(BAD): facts(BAD, "AES-256-GCM", extractable=None)}
    assert Weakness.EXPORTABLE not in next(iter(Healths(estate(), read, ()))).weaknesses


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
