"""Passkeys for what matters: a single-use link for one person, plan and deed, and what comes back from it.

The link's token is known to its holder alone; the record keeps its SHA-256.  Everything is asked of the record and the
roster again when the link is opened and when it is redeemed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NoReturn

from flows import approvals, confirmations
from flows.admission import refuse
from flows.assertions import verify_assertion
from flows.enrolment import Invited, enrol, invite, invited
from flows.lookup import plan_seen
from flows.passkey_register import KnownPasskey, PasskeyRegister, in_use, read_register, request_of, site_of
from flows.wiring import Wiring
from integrations import passkeys
from playbooks import deeds
from playbooks.desk import StepUp
from playbooks.errors import Conflict, InvalidInput, NotApproved
from playbooks.event_bodies import ApprovalAsked, Assertion, body_of, read_body
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.keys import KeyFacts
from playbooks.plan_text import plan_diff
from playbooks.plans import Plan
from playbooks.record import EventKind
from playbooks.refs import KeyRef
from playbooks.roster import Circumstances, Person, doubt

_NEW_LINK = "Ask for a new link: click again where you clicked, or run the command again."


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page shows: the server's own plan, for whom, until when, and what the browser asks the authenticator.

    ``plan`` is None, its text and bytes empty, only where a case is ended that never had one.  ``canonical`` is the
    JSON whose SHA-256 is the plan's digest; ``options`` are PublicKeyCredentialRequestOptions.
    """

    incident: Incident
    plan: Plan | None
    plan_text: str
    canonical: bytes
    approver: str
    expires_at: datetime
    options: dict[str, Any]
    deed: str


@dataclass(frozen=True, slots=True)
class _Standing:
    """A request that is good at this moment."""

    incident: Incident
    plan: Plan | None
    person: Person
    asked: ApprovalAsked
    register: PasskeyRegister


def ask(wiring: Wiring, incident_id: str, *, person: str, digest: str, via: str, deed: str = deeds.APPROVE) -> StepUp:
    """Make a single-use link by which this person may approve this plan, or do another deed while it stands.

    ``digest`` may be its first 12 digits or more; of a case without a plan it is "".  Raises NotApproved, recorded,
    when the person could not redeem it, and InvalidInput when the digest is not the current plan's.
    """
    token = secrets.token_urlsafe(32)
    while True:
        incident = wiring.incident(incident_id)
        plan = plan_seen(incident, digest) if digest or deed == deeds.APPROVE or incident.plan else None
        who, why = confirmations.candidate(wiring, incident, plan, name=person, deed=deed)
        if not why and not read_register(wiring).of(person):
            why = f"no passkey of {person} is enrolled"
        if why or who is None:
            invited_by = f"An administrator invites with `keyquell roster enrol {person}`."
            coded = " Or give a one-time code: --code." if via == "cli" and who is not None and who.totp else ""
            hint = f"{invited_by}{coded}" if "enrolled" in why else _NEW_LINK
            refuse(wiring, by=person, what=_what(deed), reason=why, via=via, incident=incident_id, hint=hint)
        expires_at = wiring.clock() + timedelta(minutes=wiring.settings.policy.link_minutes)
        kind = EventKind.APPROVAL_ASKED
        body = body_of(
            kind,
            request=request_of(token),
            approver=who.name,
            digest=plan.digest if plan else "",
            expires_at=expires_at,
            via=via,
            deed=deed,
        )
        try:
            wiring.records.append(incident_id, kind=kind, body=body, expected_head=incident.head)
        except Conflict:
            continue
        return StepUp(f"{wiring.settings.web.url}/approve/{token}", expires_at)


def look(wiring: Wiring, token: str) -> Asked:
    """What a link is for.  Raises NotApproved, recorded, when it is good no more."""
    standing = _standing(wiring, token)
    incident, plan, asked = standing.incident, standing.plan, standing.asked
    facts: dict[KeyRef, KeyFacts] = {KeyRef.parse(uri): fact for uri, fact in incident.facts.items()}
    own = [in_use(wiring, each) for each in standing.register.of(asked.approver)]
    challenge = _challenge(token, incident.id, asked)
    options = passkeys.request_options(site_of(wiring), challenge=challenge, passkeys=own)
    text, canonical = (plan_diff(plan, facts), plan.canonical) if plan else ("", b"")
    return Asked(incident, plan, text, canonical, asked.approver, asked.expires_at, options, asked.deed)


