"""People, a case and a clock for the tests of who may do what: no backend is needed to say yes or no."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from fakes.authenticator import HONEST, Lie, SoftAuthenticator

from flows import step_up
from flows.background import Background
from flows.desk import ResponseDesk
from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.desk import Actor
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Action, Gate, Phase, Plan, Reversibility, Step
from playbooks.record import GENESIS, INSTALLATION, Event, EventKind

START = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)  # a Tuesday
CASE = "KQ-TEST-1"
KEY, CREDENTIAL = "aws-kms:cloud/k1", "aws-iam:cloud/svc/AKIAEXAMPLEEXAMPLE01"

ALICE, BOB, CAROL, DAVE, ERIN, FRANK = (
    Actor(account=f"U{name}", via="slack") for name in ("ALICE", "BOB", "CAROL", "DAVE", "ERIN", "FRANK")
)
MALLORY = Actor(account="UMALLORY", via="slack")
LEAK = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=1.0)

PEOPLE: list[dict[str, Any]] = [
    {"name": "alice", "display": "Alice A.", "slack": ["UALICE"], "roles": ["declare", "contain"]},
    {"name": "bob", "slack": ["UBOB"], "pagerduty": ["PBOB"], "logins": ["bob-l"], "roles": ["approve", "retire"]},
    {"name": "carol", "slack": ["UCAROL"], "roles": ["approve", "retire", "contain"]},
    {"name": "dave", "slack": ["UDAVE"], "roles": ["audit"]},
    {"name": "erin", "slack": ["UERIN"], "roles": ["exercise"]},
    {"name": "frank", "slack": ["UFRANK"], "roles": ["approve", "contain", "declare"], "left": "2020-01-01"},
]
PEOPLE_BY_NAME = {each["name"]: each for each in PEOPLE}
ESTATE = {
    "keys": [{"ref": KEY, "owner": "platform"}],
    "credentials": [{"ref": CREDENTIAL, "consumer": "checkout", "may_use": [KEY]}],
    "consumers": [{"name": "checkout", "owner": "shop", "uses": [KEY]}],
}


def step(number: str, action: Action, gate: Gate, reversibility: Reversibility, target: str = KEY) -> Step:
    """One step; its phase stands in its number."""
    return Step(
        id=f"{number}-{action.value}",
        phase=Phase(number.partition(".")[0]),
        action=action,
        target=target,
        reversibility=reversibility,
        gate=gate,
        why="the test says so",
    )


CONTAIN = step("contain.1", Action.QUARANTINE_KEY, Gate.PRE_APPROVED, Reversibility.REVERSIBLE)
RENEW = step("renew.1", Action.CREATE_KEY, Gate.ONE_PERSON, Reversibility.REVERSIBLE)
DESTROY = step("retire.1", Action.DESTROY_KEY, Gate.TWO_PERSON, Reversibility.IRREVERSIBLE)


@dataclass
class Office:
    """A composition root on a clock that the test sets, with a roster file that the test edits."""

    root: Path
    wiring: Wiring
    now: datetime = START
    authenticators: dict[str, SoftAuthenticator] = field(default_factory=dict)

    def later(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)

    def roster(self, people: Sequence[dict[str, Any]] = (), **parts: Any) -> None:
        """Write the roster anew."""
        document = {"version": 1, "people": list(people or PEOPLE), **parts}
        beside = self.root / "roster.new"
        beside.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        beside.replace(self.root / "roster.yaml")

    def without(self, name: str, *roles: str) -> None:
        """Take roles away from a person; all of them when none is named."""
        lost = roles or tuple(PEOPLE_BY_NAME[name]["roles"])
        kept = {name: [one for one in PEOPLE_BY_NAME[name]["roles"] if one not in lost]}
        self.roster([each | {"roles": kept.get(each["name"], each["roles"])} for each in PEOPLE])

    def case(self, *steps: Step, requested_by: str = "alice", incident: str = CASE, exercise: bool = False) -> Plan:
        """Open an incident with a plan of these steps."""
        opened = {"codename": f"quiet-{incident.lower()}", "severity": "high", "exercise": exercise}
        body = body_of(EventKind.INCIDENT_OPENED, **opened, requested_by=requested_by, playbook="leaked-credential")
        self.wiring.records.append(incident, kind=EventKind.INCIDENT_OPENED, body=body, expected_head=GENESIS)
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=CREDENTIAL, confidence=1.0)
        self.write(EventKind.EXPOSURE_ADDED, incident=incident, exposure=exposure)
        return self.plan(*steps, incident=incident)

    def plan(self, *steps: Step, incident: str = CASE) -> Plan:
        """Make another plan for the incident."""
        plan = Plan(
            incident_id=incident,
            playbook="leaked-credential",
            playbook_version=1,
            exposures=(f"credential of {CREDENTIAL}",),
            steps=steps or (CONTAIN, RENEW, DESTROY),
        )
        self.write(EventKind.PLAN_MADE, incident=incident, plan=plan)
        return plan

    def write(self, kind: EventKind, *, incident: str = CASE, **fields: Any) -> Event:
        """Add an event."""
        return self.wiring.records.append_next(incident, kind=kind, body=body_of(kind, **fields))

    def enrol(self, person: str) -> SoftAuthenticator:
        """Give a person a passkey."""
        token = token_of(step_up.invite(self.wiring, person=person, by="admin").link)
        authenticator = SoftAuthenticator()
        options = step_up.invited(self.wiring, token).options
        step_up.enrol(self.wiring, token, authenticator.create(options), label="key ring")
        self.authenticators[person] = authenticator
        return authenticator

    def refusals(self, incident: str = CASE) -> list[tuple[str, str]]:
        """Who was refused for which reason, in order; with INSTALLATION, those of no incident."""
        found = self.wiring.records.of_kind(EventKind.ATTEMPT_REFUSED, incident=incident)
        return [(str(each.body["by"]), str(each.body["reason"])) for each in found]

    def refused_here(self) -> list[tuple[str, str]]:
        """The refusals that belong to no incident."""
        return self.refusals(INSTALLATION)


def token_of(link: str) -> str:
    """The secret at the end of a link."""
    return link.rpartition("/")[2]


def answer(office: Office, token: str, person: str, lie: Lie = HONEST, *, asked: bool = True) -> dict[str, Any]:
    """What the person's authenticator says to the page behind the link."""
    options = step_up.look(office.wiring, token).options
    return office.authenticators[person].get(options, lie, asked=asked)


