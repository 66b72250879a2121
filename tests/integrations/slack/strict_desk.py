"""A desk that keeps its promises without a record behind it: it knows people, one estate, and what it was asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from integrations.findings import recognise
from playbooks.card import Card
from playbooks.codenames import codename
from playbooks.desk import Actor, Report, StepUp, Target
from playbooks.errors import InvalidInput, NotApproved
from playbooks.exposures import Exposure
from playbooks.plans import Plan

KEY = "aws-kms:main/arn:aws:kms:eu-central-1:111122223333:key/7e8d1ad9-5d45-4f3e-9f20-0d0f35a3f0a1"
CREDENTIAL = "aws-iam:main/user/shop/AKIAIOSFODNN7EXAMPLE"
LONG = "pkcs11:token=vault;object=" + "a-very-long-name-" * 12
TARGETS = (
    Target(uri=KEY, label="payments", kind="key", owner="shop"),
    Target(uri=CREDENTIAL, label="payments-service", kind="credential", owner="shop"),
    Target(uri=LONG, label="archive signing", kind="key", owner="archive"),
    Target(uri="files:main/orders", label="orders", kind="dataset", owner="shop"),
)
DIGEST = "d" * 64
LINK = "https://keyquell.example.com/approve/one-time-token"


@dataclass
class StrictDesk:
    """``people`` may do everything; anybody else is refused.  ``slow_seconds`` delays every answer.

    ``asked`` are the calls in order: method, account, what it was about.
    """

    people: set[str]
    slow_seconds: float = 0.0
    step_up: bool = True
    digest: str = DIGEST
    plan_text: str = "plan dddddddddddd\n  - the key is turned off [two people]"
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    declared: list[tuple[Sequence[Exposure], str, str, str]] = field(default_factory=list)
    surfaces: dict[str, str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    trouble: Exception | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _by_origin: dict[str, str] = field(default_factory=dict)

    def declare(
        self, actor: Actor, exposures: Sequence[Exposure], *, severity: str, note: str = "", origin: str = ""
    ) -> str:
        self._admit("declare", actor, origin)
        for each in exposures:
            if each.target not in {one.uri for one in TARGETS}:
                raise InvalidInput(f"{each.target!r} is not in the estate.")
        with self._lock:
            if origin in self._by_origin:
                return self._by_origin[origin]
            incident = f"KQ-20261123-{len(self.declared):04d}"
            self.declared.append((tuple(exposures), severity, note, origin))
            self._by_origin[origin] = incident
            return incident

    def targets(self, actor: Actor, text: str, *, limit: int = 100) -> list[Target]:
        self._admit("targets", actor, text)
        return [each for each in TARGETS if text.lower() in f"{each.label} {each.uri}".lower()][:limit]

    def recognise(self, actor: Actor, text: str) -> Report:
        self._admit("recognise", actor, "")
        self.texts.append(text)
        found = [each for each in recognise(text, key=bytes(32)) if any("AKIA" in one.value for one in each[1])]
        exposures = [Exposure(kind=kind, target=CREDENTIAL, confidence=0.9) for kind, _ in found]
        return Report(exposures, "One access key is in it." if exposures else "Nothing in it is known here.")

    def contain(self, actor: Actor, incident: str) -> None:
        self._about("contain", actor, incident)

    def approve(self, actor: Actor, incident: str, *, digest: str, code: str = "") -> StepUp | None:
        self._about("approve", actor, incident)
        self._current(digest)
        return self._link()

    def deny(self, actor: Actor, incident: str, *, digest: str, reason: str) -> None:
        self._about("deny", actor, f"{incident} {reason}")
        self._current(digest)

    def undo(self, actor: Actor, incident: str, *, code: str = "") -> StepUp | None:
        self._about("undo", actor, incident)
        return self._link()

    def stand_down(self, actor: Actor, incident: str, *, outcome: str, code: str = "") -> StepUp | None:
        self._about("stand-down", actor, f"{incident} {outcome}")
        return self._link()

    def acknowledge(self, actor: Actor, incident: str) -> None:
        self._about("acknowledge", actor, incident)

    def incidents(self, actor: Actor) -> list[Card]:
        self._admit("incidents", actor, "")
        return [self._card(incident) for incident in self._by_origin.values()]

    def card(self, actor: Actor, incident: str) -> Card:
        self._about("card", actor, incident)
        return self._card(self._id(incident))

    def plan(self, actor: Actor, incident: str) -> Plan:
        raise InvalidInput("there is no plan here")

    def who(self, actor: Actor, incident: str) -> Sequence[str]:
        self._about("who", actor, incident)
        return ["Ann responds.", "Two people who may approve have not answered <yet>."]

    def export(self, actor: Actor, incident: str) -> tuple[str, bytes]:
        self._about("export", actor, incident)
        return f"{self._id(incident)}.json", b'{"events": []}'

    def review_message(
        self, actor: Actor, incident: str, message: str, *, release: bool, edited: Mapping[str, str] | None = None
    ) -> None:
        self._about("review_message", actor, incident)

    def incident_of(self, actor: Actor, surface_id: str) -> str | None:
        self._admit("incident_of", actor, surface_id)
        return self.surfaces.get(surface_id)

    def calls(self, method: str) -> list[tuple[str, str, str]]:
        """The calls of one method."""
        return [each for each in self.asked if each[0] == method]

    def opened(self) -> str:
        """An incident for a test to act on."""
        actor = Actor(account=sorted(self.people)[0], via="slack")
        exposure = Exposure(kind="credential", target=CREDENTIAL, confidence=1.0)
        return self.declare(actor, [exposure], severity="high", origin=f"test:{len(self.declared)}")

    def _link(self) -> StepUp | None:
        return StepUp(LINK, datetime.now(UTC) + timedelta(minutes=5)) if self.step_up else None

    def _about(self, method: str, actor: Actor, about: str) -> None:
        self._admit(method, actor, about)
        self._id(about.split(" ")[0])

    def _id(self, incident: str) -> str:
        for each in self._by_origin.values():
            if incident in (each, codename(each)):
                return each
        raise InvalidInput(f"there is no incident {incident!r}.")

    def _admit(self, method: str, actor: Actor, about: str) -> None:
        assert actor.via == "slack"
        time.sleep(self.slow_seconds)
        self.asked.append((method, actor.account, about))
        if self.trouble is not None:
            raise self.trouble
        if actor.account not in self.people:
            raise NotApproved("nobody in the roster is meant.", hint="Ask for the role in the roster.")

    def _current(self, digest: str) -> None:
        if digest != self.digest:
            raise InvalidInput("the plan has changed since you saw it.", hint="Look at it again.")

    def _card(self, incident: str) -> Card:
        return replace(_CARD, id=incident, codename=codename(incident), digest=self.digest, plan=self.plan_text)


_CARD = Card(
    id="",
    codename="",
    exercise=False,
    severity="high",
    phase="contain",
    tone="burning",
    opened_at=datetime(2026, 11, 23, tzinfo=UTC),
    acknowledged_by="",
    burning="A credential may be used by somebody else.",
    blast_radius="1 key, 2 datasets",
    proven=(),
    not_proven=("containment",),
    last_use="",
    deadlines=(),
    approvals="nobody agreed yet; two people are missing",
    census=(),
    warnings=(),
    next_action="Approve the plan.",
    digest="",
    plan="",
    buttons=("contain", "approve", "deny", "undo", "stand-down", "acknowledge"),
)
