"""A composition root with a roster, a case whose plan needs two people, and the web page on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes.authenticator import SoftAuthenticator
from fastapi import FastAPI

from console.web.app import create_app
from console.web.server import WebServer
from flows import step_up
from flows.background import Background
from flows.desk import ResponseDesk
from flows.settings import load_settings
from flows.wiring import Wiring
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.keys import Capability, KeyFacts, KeyState
from playbooks.planner import make_plan
from playbooks.plans import Plan
from playbooks.record import GENESIS, INSTALLATION, EventKind
from playbooks.refs import KeyRef

CASE, CODENAME = "KQ-2027-0007", "amber-heron"
KEY = "pkcs11:token=sign-hsm;object=release"
LEAKED = {"kind": "token-sha256", "value": "5e" * 32}
HOOK_SECRET = "webhook-secret-of-the-tests"
_REFERENCE = "file:./hook.secret"
SENDERS: dict[str, Any] = {
    "detectors": [
        {
            "type": "json",
            "name": "scanner",
            "auth": {"secret": _REFERENCE},
            "external_id": "id",
            "kind": "credential",
            "fingerprints": [{"kind": LEAKED["kind"], "path": "hash"}],
            "summary": "Leak {id}",
        },
        {"type": "github", "secret": _REFERENCE},
        {"type": "signature-log", "verifications": "./verified.jsonl", "ledger": "./signed.jsonl"},
        {"type": "github-partner", "keys_file": "./github-keys.json"},
    ],
    "pagers": [{"type": "pagerduty", "routing_key": _REFERENCE, "webhook_secrets": [_REFERENCE]}],
}
"""One sender of each kind of signature, and a detector that takes no webhooks."""

PEOPLE: list[dict[str, Any]] = [
    {"name": "alice", "display": "Alice Okafor", "roles": ["declare", "contain", "approve", "retire"]},
    {"name": "bob", "display": "Bob Meyer", "roles": ["approve", "retire"]},
    {"name": "carol", "display": "Carol Nguyen", "roles": ["approve", "retire"]},
]
ESTATE: dict[str, Any] = {
    "version": 1,
    "keys": [{"ref": KEY, "purpose": "sign", "owner": "release"}],
    "certificates": [
        {"ref": "openbao-pki:vault/pki/7a-2f", "key": KEY, "subject": "CN=Example Release Signing"},
    ],
    "credentials": [
        {"ref": "pkcs11-pin:sign-hsm/user", "consumer": "signer", "may_use": [KEY], "fingerprints": [LEAKED]},
    ],
    "consumers": [
        {"name": "signer", "owner": "release", "credential_file": "file:/srv/signer/pin"},
        {"name": "storefront", "owner": "web", "uses": [KEY]},
    ],
    "contacts": {"responders": "on call", "relying-parties": "web"},
}


@dataclass
class WebOffice:
    """``ahead`` is how far its clock is in front of the real one."""

    root: Path
    wiring: Wiring
    app: FastAPI
    ahead: timedelta

    @property
    def plan(self) -> Plan:
        """The current plan."""
        plan = self.wiring.incident(CASE).plan
        assert plan is not None
        return plan

    def approve_link(self, person: str, incident: str = CASE) -> str:
        """A fresh link by which the person may approve."""
        plan = self.wiring.incident(incident).plan
        assert plan is not None
        return step_up.ask(self.wiring, incident, person=person, digest=plan.digest, via="slack").link

    def deed_link(self, person: str, deed: str) -> str:
        """A fresh link by which the person may take steps back or end the case."""
        return step_up.ask(self.wiring, CASE, person=person, digest=self.plan.digest, via="slack", deed=deed).link

    def enrol_link(self, person: str) -> str:
        """A fresh invitation."""
        return step_up.invite(self.wiring, person=person, by="admin").link

    def enrol(self, person: str) -> SoftAuthenticator:
        """Give the person a passkey without a browser."""
        token = token_of(self.enrol_link(person))
        made = SoftAuthenticator(origin=self.wiring.settings.web.url)
        step_up.enrol(self.wiring, token, made.create(step_up.invited(self.wiring, token).options), label="")
        return made

    def approvers(self, incident: str = CASE) -> list[tuple[str, str]]:
        """Who has approved the current plan, and by which method."""
        return [(each.approver, each.method) for each in self.wiring.incident(incident).approvals]

    def refusals(self, incident: str = CASE) -> list[str]:
        """The reasons of every attempt that was refused in the incident, then in the installation."""
        kind = EventKind.ATTEMPT_REFUSED
        chains = (incident, INSTALLATION)
        return [str(each.body["reason"]) for one in chains for each in self.wiring.records.of_kind(kind, incident=one)]

    def write(self, kind: EventKind, *, incident: str = CASE, **fields: Any) -> None:
        """Add an event."""
        self.wiring.records.append_next(incident, kind=kind, body=body_of(kind, **fields))

    def case(
        self,
        incident: str = CASE,
        *,
        requested_by: str = "alice",
        exercise: bool = False,
        virtual_time: bool = False,
    ) -> None:
        """A leaked signing key: revoking its certificate and destroying it cannot be taken back."""
        opened = {"codename": CODENAME, "severity": "high", "exercise": exercise, "requested_by": requested_by}
        kind = EventKind.INCIDENT_OPENED
        body = body_of(kind, playbook="signing-key-leak", virtual_time=virtual_time, **opened)
        self.wiring.records.append(incident, kind=kind, body=body, expected_head=GENESIS)
        exposure = Exposure(kind=ExposureKind.SIGNING_KEY, target=KEY, confidence=0.95)
        self.write(EventKind.EXPOSURE_ADDED, incident=incident, exposure=exposure)
        facts = {KeyRef.parse(KEY): _facts()}
        read = {str(key): fact.model_dump(mode="json") for key, fact in facts.items()}
        self.write(EventKind.FACTS_READ, incident=incident, facts=read)
        plan = make_plan(
            incident_id=incident,
            exposures=(exposure,),
            estate=self.wiring.estate,
            facts=facts,
            playbook=self.wiring.catalog["signing-key-leak"],
            requested_by=requested_by,
        )
        self.write(EventKind.PLAN_MADE, incident=incident, plan=plan)

    def change_plan(self) -> None:
        """Another plan takes the place of the one that people looked at."""
        self.write(EventKind.PLAN_MADE, plan=self.plan.model_copy(update={"residual": ("something new was found",)}))

    def roster(self, people: Sequence[dict[str, Any]], **parts: Any) -> None:
        """Write the roster anew."""
        beside = self.root / "roster.new"
        beside.write_text(yaml.safe_dump({"version": 1, "people": list(people), **parts}), encoding="utf-8")
        beside.replace(self.root / "roster.yaml")


def token_of(link: str) -> str:
    """The secret at the end of a link."""
    return link.rpartition("/")[2]


@contextmanager
def web_office(root: Path, **settings: Any) -> Iterator[WebOffice]:
    """An office in its folder, whose app nobody serves."""
    root.mkdir(parents=True, exist_ok=True)
    document = {"state": "state", "estate": "estate.yaml", "roster": "roster.yaml", **settings}
    (root / "keyquell.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (root / "hook.secret").write_text(HOOK_SECRET, encoding="utf-8")
    (root / "github-keys.json").write_text('{"public_keys": []}', encoding="utf-8")
    (root / "estate.yaml").write_text(yaml.safe_dump(ESTATE), encoding="utf-8")
    offices: list[WebOffice] = []

    def clock() -> datetime:
        return datetime.now(UTC) + (offices[0].ahead if offices else timedelta())

    with Wiring.open(load_settings(root / "keyquell.yaml"), clock=clock) as wiring:
        background = Background(wiring, on_trouble=lambda *_: None)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KEYQUELL_HOME", str(root / "home"))  # no drill of this machine stands on a page
            app = create_app(wiring, ResponseDesk(wiring, background), background)
        office = WebOffice(root, wiring, app, timedelta())
        office.roster(PEOPLE)
        offices.append(office)
        yield office
        background.wait(seconds=5)


@contextmanager
def served_office(root: Path, *, more: Mapping[str, Any] | None = None, **web: Any) -> Iterator[WebOffice]:
    """An office whose page a browser can open at ``settings.web.url``; ``more`` are further settings."""
    with served_without_case(root, more=more, **web) as office:
        office.case()
        yield office


@contextmanager
def served_without_case(root: Path, *, more: Mapping[str, Any] | None = None, **web: Any) -> Iterator[WebOffice]:
    """The same before anything happened."""
    port = _free_port()
    with (
        web_office(root, web={"port": port, "url": f"http://localhost:{port}", **web}, **(more or {})) as office,
        _serving(office.app, port),
    ):
        yield office


@contextmanager
def _serving(app: FastAPI, port: int) -> Iterator[None]:
    server = WebServer(app, "127.0.0.1", port)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.run(stop)), daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.listening.wait(), loop).result(timeout=10)
    yield
    loop.call_soon_threadsafe(stop.set)
    thread.join(timeout=10)
    loop.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _facts() -> KeyFacts:
    can = frozenset({Capability.DISABLE, Capability.CREATE, Capability.SIGN, Capability.DESTROY})
    return KeyFacts(
        ref=KeyRef.parse(KEY),
        algorithm="RSA-3072",
        purpose="sign",
        state=KeyState.ACTIVE,
        version="1",
        protecting_since=datetime(2023, 1, 9, 8, 0, tzinfo=UTC),
        containment_unit="key",
        capabilities=can,
        unavailable={each: f"no {each.value} here" for each in sorted(set(Capability) - can)},
        deletion_days=None,
        read_at=datetime(2027, 3, 2, 9, 0, tzinfo=UTC),
    )