@contextmanager
def open_office(root: Path, *, roster: bool = True, exercise: bool = False, **settings: Any) -> Iterator[Office]:
    """An office in a folder of its own."""
    root.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"state": "state", "estate": "estate.yaml", **settings}
    document |= {"roster": "roster.yaml"} if roster else {}
    document |= {"exercise": {"scenario": "fire-drill"}} if exercise else {}
    (root / "keyquell.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (root / "estate.yaml").write_text(yaml.safe_dump(ESTATE), encoding="utf-8")
    clock: list[Office] = []
    loaded = load_settings(root / "keyquell.yaml")
    with Wiring.open(loaded, clock=lambda: clock[0].now if clock else START) as wiring:
        office = Office(root, wiring)
        clock.append(office)
        if roster:
            office.roster()
        yield office


class Noted(Background):
    """Says what was started instead of doing it."""

    def __init__(self, office: Office) -> None:
        super().__init__(office.wiring)
        self.started: list[tuple[str, str]] = []

    def contain(self, incident_id: str) -> None:
        self.started.append(("contain", incident_id))

    def undo(self, incident_id: str, *, by: str) -> None:
        self.started.append((f"undo by {by}", incident_id))


def at_desk(office: Office) -> tuple[ResponseDesk, Noted]:
    """The desk of the office, and what it starts."""
    background = Noted(office)
    return ResponseDesk(office.wiring, background), background


def digest_of(office: Office, incident: str = CASE) -> str:
    """The digest of the plan at hand."""
    plan = office.wiring.incident(incident).plan
    assert plan is not None
    return plan.digest
