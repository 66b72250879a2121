"""A plan while it is drafted: steps without numbers, joined when two exposures ask for the same move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from pydantic import JsonValue

from playbooks.estate import Estate
from playbooks.estate_lookup import Lookup
from playbooks.exposures import Exposure
from playbooks.keys import Capability, KeyFacts
from playbooks.plans import Action, Gate, Phase, Reversibility, Step
from playbooks.playbook import Playbook
from playbooks.refs import KeyRef

_ORDER = {phase: number for number, phase in enumerate(Phase)}


class Mark(NamedTuple):
    """Names a drafted step: no plan makes the same move on the same target twice."""

    action: Action
    target: str


@dataclass(frozen=True, slots=True)
class Output:
    """An input that is the output of an earlier step."""

    of: Mark
    name: str


Input = JsonValue | Output


@dataclass(frozen=True, slots=True)
class Draft:
    """A step before it has an id; ``needs`` are marks."""

    phase: Phase
    action: Action
    target: str
    why: str
    inputs: Mapping[str, Input] = field(default_factory=dict)
    reversibility: Reversibility = Reversibility.REVERSIBLE
    window_ends: datetime | None = None
    undo: Action | None = None
    price: str = ""
    needs: tuple[Mark, ...] = ()
    unavailable: str = ""
    early: bool = False
    """Runs right after containment, whatever its phase."""

    @property
    def rank(self) -> float:
        """Its place in the plan: by phase, or between containment and renewal."""
        return 0.5 if self.early else _ORDER[self.phase]


class Drafting:
    """Collects the steps of one incident; strategies read ``estate``, ``lookup`` and ``facts`` and call ``add``."""

    def __init__(
        self,
        *,
        estate: Estate,
        facts: Mapping[KeyRef, KeyFacts],
        playbook: Playbook,
        exposures: tuple[Exposure, ...],
    ) -> None:
        self.estate = estate
        self.lookup = Lookup.of(estate)
        self.facts = facts
        self.playbook = playbook
        self.exposures = exposures
        self.confidence = max((exposure.confidence for exposure in exposures), default=0.0)
        self.unknowns: list[str] = []
        self.residual: list[str] = []
        self._drafts: dict[Mark, Draft] = {}

    def add(self, draft: Draft) -> Mark:
        """Draft a step, or join its needs to the same move drafted before; returns its mark.

        Of two wishes for one move the earlier phase holds.
        A step whose input comes from an unavailable step is unavailable for the same reason.
        """
        mark = Mark(draft.action, draft.target)
        known = self._drafts.get(mark)
        if known is not None:
            if draft.rank < known.rank:
                known = replace(known, phase=draft.phase, early=draft.early)
            self._drafts[mark] = known
            needs = dict.fromkeys((*known.needs, *draft.needs))
            self._drafts[mark] = replace(known, needs=tuple(need for need in needs if self._precedes(need, mark)))
            return mark
        reason = draft.unavailable or self._missing_output(draft)
        self._drafts[mark] = replace(draft, unavailable=reason, undo=None if reason else draft.undo)
        return mark

    def has(self, mark: Mark) -> bool:
        """Is this move drafted and possible?"""
        return mark in self._drafts and not self._drafts[mark].unavailable

    def asked_for(self, mark: Mark) -> bool:
        """Is this move drafted, possible or not?"""
        return mark in self._drafts

    def drafted(self, action: Action) -> list[Mark]:
        """The possible moves of one kind, in the order in which they were drafted."""
        return [mark for mark in self._drafts if mark.action is action and self.has(mark)]

    def cannot(self, key: KeyRef, capability: Capability) -> str:
        """Why the backend cannot make this move on the key; empty when it can or when nothing is known of the key."""
        facts = self.facts.get(key)
        if facts is None or facts.can(capability):
            return ""
        return facts.unavailable.get(capability, f"{key.scheme} permits no {capability.value} on this key")

    def steps(self) -> tuple[Step, ...]:
        """Number the drafts within their phases, in order, and resolve marks to ids."""
        ordered = sorted(self._drafts.items(), key=lambda item: item[1].rank)
        ids: dict[Mark, str] = {}
        counts: dict[Phase, int] = {}
        for mark, draft in ordered:
            counts[draft.phase] = counts.get(draft.phase, 0) + 1
            ids[mark] = f"{draft.phase.value}.{counts[draft.phase]}-{draft.action.value}"
        return tuple(self._step(draft, ids[mark], ids) for mark, draft in ordered)

    def _step(self, draft: Draft, step_id: str, ids: Mapping[Mark, str]) -> Step:
        outputs = [value.of for value in draft.inputs.values() if isinstance(value, Output)]
        return Step(
            id=step_id,
            phase=draft.phase,
            action=draft.action,
            target=draft.target,
            inputs={
                name: f"step:{ids[value.of]}#{value.name}" if isinstance(value, Output) else value
                for name, value in draft.inputs.items()
            },
            reversibility=draft.reversibility,
            window_ends=draft.window_ends,
            gate=self._gate(draft),
            undo=draft.undo,
            price=draft.price,
            why=draft.why,
            needs=tuple(ids[mark] for mark in self._possible((*outputs, *draft.needs))),
            unavailable=draft.unavailable,
        )

    def _gate(self, draft: Draft) -> Gate:
        if draft.reversibility is Reversibility.IRREVERSIBLE or draft.phase is Phase.RETIRE:
            return Gate.TWO_PERSON
        gate = self.playbook.gates.of(draft.phase)
        if draft.phase is Phase.CONTAIN and self.confidence < self.playbook.containment.confidence:
            return max(gate, Gate.ONE_PERSON, key=lambda each: each.people)
        return gate

    def _possible(self, needs: Iterable[Mark]) -> list[Mark]:
        """Needs without repetition; a step that never runs is waited for by nobody."""
        return [mark for mark in dict.fromkeys(needs) if self.has(mark)]

    def _missing_output(self, draft: Draft) -> str:
        for value in draft.inputs.values():
            if isinstance(value, Output) and not self.has(value.of):
                known = self._drafts.get(value.of)
                reason = known.unavailable if known else "it is not planned"
                return f"it needs the result of {value.of.action.value}, which is not possible: {reason}"
        return ""

    def _precedes(self, need: Mark, mark: Mark) -> bool:
        """Would the need stand before the step?  A need drafted later in the same phase would be a circle."""
        order = list(self._drafts)
        first, second = self._drafts.get(need), self._drafts[mark]
        if first is None:
            return False
        if first.rank != second.rank:
            return first.rank < second.rank
        return order.index(need) < order.index(mark)