def redeem(wiring: Wiring, token: str, assertion: Mapping[str, Any], *, address: str) -> str:
    """Take the authenticator's answer as the approval, or as the confirmation of the deed; returns the incident's id.

    What was confirmed is still to be carried out (``flows.confirmations.carry_out``).
    ``assertion`` is the browser's credential as JSON, ``address`` the network address it came from.  Raises
    NotApproved, recorded, when anything does not hold.
    """
    standing = _standing(wiring, token)
    incident, asked = standing.incident, standing.asked
    known = _own_passkey(wiring, standing, assertion)
    try:
        evidence, _ = passkeys.check(
            assertion,
            site=site_of(wiring),
            challenge=_challenge(token, incident.id, asked),
            passkey=in_use(wiring, known),
            nonce=_nonce(token),
        )
    except NotApproved as error:
        _refuse(wiring, standing, error.message, hint=error.hint)
    circumstances = Circumstances(at=wiring.clock(), via="web", address=address, passkey_enrolled_at=known.enrolled_at)
    roster = wiring.roster
    if roster is not None and (why := doubt(standing.person, roster.rules, circumstances)):
        hint = (
            "Another person may approve, or break the glass." if asked.deed == deeds.APPROVE else "Ask another person."
        )
        _refuse(wiring, standing, why, hint=hint)
    try:
        _write(wiring, standing, evidence, known, address=address)
    except (InvalidInput, NotApproved) as error:
        _refuse(wiring, standing, error.message, hint=error.hint)
    return incident.id


def _write(wiring: Wiring, standing: _Standing, evidence: Assertion, known: KnownPasskey, *, address: str) -> None:
    asked = standing.asked
    if asked.deed == deeds.APPROVE:
        approvals.approve(
            wiring,
            standing.incident.id,
            approver=asked.approver,
            digest=asked.digest,
            method="webauthn",
            request=asked.request,
            assertion=evidence,
            passkey_enrolled_at=known.enrolled_at,
            address=address,
        )
        return
    confirmations.confirm(
        wiring,
        standing.incident.id,
        by=asked.approver,
        deed=asked.deed,
        digest=asked.digest,
        method="webauthn",
        request=asked.request,
        assertion=evidence,
        passkey_enrolled_at=known.enrolled_at,
        address=address,
    )


def _standing(wiring: Wiring, token: str) -> _Standing:
    """The request behind a token, if it may be redeemed now; else NotApproved, recorded."""
    incident_id, asked = _asked(wiring, token)
    incident, now = wiring.incident(incident_id), wiring.clock()
    plan = incident.plan
    who, why = confirmations.candidate(wiring, incident, plan, name=asked.approver, deed=asked.deed)
    if asked.request in incident.redeemed:
        why = "the link has been used"
    elif now >= asked.expires_at:
        why = "the link has expired"
    elif (plan.digest if plan else "") != asked.digest:
        why = "the plan has changed since the link was made"
    if why or who is None:
        refuse(
            wiring,
            by=asked.approver,
            what=_what(asked.deed),
            reason=why,
            via="web",
            incident=incident_id,
            hint=_NEW_LINK,
        )
    return _Standing(incident, plan, who, asked, read_register(wiring))


def _asked(wiring: Wiring, token: str) -> tuple[str, ApprovalAsked]:
    request = request_of(token)
    events = (each for each in wiring.records.of_kind(EventKind.APPROVAL_ASKED) if each.body["request"] == request)
    event = next(events, None)
    body = read_body(event) if event else None
    if event is None or not isinstance(body, ApprovalAsked):
        refuse(wiring, by="somebody", what="use a link", reason="the link is not known here", via="web", hint=_NEW_LINK)
    return event.incident, body


def _own_passkey(wiring: Wiring, standing: _Standing, assertion: Mapping[str, Any]) -> KnownPasskey:
    named = passkeys.credential_of(assertion)
    known = standing.register.passkeys.get(named)
    if known is None:
        _refuse(wiring, standing, "the authenticator is not enrolled here")
    if not same_person(known.person, standing.person.name):
        _refuse(wiring, standing, f"the authenticator is that of {known.person}")
    return known


def _refuse(wiring: Wiring, standing: _Standing, reason: str, *, hint: str = _NEW_LINK) -> NoReturn:
    refuse(
        wiring,
        by=standing.person.name,
        what=_what(standing.asked.deed),
        reason=reason,
        via="web",
        incident=standing.incident.id,
        hint=hint,
    )


def _nonce(token: str) -> bytes:
    return hashlib.sha256(b"nonce" + token.encode()).digest()


def _challenge(token: str, incident: str, asked: ApprovalAsked) -> bytes:
    digest = deeds.vouched(incident, digest=asked.digest, deed=asked.deed)
    return passkeys.challenge_of(_nonce(token), digest=digest, approver=asked.approver)


def _what(deed: str) -> str:
    return "approve with a passkey" if deed == deeds.APPROVE else deeds.words(deed)


__all__ = [
    "Asked",
    "Invited",
    "ask",
    "enrol",
    "invite",
    "invited",
    "look",
    "redeem",
    "verify_assertion",
]
