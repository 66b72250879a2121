"""Whose yes counts for which step, by the roster as it stands now; asked again right before a step runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from playbooks.plans import Phase, Reversibility, Step
from playbooks.roster import Circumstances, Role, Roster, doubt, objection

STRONG = frozenset({"webauthn", "break-glass"})
"""Ways of approving that a stolen chat account or password alone cannot give."""


class Yes(Protocol):
    """An approval as far as its weight goes."""

    @property
    def approver(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def at(self) -> datetime: ...
    @property
    def passkey_enrolled_at(self) -> datetime | None: ...
    @property
    def credential(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Authority:
    """The roster, and the time at which it is asked.

    Without a roster (``None``) names count as they are given, on the command line alone: that suits one person's
    trial and the labs of drills, and ``keyquell doctor`` says so.  ``broken`` is why the roster could not be read: then
    nobody counts.  ``removed`` are the ids of passkeys that were taken away: what they approved counts no more.
    """

    roster: Roster | None
    at: datetime
    broken: str = ""
    removed: frozenset[str] = frozenset()

    def objection(self, approval: Yes, step: Step) -> str:
        """Why this approval does not count for the step; "" when it does."""
        if self.broken:
            return f"the roster cannot be read: {self.broken}"
        if self.roster is None:
            return ""
        if needs_step_up(step) and approval.method not in STRONG:
            return f"{approval.approver} agreed without a passkey, which {step.id} needs"
        if approval.credential and approval.credential in self.removed:
            return f"the passkey with which {approval.approver} agreed was removed"
        person = self.roster.person(approval.approver)
        why = objection(person, (role_for(step),), self.at)
        if why or person is None:
            return why
        circumstances = Circumstances(
            at=approval.at,
            via="break-glass" if approval.method == "break-glass" else approval.method,
            passkey_enrolled_at=approval.passkey_enrolled_at,
        )
        return doubt(person, self.roster.rules, circumstances)


EVERYBODY = Authority(roster=None, at=datetime.min.replace(tzinfo=UTC))
"""Names count as given."""


def needs_step_up(step: Step) -> bool:
    """Must an approval of this step come with a passkey?  What cannot be taken back, and what two people decide."""
    return step.reversibility is not Reversibility.REVERSIBLE or step.gate.people > 1


def role_for(step: Step) -> Role:
    """The role whose holders may approve the step."""
    return Role.RETIRE if step.phase is Phase.RETIRE else Role.APPROVE
