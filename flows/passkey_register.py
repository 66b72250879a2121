"""The passkeys of this installation and the invitations to enrol one, as the chain of the installation tells them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from flows.wiring import Wiring
from integrations.passkeys import Passkey, Site, sign_count_of
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import (
    ApprovalGiven,
    Confirmed,
    PasskeyEnrolled,
    PasskeyInvited,
    PasskeyRemoved,
    body_of,
    read_body,
)
from playbooks.gates import same_person
from playbooks.record import GENESIS, INSTALLATION, EventKind


@dataclass(frozen=True, slots=True)
class KnownPasskey:
    """A person's authenticator; ids and keys are base64url, ``public_key`` is a COSE key."""

    person: str
    credential_id: str
    public_key: str
    sign_count: int
    label: str
    enrolled_at: datetime


@dataclass(slots=True)
class PasskeyRegister:
    """``passkeys`` by credential id, ``invitations`` by request; ``head`` is what the next append must expect.

    What is ``removed`` (credential ids) never comes back: approvals given with it would count again.
    """

    passkeys: dict[str, KnownPasskey] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    invitations: dict[str, PasskeyInvited] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    head: str = GENESIS

    def of(self, person: str) -> list[KnownPasskey]:
        """This person's passkeys, the oldest first."""
        return [each for each in self.passkeys.values() if same_person(each.person, person)]


def site_of(wiring: Wiring) -> Site:
    """The relying party of this installation."""
    return Site(rp_id=wiring.settings.web.host, origin=wiring.settings.web.url)


def request_of(token: str) -> str:
    """What the record keeps of a link's token: SHA-256, lower-case hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def read_register(wiring: Wiring) -> PasskeyRegister:
    """The register as it stands now."""
    register = PasskeyRegister()
    for event in wiring.records.events(INSTALLATION):
        register.head = event.hash
        match read_body(event):
            case PasskeyInvited() as body:
                register.invitations[body.request] = body
            case PasskeyEnrolled() as body:
                register.used.add(body.request)
                if body.credential_id not in register.removed:
                    register.passkeys[body.credential_id] = KnownPasskey(
                        body.person, body.credential_id, body.public_key, body.sign_count, body.label, event.at
                    )
            case PasskeyRemoved() as body:
                register.passkeys.pop(body.credential_id, None)
                register.removed.add(body.credential_id)
    return register


def in_use(wiring: Wiring, known: KnownPasskey) -> Passkey:
    """The passkey with the highest sign count that any approval in the record shows of it."""
    kinds = (EventKind.APPROVAL_GIVEN, EventKind.CONFIRMED)
    bodies = (read_body(event) for kind in kinds for event in wiring.records.of_kind(kind))
    counts = [
        sign_count_of(body.assertion)
        for body in bodies
        if isinstance(body, ApprovalGiven | Confirmed)
        and body.assertion
        and body.assertion.credential_id == known.credential_id
    ]
    return Passkey(known.credential_id, known.public_key, max([known.sign_count, *counts]))


def remove_passkey(wiring: Wiring, credential: str, *, person: str, by: str, reason: str) -> KnownPasskey:
    """Let a person's passkey count no more; ``credential`` is the start of its id, or its label.

    Raises InvalidInput when none, or more than one, of theirs is meant.
    """
    while True:
        register = read_register(wiring)
        own = register.of(person)
        meant = [each for each in own if credential and each.credential_id.startswith(credential)]
        meant = meant or [each for each in own if each.label == credential]
        if len(meant) != 1:
            listed = ", ".join(f"{each.credential_id[:12]} ({each.label or 'no label'})" for each in own) or "none"
            raise InvalidInput(
                f"{'several passkeys' if meant else 'no passkey'} of {person} are called {credential[:40]!r}.",
                hint=f"Known: {listed}.",
            )
        kind = EventKind.PASSKEY_REMOVED
        body = body_of(kind, person=person, credential_id=meant[0].credential_id, by=by, reason=reason)
        try:
            wiring.records.append(INSTALLATION, kind=kind, body=body, expected_head=register.head)
        except Conflict:
            continue
        return meant[0]
