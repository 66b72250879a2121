"""Findings of one thing strengthen one another within the window, each source once; never beyond, never down."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cases import KMS, NOW, Case, facts_of
from hypothesis import given
from hypothesis import strategies as st

from playbooks.correlation import combined_confidence, concurring, joins, opened, repeats, strengthened
from playbooks.exposures import Exposure, ExposureKind, Fingerprint, Interval, Signal
from playbooks.matching import match
from playbooks.plans import Gate, Phase
from playbooks.playbook import catalog, choose

CREDENTIAL = "aws-iam:prod/svc-app/AKIAEXAMPLE1"
HOUR = timedelta(hours=1)


def signal(
    source: str = "scanner",
    confidence: float = 0.5,
    *,
    minutes: float = 0,
    number: str = "1",
    kind: ExposureKind = ExposureKind.CREDENTIAL,
    access_key: str = "AKIAEXAMPLE1",
) -> Signal:
    """A finding of the app's access key, so many minutes after the first."""
    fingerprints = (Fingerprint(kind="access-key-id", value=access_key),)
    if kind is not ExposureKind.CREDENTIAL:
        fingerprints = (Fingerprint(kind="key-uri", value="aws-kms:prod/k1"),)
    return Signal(
        source=source,
        external_id=number,
        kind=kind,
        fingerprints=fingerprints,
        summary="seen",
        observed_at=NOW + timedelta(minutes=minutes),
        confidence=confidence,
    )


def exposure_of(finding: Signal) -> Exposure:
    """What the finding is matched to."""
    [found] = match(finding, KMS)
    return found


def raised(earlier: list[Signal], latest: Signal, known: Exposure | None = None) -> Exposure:
    """The exposure of the first finding after all earlier ones and the latest."""
    known = known or exposure_of(earlier[0])
    return strengthened(known, exposure_of(latest), latest, earlier, KMS, within=HOUR)


@pytest.mark.parametrize(
    ("findings", "expected"),
    [
        ([], 0.0),
        ([("a", 0.5)], 0.5),
        ([("a", 0.5), ("b", 0.6)], 0.8),
        ([("a", 0.5), ("a", 0.5), ("a", 0.4)], 0.5),
        ([("a", 0.5), ("a", 0.7), ("b", 0.5)], 0.85),
        ([("a", 1.0), ("b", 0.1)], 1.0),
    ],
)
def test_sources_are_independent_and_count_once(findings: list[tuple[str, float]], expected: float) -> None:
    """1 - Π(1 - c), each source at its maximum: a noisy detector does not convince by repeating itself."""
    assert combined_confidence(signal(source, value) for source, value in findings) == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.floats(0, 1)), max_size=8))
def test_more_findings_never_make_us_less_sure(findings: list[tuple[str, float]]) -> None:
    """At least the surest of them, at most certain, in whatever order."""
    signals = [signal(source, value) for source, value in findings]
    combined = combined_confidence(signals)
    assert max((each.confidence for each in signals), default=0.0) - 1e-6 <= combined <= 1
    assert combined == pytest.approx(combined_confidence(reversed(signals)))


def test_a_second_source_within_the_window_raises_the_confidence_and_is_named() -> None:
    """Both are evidence of the exposure as it now is."""
    stronger = raised([signal("scanner", 0.5)], signal("trail", 0.6, minutes=59))
    assert stronger.confidence == pytest.approx(0.8)
    assert stronger.evidence == ("scanner:1", "trail:1")


def test_a_second_source_outside_the_window_is_no_echo() -> None:
    """It stands for itself: the confidence is the greater of both."""
    assert raised([signal("scanner", 0.5)], signal("trail", 0.6, minutes=61)).confidence == 0.6
    weaker = raised([signal("scanner", 0.5)], signal("trail", 0.4, minutes=61))
    assert weaker == exposure_of(signal("scanner", 0.5))


def test_the_same_source_again_changes_nothing() -> None:
    """Not the confidence, not the evidence: the value is the same, so that nothing is written."""
    known = exposure_of(signal("scanner", 0.5))
    assert raised([signal("scanner", 0.5)], signal("scanner", 0.5, minutes=1, number="2")) == known


