"""Which findings are about one thing, how sure they make us together, and what that opens.

Findings are about one thing when the estate matches them to the same target with the same kind of exposure.  Those
within a window of the newest one (``policy.correlation_minutes``, by when they were observed) strengthen one another:
the combined confidence is 1 - Π(1 - c) over the sources, each source counted once at its surest.  That treats detectors
as independent, so two detectors that read the same trail should have the same name, or a modest confidence.

A finding outside the window joins an open incident all the same when its target is already in it, but what it says is
no echo of the earlier ones: it raises the confidence to its own at most.  Confidence never falls, and the evidence of
an exposure names the findings that made it what it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from math import prod

from playbooks.estate import Estate
from playbooks.exposures import Exposure, Interval, Signal
from playbooks.matching import evidence_of, match, same_case
from playbooks.plans import Phase, Plan, Reversibility
from playbooks.playbook import Playbook

_DIGITS = 6


def joins(
    signal: Signal, *, signals: Iterable[Signal], exposures: Iterable[Exposure], found: Iterable[Exposure]
) -> bool:
    """Does the finding belong to the open incident with these signals and exposures?  Time plays no part.

    ``found`` is what the finding was matched to.
    """
    return holds(signals, signal) or same_case(signal, exposures, found=found)


def holds(signals: Iterable[Signal], signal: Signal) -> bool:
    """Is this very finding (same source and external id) among the signals?"""
    return any(evidence_of(each) == evidence_of(signal) for each in signals)


def repeats(signal: Signal, earlier: Signal) -> bool:
    """Does the finding say nothing that the earlier one did not say, but for when it was read?"""
    return signal.model_copy(update={"observed_at": earlier.observed_at}) == earlier


def combined_confidence(signals: Iterable[Signal]) -> float:
    """1 - Π(1 - c) over the sources, each at its maximum; 0 for none."""
    surest: dict[str, float] = {}
    for each in signals:
        surest[each.source] = max(surest.get(each.source, 0.0), each.confidence)
    return round(1 - prod(1 - confidence for confidence in surest.values()), _DIGITS)


def concurring(
    exposure: Exposure, signal: Signal, earlier: Iterable[Signal], estate: Estate, *, within: timedelta
) -> tuple[Signal, ...]:
    """Each other source's surest earlier finding of the same thing, observed within the window of ``signal``."""
    candidates = [
        each
        for each in earlier
        if each.source != signal.source
        and each.kind is exposure.kind
        and abs(each.observed_at - signal.observed_at) <= within
    ]
    found: dict[str, Signal] = {}
    for each in sorted(candidates, key=lambda one: (-one.confidence, one.external_id)):
        if each.source not in found and any(same_thing(exposure, one) for one in match(each, estate)):
            found[each.source] = each
    return tuple(found[source] for source in sorted(found))


def same_thing(one: Exposure, other: Exposure) -> bool:
    """Do both say that the same kind of thing happened to the same target?"""
    return (one.kind, one.target) == (other.kind, other.target)


def strengthened(
    known: Exposure, found: Exposure, signal: Signal, earlier: Iterable[Signal], estate: Estate, *, within: timedelta
) -> Exposure:
    """The known exposure with what a further finding of the same thing adds; the same value when that is nothing.

    ``found`` is what ``signal`` was matched to, ``earlier`` the incident's signals so far.
    """
    others = concurring(known, signal, earlier, estate, within=within)
    confidence = max(known.confidence, found.confidence, combined_confidence((signal, *others)))
    more = known.model_copy(
        update={
            "confidence": confidence,
            "occurred": _narrowed(known.occurred, found.occurred),
            "via": known.via or found.via,
        }
    )
    if more == known:
        return known
    evidence = (*known.evidence, *(evidence_of(each) for each in others), *found.evidence)
    return more.model_copy(update={"evidence": tuple(dict.fromkeys(evidence))})


def opened(plan: Plan, playbook: Playbook, exposures: Iterable[Exposure]) -> Plan:
    """The plan with the containing gates that the confidence allows by now; the same value when nothing opens.

    Only gates change, as the planner would have set them: every step keeps its number, so that a plan that has begun
    may be opened too.
    """
    sure = max((each.confidence for each in exposures), default=0.0) >= playbook.containment.confidence
    if not sure or (plan.playbook, plan.playbook_version) != (playbook.name, playbook.version):
        return plan
    gate = playbook.gates.contain
    steps = tuple(
        step.model_copy(update={"gate": gate})
        if step.phase is Phase.CONTAIN
        and step.reversibility is not Reversibility.IRREVERSIBLE
        and step.gate.people > gate.people
        else step
        for step in plan.steps
    )
    return plan if steps == plan.steps else plan.model_copy(update={"steps": steps})


def _narrowed(known: Interval, found: Interval) -> Interval:
    """First evidence bounds the occurrence from above; a last known good that it contradicts is given up."""
    not_after = min((each for each in (known.not_after, found.not_after) if each is not None), default=None)
    not_before = known.not_before
    if not_before is not None and not_after is not None and not_before > not_after:
        not_before = None
    return Interval(not_before=not_before, not_after=not_after)
