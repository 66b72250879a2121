"""A case to page about, and the people to call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from playbooks.card import Card
from playbooks.incident import Incident
from playbooks.roster import Person
from playbooks.surfaces import CaseView

INCIDENT = "KQ-20260301-7bqa"
KEY_NAME = "alias/payments-master"
ASHA = Person(name="asha", pagerduty=("PASHA01",))
CARLA = Person(name="carla", pagerduty=("PCARL03",))
NOBODY_THERE = Person(name="dana")


def case(*, links: Mapping[str, str] | None = None, exercise: bool = False, **changes: Any) -> CaseView:
    """A case as the boards see it; its plan names a key, its card does not."""
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    card = Card(
        id=INCIDENT,
        codename="amber-anchor",
        exercise=exercise,
        severity="critical",
        phase="contain",
        tone="burning",
        opened_at=at,
        acknowledged_by="",
        burning=changes.pop("burning", "A credential is out and was used 4 minutes ago."),
        blast_radius="1 key, 2 datasets.",
        proven=(),
        not_proven=(),
        last_use="",
        deadlines=(),
        approvals="",
        census=(),
        warnings=(),
        next_action="Cut the credential.",
        digest="d" * 64,
        plan=f"- disable {KEY_NAME}",
        buttons=("contain",),
    )
    incident = Incident(
        id=INCIDENT,
        codename="amber-anchor",
        severity=changes.pop("severity", "critical"),
        exercise=exercise,
        requested_by="scanner",
        playbook="credential",
        opened_at=at,
        head="h" * 64,
        **changes,
    )
    return CaseView(incident, (), card, (), dict(links or {}))
