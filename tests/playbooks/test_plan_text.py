"""A plan is read in ten seconds."""

from __future__ import annotations

import pytest
from cases import CASES, Case, facts_of

from playbooks.estate import Estate
from playbooks.exposures import Exposure, ExposureKind
from playbooks.keys import Capability
from playbooks.plan_text import MAX_LINES, compare, plan_diff


def big() -> Case:
    """One credential over forty keys, each with data."""
    keys = [f"aws-kms:prod/k{number}" for number in range(40)]
    estate = Estate.model_validate({
        "keys": [{"ref": key} for key in keys],
        "datasets": [{"ref": f"files:docs/d{n}", "key": key, "envelope": "esdk"} for n, key in enumerate(keys)],
        "credentials": [{"ref": "aws-iam:prod/u/AKIA1", "consumer": "app", "may_use": keys}],
        "consumers": [{"name": "app", "uses": keys}],
    })  # fmt: skip
    exposure = Exposure(kind=ExposureKind.CREDENTIAL, target="aws-iam:prod/u/AKIA1", confidence=1)
    return Case(estate, (exposure,), {entry.ref: facts_of(entry.ref) for entry in estate.keys})


@pytest.mark.parametrize("name", [*sorted(CASES), "big"])
def test_a_plan_fits_a_screen_and_names_every_phase(name: str) -> None:
    """At most 40 lines, however large the plan; no phase is left out."""
    case = CASES[name]() if name in CASES else big()
    plan = case.plan()
    lines = plan_diff(plan, case.facts).splitlines()
    assert len(lines) <= MAX_LINES
    assert plan.digest[:12] in lines[0]
    assert {step.phase.value for step in plan.steps} <= set(lines)


def test_the_marks_say_what_stops_what_comes_what_cannot_be_and_who_must_agree() -> None:
    """A reader sees the price before agreeing."""
    case = CASES["transit-key-exported"]()
    text = plan_diff(case.plan(), case.facts)
    assert "- openbao-token:vault/acc1 stops working (orders cannot log in" in text
    assert "+ postgres:shop/public.orders.card: encrypted in full" in text
    assert "! not possible: openbao:vault/transit/orders gets new material in place" in text
    assert "[two people]" in text
    assert "! stays exposed: " in text


def test_a_window_is_marked() -> None:
    """What can be taken back for a while is neither reversible nor final."""
    case = CASES["kms-credential-leak"]()
    assert "  ~ aws-kms:prod/k1 is deleted after 30 days" in plan_diff(case.plan(), case.facts)


def test_equal_plans_do_not_differ() -> None:
    """Nothing to say, nothing said."""
    assert compare(CASES["hsm-pin-leak"]().plan(), CASES["hsm-pin-leak"]().plan()) == ""


def test_a_comparison_says_what_is_new_what_is_gone_and_what_became_impossible() -> None:
    """An approver sees why an earlier yes no longer counts."""
    case = CASES["kms-credential-leak"]()
    without = {key: facts_of(key, without=frozenset({Capability.QUARANTINE})) for key in case.facts}
    text = compare(case.plan(), Case(case.estate, case.exposures, without).plan())
    assert "+ now also: aws-kms:prod/k1 is turned off" in text
    assert "not possible any more: no quarantine here" in text
    back = compare(Case(case.estate, case.exposures, without).plan(), case.plan())
    assert "- no longer: aws-kms:prod/k1 is turned off" in back
