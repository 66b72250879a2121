"""Enrolling a passkey: an administrator on the host invites, the person redeems the single-use link in a browser."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from flows.admission import note_refusal
from flows.passkey_news import announce
from flows.passkey_register import PasskeyRegister, read_register, request_of, site_of
from flows.wiring import Wiring
from integrations import passkeys
from integrations.passkeys import Passkey
from playbooks.desk import StepUp
from playbooks.errors import Conflict, InvalidInput, NotApproved
from playbooks.event_bodies import PasskeyInvited, body_of
from playbooks.record import INSTALLATION, EventKind
from playbooks.roster import Person

_WHAT = "enrol a passkey"
_NEW_LINK = "Ask an administrator for a new link: `keyquell roster enrol NAME`."
_LABEL_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Invited:
    """Who may enrol, until when, and PublicKeyCredentialCreationOptions for the browser."""

    person: str
    display: str
    expires_at: datetime
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Open:
    invitation: PasskeyInvited
    person: Person
    register: PasskeyRegister


def invite(wiring: Wiring, *, person: str, by: str) -> StepUp:
    """Make a single-use link by which this person enrols a passkey; ``by`` is the administrator on the host.

    Raises InvalidInput when there is no roster, or nobody in it is meant.
    """
    who, why = _member(wiring, person)
    if who is None or why:
        raise InvalidInput(f"{person} cannot be invited: {why}.", hint="Add them to the roster first.")
    token = secrets.token_urlsafe(32)
    expires_at = wiring.clock() + timedelta(minutes=wiring.settings.policy.link_minutes)
    kind = EventKind.PASSKEY_INVITED
    body = body_of(kind, request=request_of(token), person=who.name, by=by, expires_at=expires_at)
    wiring.records.append_next(INSTALLATION, kind=kind, body=body)
    return StepUp(f"{wiring.settings.web.url}/enrol/{token}", expires_at)


def invited(wiring: Wiring, token: str) -> Invited:
    """What a link is for.  Raises NotApproved, recorded, when it is good no more."""
    invitation = _open(wiring, token)
    who = invitation.person
    existing = [Passkey(each.credential_id, each.public_key) for each in invitation.register.of(who.name)]
    options = passkeys.creation_options(
        site_of(wiring), person=who.name, display=who.called, challenge=_challenge(token), existing=existing
    )
    return Invited(who.name, who.called, invitation.invitation.expires_at, options)


def enrol(wiring: Wiring, token: str, registration: Mapping[str, Any], *, label: str) -> str:
    """Take the authenticator's public half as this person's; returns the person's name.

    ``label`` is what the person calls the authenticator.  Custodians and responders are told, for a passkey that
    appears in the middle of a case, or by a stolen invitation, deserves a look.
    Raises NotApproved, recorded, when anything does not hold.
    """
    while True:
        invitation = _open(wiring, token)
        name = invitation.person.name
        try:
            made = passkeys.register(registration, site=site_of(wiring), challenge=_challenge(token))
        except NotApproved as error:
            _refuse(wiring, name, error.message, hint=error.hint)
        if made.credential_id in invitation.register.passkeys:
            _refuse(wiring, name, "this authenticator is enrolled already", hint="Use another authenticator.")
        if made.credential_id in invitation.register.removed:
            _refuse(wiring, name, "this passkey was removed", hint="Make a new one, or use another authenticator.")
        kind = EventKind.PASSKEY_ENROLLED
        body = body_of(
            kind,
            request=invitation.invitation.request,
            person=name,
            credential_id=made.credential_id,
            public_key=made.public_key,
            sign_count=made.sign_count,
            label=_plain(label),
        )
        try:
            wiring.records.append(INSTALLATION, kind=kind, body=body, expected_head=invitation.register.head)
        except Conflict:
            continue
        announce(wiring, person=name, by=invitation.invitation.by, credential_id=made.credential_id)
        return name


def _open(wiring: Wiring, token: str) -> _Open:
    """The invitation behind a token, if it may be redeemed now; else NotApproved, recorded."""
    register, request = read_register(wiring), request_of(token)
    invitation = register.invitations.get(request)
    if invitation is None:
        _refuse(wiring, "somebody", "the link is not known here")
    who, why = _member(wiring, invitation.person)
    if request in register.used:
        why = "the link has been used"
    elif wiring.clock() >= invitation.expires_at:
        why = "the link has expired"
    if why or who is None:
        _refuse(wiring, invitation.person, why)
    return _Open(invitation, who, register)


def _member(wiring: Wiring, name: str) -> tuple[Person | None, str]:
    """The person, and why they may not have a passkey; "" when they may."""
    try:
        roster = wiring.roster
    except InvalidInput as error:
        return None, f"the roster cannot be read: {error.message.rstrip('.')}"
    if roster is None:
        return None, "no roster is configured, so nobody is known whose passkey would count"
    person = roster.person(name)
    if person is None:
        return None, "nobody in the roster is meant"
    return person, "" if roster.reachable([name], wiring.clock()) else f"{person.name} has left"


def _refuse(wiring: Wiring, by: str, reason: str, *, hint: str = _NEW_LINK) -> NoReturn:
    note_refusal(wiring, by=by, what=_WHAT, reason=reason, via="web")
    raise NotApproved(f"no passkey was enrolled: {reason.rstrip('.')}.", hint=hint)


def _challenge(token: str) -> bytes:
    return hashlib.sha256(b"enrol" + token.encode()).digest()


def _plain(label: str) -> str:
    return "".join(each for each in label.strip() if each.isprintable())[:_LABEL_LENGTH]