def test_of_a_noisy_source_the_surest_finding_of_the_thing_counts() -> None:
    """Its surer findings of other things, and those outside the window, do not."""
    earlier = [
        signal("scanner", 0.3),
        signal("scanner", 0.5, minutes=2, number="2"),
        signal("scanner", 0.9, minutes=2, number="3", access_key="AKIASOMEBODYELSE"),
        signal("scanner", 0.9, minutes=-80, number="4"),
    ]
    latest = signal("trail", 0.5, minutes=10)
    others = concurring(exposure_of(latest), latest, earlier, KMS, within=HOUR)
    assert [each.external_id for each in others] == ["2"]
    assert raised(earlier, latest).confidence == pytest.approx(0.75)


def test_another_kind_of_exposure_is_another_thing() -> None:
    """That a key is used too much says nothing of who holds the access key."""
    odd = signal("usage", 0.5, kind=ExposureKind.POLICY)
    assert raised([odd, signal("scanner", 0.5)], signal("trail", 0.5), exposure_of(signal())).confidence == 0.75
    assert concurring(exposure_of(signal()), signal("trail"), [odd], KMS, within=HOUR) == ()


def test_what_a_person_declared_stays_certain() -> None:
    """Confidence never falls, and what the finding adds is the way out and an earlier bound."""
    declared = Exposure(
        kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=1.0,
        occurred=Interval(not_before=NOW - timedelta(days=2)),
    )  # fmt: skip
    joined = raised([], signal("scanner", 0.5), declared)
    assert joined.confidence == 1.0
    assert joined.occurred == Interval(not_before=NOW - timedelta(days=2), not_after=NOW)
    early = signal("scanner").model_copy(update={"first_seen": NOW - timedelta(days=5)})
    assert raised([], early, declared).occurred == Interval(not_before=None, not_after=NOW - timedelta(days=5))


def test_whatever_its_time_a_finding_joins_the_case_of_its_target() -> None:
    """The window is about confidence alone."""
    late = signal("trail", minutes=60 * 24 * 30)
    exposures = [exposure_of(signal())]
    assert joins(late, signals=[], exposures=exposures, found=match(late, KMS))
    other = signal("trail", access_key="AKIASOMEBODYELSE")
    assert not joins(other, signals=[signal()], exposures=exposures, found=match(other, KMS))


def test_a_repetition_is_told_from_news() -> None:
    """Reading it again is none; a word that differs is."""
    assert repeats(signal(minutes=50), signal())
    assert not repeats(signal().model_copy(update={"summary": "seen 9 times"}), signal())


EXPOSURE = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=0.5)
FACTS = {entry.ref: facts_of(entry.ref) for entry in KMS.keys}
PLAYBOOK = choose(catalog(), [EXPOSURE])


def planned(confidence: float) -> Any:
    """The planner's own plan at this confidence."""
    exposure = EXPOSURE.model_copy(update={"confidence": confidence})
    return Case(KMS, (exposure,), FACTS).plan()


def test_the_opened_plan_is_the_one_that_the_planner_would_have_made() -> None:
    """Step for step, digest for digest."""
    unsure, sure = planned(0.5), planned(0.8)
    assert {step.gate for step in unsure.in_phase(Phase.CONTAIN)} == {Gate.ONE_PERSON}
    assert unsure.digest != sure.digest
    certain = EXPOSURE.model_copy(update={"confidence": 0.8})
    assert opened(unsure, PLAYBOOK, [certain]).digest == sure.digest


def test_below_the_playbook_s_confidence_nothing_opens() -> None:
    """The same value, so that nothing is written."""
    plan = planned(0.5)
    almost = EXPOSURE.model_copy(update={"confidence": 0.79})
    assert opened(plan, PLAYBOOK, [almost]) is plan


def test_a_playbook_that_changed_since_opens_nothing() -> None:
    """What the team decided for this plan holds."""
    plan = planned(0.5)
    newer = PLAYBOOK.model_copy(update={"version": PLAYBOOK.version + 1})
    certain = EXPOSURE.model_copy(update={"confidence": 1.0})
    assert opened(plan, newer, [certain]) is plan


def test_gates_that_the_team_chose_stay() -> None:
    """Confidence opens no gate further than the playbook does, and none outside containment."""
    gates = PLAYBOOK.gates.model_copy(update={"contain": Gate.TWO_PERSON})
    careful = PLAYBOOK.model_copy(update={"gates": gates})
    certain = EXPOSURE.model_copy(update={"confidence": 1.0})
    plan = planned(0.5)
    assert opened(plan, careful, [certain]) is plan
    after = opened(plan, PLAYBOOK, [certain])
    rest = [(step.id, step.gate) for step in plan.steps if step.phase is not Phase.CONTAIN]
    assert [(step.id, step.gate) for step in after.steps if step.phase is not Phase.CONTAIN] == rest
