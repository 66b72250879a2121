"""Readiness is computed by hand on a small estate: classes, ways, what covers them, and the one thing to do next."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from playbooks.estate import Estate
from playbooks.exposures import ExposureKind
from playbooks.playbook import catalog
from playbooks.readiness import Drilled, KeyClass, Offer, key_classes
from playbooks.what_next import Open, what_next

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ESTATE = Estate.model_validate({
    "keys": [
        {"ref": "aws-kms:prod/a"},
        {"ref": "aws-kms:prod/b"},
        {"ref": "pkcs11:token=hsm;object=release", "purpose": "sign"},
    ],
    "datasets": [{"ref": "files:docs/invoices", "key": "aws-kms:prod/a", "envelope": "esdk"}],
    "credentials": [{"ref": "aws-iam:prod/app/AKIA1", "consumer": "app", "may_use": ["aws-kms:prod/a"]}],
    "consumers": [{"name": "app"}],
})  # fmt: skip
OFFERS = (
    Offer("kms-credential-leak", "An access key is out", "kms-credential-leak", "aws-kms"),
    Offer("signing-key-leak", "Somebody signs", "signing-key-leak", "pkcs11"),
    Offer("hsm-pin-leak", "A PIN is out", "hsm-pin-leak", "pkcs11"),
)


def drill(
    playbook: str = "kms-credential-leak", scheme: str = "aws-iam", *, passed: bool | None = True, days: float = 3
) -> Drilled:
    return Drilled(
        incident=f"D-{playbook}-{days}",
        codename="calm-otter",
        scenario=playbook,
        playbook=playbook,
        schemes=frozenset({scheme}),
        at=NOW - timedelta(days=days),
        passed=passed,
        by="mei",
        page=False,
    )


SIGNED = drill("signing-key-leak", "pkcs11")


def classes(*drills: Drilled) -> list[KeyClass]:
    return key_classes(ESTATE, catalog(), drills, OFFERS)


def kms(*drills: Drilled) -> KeyClass:
    return next(each for each in classes(*drills) if each.scheme == "aws-kms")


def test_keys_are_classed_by_backend_and_purpose() -> None:
    """Two keys that encrypt, with one dataset, and one that signs."""
    assert [(each.scheme, each.purpose, each.keys, each.datasets) for each in classes()] == [
        ("aws-kms", "encrypt", 2, 1),
        ("pkcs11", "sign", 1, 0),
    ]


def test_the_ways_of_losing_a_key_are_those_that_a_playbook_would_answer() -> None:
    """The credential that may use it, its material, a policy, ransom, a data key; each with its playbook."""
    assert [(each.kind, each.scheme, each.playbook) for each in kms().ways] == [
        (ExposureKind.CREDENTIAL, "aws-iam", "kms-credential-leak"),
        (ExposureKind.KEY_MATERIAL, "aws-kms", "key-material-leak"),
        (ExposureKind.POLICY, "aws-kms", "policy-too-wide"),
        (ExposureKind.AVAILABILITY, "aws-kms", "keys-held-to-ransom"),
        (ExposureKind.DATA_KEY, "aws-kms", "data-key-leak"),
    ]


@pytest.mark.parametrize(
    ("drills", "covered", "words"),
    [
        ((), False, "no drill"),
        ((drill(),), True, "a drill that passed"),
        ((drill(passed=False),), False, "a drill that did not pass"),
        ((drill(passed=None),), False, "an exercise without a score proves nothing"),
        ((drill(days=1, passed=False), drill(days=9)), False, "the latest one counts"),
        ((drill(days=1, passed=None), drill(days=9)), True, "the latest one that was scored counts"),
        ((drill("key-material-leak", "openbao"),), False, "another backend"),
        ((drill("signing-key-leak", "aws-iam"),), False, "another playbook"),
    ],
)
def test_a_class_is_covered_by_a_drill_of_one_of_its_ways(
    drills: tuple[Drilled, ...], covered: bool, words: str
) -> None:
    """By the latest scored one, on the same kind of target."""
    assert kms(*drills).covered is covered, words


def test_what_no_drill_covers_stands_first() -> None:
    """Whatever is drilled comes after it."""
    assert [each.scheme for each in classes(drill())] == ["pkcs11", "aws-kms"]


def told(*drills: Drilled, actions: tuple[Open, ...] = (), scheduled: tuple[str, ...] = ()) -> tuple[str, str]:
    found = what_next(classes(*drills), actions, scheduled, now=NOW)
    return found.sentence, found.command


def test_a_drill_that_failed_comes_first() -> None:
    """Before one that never was."""
    sentence, command = told(drill(passed=False))
    assert sentence.startswith("Run kms-credential-leak again: the latest drill of it did not pass")
    assert command == "keyquell drill run kms-credential-leak"


def test_then_a_drill_that_never_was() -> None:
    """With how much hangs on it."""
    assert told(SIGNED) == (
        "Run kms-credential-leak: it was never drilled, and 2 aws-kms keys with 1 dataset can be lost that way.",
        "keyquell drill run kms-credential-leak",
    )


def test_then_an_action_that_is_overdue() -> None:
    """The oldest one; what is due tomorrow can wait."""
    late = Open("KQ-1", "Rotate yearly", "Bo", date(2026, 3, 1))
    later = Open("KQ-2", "Something", "Mei", date(2026, 3, 3))
    sentence, command = told(drill(), SIGNED, actions=(later, late))
    assert (sentence, command) == ("Bo is to finish what a review agreed on, due 2026-03-01: Rotate yearly", "")
    assert "Something" not in told(drill(), SIGNED, actions=(later,))[0]


def test_then_a_drill_that_is_old_and_then_one_that_nobody_scheduled() -> None:
    """A year; and both scheduled leaves what no scenario practises."""
    assert told(drill(days=400), SIGNED)[0] == "Run kms-credential-leak again: the last drill of it is over a year old."
    sentence, command = told(drill(), SIGNED)
    assert sentence.startswith("Schedule kms-credential-leak")
    assert command == "keyquell drill schedule kms-credential-leak --cron '0 6 * * 1'"
    both = ("kms-credential-leak", "signing-key-leak")
    assert told(drill(), SIGNED, scheduled=both)[0].startswith("Nothing:")


def test_an_exercise_without_a_score_leaves_the_drill_to_be_run() -> None:
    """A tabletop proves nothing of the machines."""
    sentence, command = told(drill(passed=None), SIGNED)
    assert sentence.startswith("Run kms-credential-leak: no exercise of it was scored")
    assert command == "keyquell drill run kms-credential-leak"


def test_a_class_that_no_scenario_practises_is_named_last() -> None:
    """There is nothing to run; somebody has to write one."""
    found = key_classes(ESTATE, catalog(), [SIGNED], OFFERS[1:])
    sentence = what_next(found, [], ["signing-key-leak"], now=NOW).sentence
    assert sentence == "Write a scenario of your own: none practises 1 of 2 classes of keys."


def test_an_empty_estate_asks_for_an_inventory() -> None:
    """Nothing is ready that nobody knows of."""
    assert what_next([], [], [], now=NOW).command == "keyquell inventory import FILE"
