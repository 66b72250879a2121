"""The one place where people's wishes come in: who may, then what is done; never waits for a chat or a pager."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, get_args

from flows import approvals, confirmations, intake, messages, step_up
from flows.admission import Act, Admitted, admit, refuse, take_code
from flows.background import Background
from flows.finding_words import report_on
from flows.lookup import named, plan_seen
from flows.standing import standing
from flows.target_search import search
from flows.wiring import Wiring
from integrations.findings import redact
from integrations.records.export import export
from playbooks import deeds
from playbooks.authority import needs_step_up, role_for
from playbooks.card import Card
from playbooks.card_approvals import undecided
from playbooks.card_of import card_of
from playbooks.desk import Actor, Report, StepUp, Target
from playbooks.errors import Conflict, InvalidInput
from playbooks.escalation import SEVERITIES
from playbooks.estate import Estate
from playbooks.event_bodies import Linked, body_of, read_body
from playbooks.exposures import Exposure
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.plans import Plan, Step
from playbooks.record import EventKind
from playbooks.roster import Circumstances, doubt, objection

_OUTCOMES = get_args(deeds.ClosingOutcome)


class ResponseDesk:
    """Implements ``playbooks.desk.Desk`` on the record, the roster and the background work of one process."""

    def __init__(self, wiring: Wiring, background: Background) -> None:
        self._wiring = wiring
        self._background = background

    # --- moves -----------------------------------------------------------------------------------

    def declare(
        self, actor: Actor, exposures: Sequence[Exposure], *, severity: str, note: str = "", origin: str = ""
    ) -> str:
        """Open an incident and start its containment; secrets in the note are blanked."""
        who = admit(self._wiring, actor, Act.DECLARE)
        if severity not in SEVERITIES:
            raise InvalidInput(f"{severity!r} is no severity.", hint=f"Known: {', '.join(SEVERITIES)}.")
        if not exposures:
            raise InvalidInput("nothing is said to be exposed.", hint="Name a key or a credential.")
        incident_id = intake.declare(
            self._wiring, exposures, requested_by=who.name, severity=severity, note=redact(note), origin=origin
        )
        self._background.contain(incident_id)
        return incident_id

    def contain(self, actor: Actor, incident: str) -> None:
        """Start every containing step whose gate is open."""
        _, incident_id = self._enter(actor, Act.CONTAIN, incident)
        self._open(incident_id)
        self._background.contain(incident_id)

    def undo(self, actor: Actor, incident: str, *, code: str = "") -> StepUp | None:
        """Start taking back what can be, once it is confirmed."""
        who, incident_id = self._enter(actor, Act.UNDO, incident)
        return self._confirmed(actor, who, incident_id, deeds.UNDO, act=Act.UNDO, code=code)

    def stand_down(self, actor: Actor, incident: str, *, outcome: str, code: str = "") -> StepUp | None:
        """End the case, once, when it is confirmed."""
        who, incident_id = self._enter(actor, Act.STAND_DOWN, incident)
        known = next((each for each in _OUTCOMES if each == outcome), None)
        if known is None:
            raise InvalidInput(f"{outcome!r} is no way for a case to end.", hint=f"Known: {', '.join(_OUTCOMES)}.")
        return self._confirmed(actor, who, incident_id, deeds.closing(known), act=Act.STAND_DOWN, code=code)

    def acknowledge(self, actor: Actor, incident: str) -> None:
        """Take the case; written once, whoever comes first."""
        who, incident_id = self._enter(actor, Act.ACKNOWLEDGE, incident)
        kind = EventKind.ACKNOWLEDGED
        body = body_of(kind, by=who.name, via=actor.via)
        while True:
            now = self._open(incident_id)
            if now.people.acknowledged is not None:
                return
            try:
                self._wiring.records.append(incident_id, kind=kind, body=body, expected_head=now.head)
            except Conflict:
                continue
            return

    # --- decisions -------------------------------------------------------------------------------

    def approve(self, actor: Actor, incident: str, *, digest: str, code: str = "") -> StepUp | None:
        """Count the word, or hand out the link by which a passkey must give it."""
        who, incident_id = self._enter(actor, Act.APPROVE, incident)
        now = self._wiring.incident(incident_id)
        plan = plan_seen(now, digest)
        if who.person is None:
            approvals.approve(self._wiring, incident_id, approver=who.name, digest=plan.digest)
            return None
        if same_person(who.name, now.requested_by):
            self._refuse(actor, who, incident_id, f"{who.name} asked for this and cannot approve it")
        steps = self._up_to(actor, who, now)
        if not steps:
            return None
        if actor.via == "web" or any(needs_step_up(step) for step in steps):
            return step_up.ask(self._wiring, incident_id, person=who.name, digest=plan.digest, via=actor.via)
        if actor.via == "cli" and not code and not who.person.totp:
            return step_up.ask(self._wiring, incident_id, person=who.name, digest=plan.digest, via=actor.via)
        self._approve_at_once(actor, who, incident_id, plan, code)
        return None

    def deny(self, actor: Actor, incident: str, *, digest: str, reason: str) -> None:
        """Say no: one is enough."""
        who, incident_id = self._enter(actor, Act.DENY, incident)
        plan = plan_seen(self._wiring.incident(incident_id), digest)
        why = redact(reason.strip()) or "no reason given"
        approvals.deny(self._wiring, incident_id, approver=who.name, digest=plan.digest, reason=why, via=actor.via)

    def review_message(
        self, actor: Actor, incident: str, message: str, *, release: bool, edited: Mapping[str, str] | None = None
    ) -> None:
        """Release or withdraw a draft."""
        who, incident_id = self._enter(actor, Act.REVIEW_MESSAGE, incident)
        messages.review(self._wiring, incident_id, message, by=who.name, release=release, edited=edited)

    # --- questions -------------------------------------------------------------------------------

    def targets(self, actor: Actor, text: str, *, limit: int = 100) -> list[Target]:
        """What of the estate the words may mean."""
        admit(self._wiring, actor, Act.READ)
        return search(self._wiring.estate, text, limit=limit)

    def recognise(self, actor: Actor, text: str) -> Report:
        """What leaked text says of the estate."""
        admit(self._wiring, actor, Act.RECOGNISE)
        return report_on(self._wiring, text)

    def incidents(self, actor: Actor) -> list[Card]:
        """The cards of all open incidents."""
        admit(self._wiring, actor, Act.READ)
        return [self._card(each) for each in intake.open_incidents(self._wiring)]

    def incident_of(self, actor: Actor, surface_id: str) -> str | None:
        """The incident whose links hold the id; the latest when there are several."""
        admit(self._wiring, actor, Act.READ)
        for event in reversed(self._wiring.records.of_kind(EventKind.LINKED)):
            body = read_body(event)
            if surface_id and isinstance(body, Linked) and surface_id in body.ids.values():
                return event.incident
        return None

    def card(self, actor: Actor, incident: str) -> Card:
        """The card of one incident."""
        _, incident_id = self._enter(actor, Act.READ, incident)
        return self._card(self._wiring.incident(incident_id))

    def plan(self, actor: Actor, incident: str) -> Plan:
        """The plan at hand."""
        _, incident_id = self._enter(actor, Act.READ, incident)
        plan = self._wiring.incident(incident_id).plan
        if plan is None:
            raise InvalidInput(f"{incident_id} has no plan yet.", hint=f"Run `keyquell plan {incident_id}`.")
        return plan

    def who(self, actor: Actor, incident: str) -> Sequence[str]:
        """Who responds, who agreed, who is missing, who is called next."""
        _, incident_id = self._enter(actor, Act.READ, incident)
        return standing(self._wiring, self._wiring.incident(incident_id))

    def export(self, actor: Actor, incident: str) -> tuple[str, bytes]:
        """The record as a file; that it was taken stands in it."""
        who, incident_id = self._enter(actor, Act.EXPORT, incident)
        body = body_of(EventKind.NOTE, text=f"The record was exported ({actor.via}).", by=who.name)
        self._wiring.records.append_next(incident_id, kind=EventKind.NOTE, body=body)
        name = f"{incident_id}.keyquell"
        with tempfile.TemporaryDirectory() as folder:
            export(self._wiring.records, incident_id, Path(folder) / name, clock=self._wiring.clock)
            return name, (Path(folder) / name).read_bytes()

    # --- how -------------------------------------------------------------------------------------

    def _enter(self, actor: Actor, act: Act, incident: str) -> tuple[Admitted, str]:
        """Who, and the incident's id; strangers do not learn which incidents there are."""
        try:
            incident_id = named(self._wiring, incident)
        except InvalidInput:
            admit(self._wiring, actor, act)
            raise
        return admit(self._wiring, actor, act, incident=incident_id), incident_id

    def _open(self, incident_id: str) -> Incident:
        incident = self._wiring.incident(incident_id)
        if incident.closed is not None:
            raise InvalidInput(f"{incident_id} is closed.", hint="Declare it anew if it burns again.")
        return incident

    def _card(self, incident: Incident) -> Card:
        """Also while the estate cannot be read: what is burning does not wait for a typing error."""
        try:
            estate: Estate | None = self._wiring.estate
        except InvalidInput:
            estate = None
        return card_of(incident, estate=estate, authority=self._wiring.authority(), now=self._wiring.clock())

    def _up_to(self, actor: Actor, who: Admitted, incident: Incident) -> list[Step]:
        """The steps that wait for people and on which this person's word would count and has not yet."""
        authority, now = self._wiring.authority(), self._wiring.clock()
        waiting = undecided(incident, authority)
        if not waiting:
            raise InvalidInput(
                f"nothing of {incident.id} waits for approval.", hint=f"`keyquell status {incident.id}` says what does."
            )
        steps = [step for step in waiting if not objection(who.person, (role_for(step),), now)]
        if not steps:
            why = objection(who.person, {role_for(step) for step in waiting}, now)
            self._refuse(actor, who, incident.id, f"{why}, which is what waits")
        own = [each for each in incident.approvals if same_person(each.approver, who.name)]
        return [step for step in steps if all(authority.objection(each, step) for each in own)]

    def _approve_at_once(self, actor: Actor, who: Admitted, incident_id: str, plan: Plan, code: str) -> None:
        roster, method = self._wiring.roster, {"cli": "totp", "slack": "slack"}.get(actor.via, "")
        if not method or who.person is None or roster is None:
            self._refuse(actor, who, incident_id, f"a word by {actor.via} is no approval")
        at = Circumstances(at=self._wiring.clock(), via=method)
        if why := doubt(who.person, roster.rules, at):
            self._refuse(actor, who, incident_id, why)
        if method == "totp":
            take_code(self._wiring, who, code, act=Act.APPROVE, via=actor.via, incident=incident_id)
        approvals.approve(
            self._wiring,
            incident_id,
            approver=who.name,
            digest=plan.digest,
            method=method,
            address=actor.address,
        )
        if actor.via != "cli":  # a terminal's process ends with the command; what was begun would end with it
            self._background.contain(incident_id)

    def _confirmed(
        self, actor: Actor, who: Admitted, incident_id: str, deed: str, *, act: Act, code: str
    ) -> StepUp | None:
        """Do it where names count as given, or after a one-time code at the terminal; else hand out the link."""
        wiring, now = self._wiring, self._wiring.incident(incident_id)
        confirmations.sensible(now, deed)
        if now.closed is not None and deeds.outcome_of(deed):
            return None
        digest = now.plan.digest if now.plan else ""
        if who.person is not None:
            if actor.via != "cli" or not code:
                return step_up.ask(wiring, incident_id, person=who.name, digest=digest, via=actor.via, deed=deed)
            self._take_code(actor, who, incident_id, code, act=act)
            confirmations.confirm(wiring, incident_id, by=who.name, deed=deed, digest=digest, method="totp")
        confirmations.carry_out(wiring, self._background, incident_id, by=who.name, deed=deed)
        return None

    def _take_code(self, actor: Actor, who: Admitted, incident_id: str, code: str, *, act: Act) -> None:
        """Return when the one-time code holds and the rules let it count now; else raise NotApproved, recorded."""
        roster = self._wiring.roster
        if roster is not None and who.person is not None:
            at = Circumstances(at=self._wiring.clock(), via="totp")
            if why := doubt(who.person, roster.rules, at):
                self._refuse(actor, who, incident_id, why, act=act)
        take_code(self._wiring, who, code, act=act, via=actor.via, incident=incident_id)

    def _refuse(
        self, actor: Actor, who: Admitted, incident_id: str, reason: str, *, act: Act = Act.APPROVE
    ) -> NoReturn:
        refuse(
            self._wiring,
            by=who.name,
            what=act.words,
            reason=reason,
            via=actor.via,
            incident=incident_id,
            hint="Ask another person.",
        )
