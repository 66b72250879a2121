"""What every effect is given, what it gives back, and how something is proven by repeated probes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import JsonValue

from flows.urgency import after_the_urgent
from flows.wiring import Wiring
from playbooks.errors import InvalidInput
from playbooks.incident import Incident
from playbooks.plans import Action, Step
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CertificateRef, CredentialRef, DatasetRef, KeyRef


@dataclass(frozen=True, slots=True)
class StepContext:
    """One step about to run, with its inputs resolved from the outputs of earlier steps.

    An effect may call ``accepted`` once its backend has taken the move: what only has to come after the move, not after
    its proof, starts then.
    """

    wiring: Wiring
    incident: Incident
    step: Step
    inputs: dict[str, Any]
    accepted: Callable[[], None] = lambda: None

    @property
    def marker(self) -> str:
        """Identifies this step to backends, so that doing it twice is doing it once."""
        return f"{self.incident.id}-{self.step.id.replace('.', '-')}".lower()

    def key(self, name: str = "") -> KeyRef:
        """The target, or the input of this name, as a key."""
        return KeyRef.parse(self.text(name) if name else self.step.target)

    def credential(self) -> CredentialRef:
        """The target as a credential."""
        return CredentialRef.parse(self.step.target)

    def dataset(self) -> DatasetRef:
        """The target as a dataset."""
        return DatasetRef.parse(self.step.target)

    def certificate(self) -> CertificateRef:
        """The target as a certificate."""
        return CertificateRef.parse(self.step.target)

    def text(self, name: str, default: str | None = None) -> str:
        """An input that must be a string.  Raises InvalidInput naming the step and the input."""
        value = self.inputs.get(name, default)
        if not isinstance(value, str):
            raise InvalidInput(f"step {self.step.id} lacks the input {name!r}.", hint="Make the plan again.")
        return value

    def texts(self, name: str) -> list[str]:
        """An input that is a list of strings; absent means empty."""
        value = self.inputs.get(name) or []
        return [str(each) for each in value]


@dataclass(frozen=True, slots=True)
class StepResult:
    """What an effect achieved: ``proven`` by probes, ``done`` where no probe applies, or ``not-proven``."""

    outcome: Literal["proven", "done", "not-proven"]
    receipt: Receipt | None = None
    probes: Sequence[ProbeResult] = ()
    outputs: dict[str, JsonValue] = field(default_factory=dict)
    detail: str = ""


Effect = Callable[[StepContext], StepResult]


@dataclass(frozen=True, slots=True)
class Proof:
    """The probes that were made, and whether the last run of them showed what it had to."""

    holds: bool
    probes: list[ProbeResult]

    def settle(self, receipt: Receipt | None, *, detail: str = "", **outputs: JsonValue) -> StepResult:
        """Turn into a result; the receipt gets its third time only here."""
        if receipt is not None and self.holds:
            receipt = receipt.model_copy(update={"proven_at": self.probes[-1].at})
        told = detail if self.holds else f"{detail} {self._why_not()}".strip()
        return StepResult("proven" if self.holds else "not-proven", receipt, self.probes, dict(outputs), told)

    def _why_not(self) -> str:
        last = self.probes[-1]
        if last.outcome is Outcome.INCONCLUSIVE:
            return f"Nothing is shown: the last try of {last.operation} got no usable answer ({last.code or 'none'})."
        return f"The last try of {last.operation} {last.outcome.value}; it had to be {last.expected}."


def prove(context: StepContext, probe: Callable[[], ProbeResult]) -> Proof:
    """Repeat a probe until it held ``probe_times`` times running over the probe window, or the deadline passed.

    Cloud services are eventually consistent: one refusal proves nothing, and one success early on is no verdict.
    An inconclusive try (timeout, throttle) starts the run anew.
    """
    policy = context.wiring.settings.policy
    deadline = time.monotonic() + policy.containment_deadline_seconds
    pause = policy.probe_window_seconds / max(1, policy.probe_times - 1)
    streak, kept = 0, list[ProbeResult]()
    context.accepted()
    while True:
        after_the_urgent()
        result = probe()
        kept = _worth_keeping([*kept, result])
        streak = streak + 1 if result.as_expected else 0
        if streak >= policy.probe_times:
            return Proof(holds=True, probes=kept)
        if time.monotonic() + pause > deadline:
            return Proof(holds=False, probes=kept)
        time.sleep(pause if result.outcome is not Outcome.INCONCLUSIVE else max(pause, 0.2))


def _worth_keeping(probes: list[ProbeResult]) -> list[ProbeResult]:
    """First of each differing answer and the last few: a long wait must not flood the record."""
    if len(probes) <= 12:
        return probes
    return [*probes[:4], *probes[-8:]]


def effect_of(action: Action) -> Effect:
    """The effect that carries out an action."""
    from flows.actions import EFFECTS

    return EFFECTS[action]
