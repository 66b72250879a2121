"""Who may: finds the person behind an account, checks the role by the roster as it is now, and records refusals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import NoReturn

from flows.wiring import Wiring
from integrations.one_time_codes import OneTimeCodes
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.event_bodies import body_of
from playbooks.gates import same_person
from playbooks.record import INSTALLATION, EventKind
from playbooks.roster import Person, Role, Roster, objection

_QUIET = timedelta(minutes=1)
"""The same refusal is written once in this time, so that nobody can flood the record."""
_MOST = 30
"""And so many of strangers in all."""
_ROSTER_HINT = "Ask whoever keeps the roster; `keyquell roster show` says who may do what."


class Act(Enum):
    """What somebody may ask for, in words, and the roles of which one is needed."""

    DECLARE = ("declare an incident", (Role.DECLARE,))
    RECOGNISE = ("report what leaked", (Role.DECLARE,))
    CONTAIN = ("contain", (Role.CONTAIN,))
    UNDO = ("undo", (Role.CONTAIN,))
    ACKNOWLEDGE = ("acknowledge", (Role.CONTAIN,))
    STAND_DOWN = ("stand down", (Role.CONTAIN,))
    APPROVE = ("approve", (Role.APPROVE, Role.RETIRE))
    DENY = ("deny", (Role.APPROVE, Role.RETIRE))
    BREAK_GLASS = ("break the glass", (Role.APPROVE, Role.RETIRE))
    REVIEW_GLASS = ("review a broken glass", (Role.APPROVE, Role.RETIRE, Role.AUDIT))
    REVIEW_MESSAGE = ("review a message", (Role.CONTAIN, Role.APPROVE))
    REVIEW = ("write the review", (Role.CONTAIN, Role.APPROVE, Role.RETIRE, Role.AUDIT))
    DEADLINE = ("record a deadline", (Role.CONTAIN, Role.APPROVE, Role.RETIRE, Role.AUDIT))
    EXPORT = ("export the record", (Role.AUDIT,))
    READ = ("read", tuple(Role))

    @property
    def words(self) -> str:
        """What is asked for, for a sentence."""
        return str(self.value[0])

    def roles(self, *, exercise: bool) -> tuple[Role, ...]:
        """The roles that suffice; in an exercise the role of that name stands for declare and contain."""
        needed: tuple[Role, ...] = self.value[1]
        also = exercise and bool({Role.DECLARE, Role.CONTAIN} & set(needed))
        return (*needed, Role.EXERCISE) if also and Role.EXERCISE not in needed else needed


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who asks, by the name that stands in the record; ``person`` is None where there is no roster."""

    name: str
    person: Person | None


def admit(wiring: Wiring, actor: Actor, act: Act, *, incident: str = "") -> Admitted:
    """The person behind the account, who may do this now; ``incident`` is an id, "" when there is none yet.

    Raises NotApproved, and records the attempt, when nobody is meant, the role is not held, or the roster cannot be
    read.  Reading on the terminal goes on with a broken roster.
    """
    try:
        roster = wiring.roster
    except InvalidInput as error:
        if act is Act.READ and actor.via == "cli":
            return Admitted(actor.account, None)
        reason = f"the roster cannot be read, so nobody counts: {error.message.rstrip('.')}"
        refuse(wiring, by=actor.account, what=act.words, reason=reason, via=actor.via, incident=incident)
    if roster is None:
        if actor.via == "cli":
            return Admitted(actor.account, None)
        reason = "no roster is configured, so a chat account gives no right"
        hint = "Set `roster` in keyquell.yaml, or do it on the command line."
        refuse(wiring, by=actor.account, what=act.words, reason=reason, via=actor.via, incident=incident, hint=hint)
    person = behind(roster, actor)
    exercise = wiring.settings.exercise is not None or bool(incident and wiring.incident(incident).exercise)
    why = objection(person, act.roles(exercise=exercise), wiring.clock())
    if why or person is None:
        name = person.name if person else actor.account
        refuse(wiring, by=name, what=act.words, reason=why, via=actor.via, incident=incident)
    return Admitted(person.name, person)


def at_terminal(wiring: Wiring, *, login: str, claimed: str = "") -> Actor:
    """Who sits at the terminal, by the login alone; ``login`` is what the operating system says.

    Raises NotApproved, recorded, when somebody claims to be another.
    """
    actor = Actor(account=login, via="cli")
    try:
        person = behind(wiring.roster, actor) if claimed and wiring.roster else None
    except InvalidInput:
        return actor
    if claimed and not same_person(person.name if person else login, claimed):
        hint = "Leave out --as: with a roster, the login says who you are."
        refuse(wiring, by=login, what=f"act as {claimed[:40]}", reason="that is somebody else", via="cli", hint=hint)
    return actor


def behind(roster: Roster, actor: Actor) -> Person | None:
    """The person to whom an account belongs."""
    match actor.via:
        case "slack":
            return roster.by_slack(actor.account)
        case "pagerduty":
            return roster.by_pagerduty(actor.account)
        case "cli":
            return roster.by_login(actor.account)
        case "web":
            return roster.person(actor.account)


def take_code(wiring: Wiring, who: Admitted, code: str, *, act: Act, via: str, incident: str) -> None:
    """Return when the one-time code is this person's and new; raises NotApproved, recorded, when it is not."""
    secret = who.person.totp if who.person else ""
    if not secret:
        reason = "no one-time codes are set up for them"
        hint = "Set `totp` in the roster, or approve with a passkey."
        refuse(wiring, by=who.name, what=act.words, reason=reason, via=via, incident=incident, hint=hint)
    codes = OneTimeCodes(wiring.settings.state / "one-time-codes.json", clock=wiring.clock)
    try:
        codes.accept(who.name, code, secret=secret)
    except NotApproved as error:
        refuse(wiring, by=who.name, what=act.words, reason=error.message, via=via, incident=incident, hint=error.hint)


def refuse(
    wiring: Wiring, *, by: str, what: str, reason: str, via: str, incident: str = "", hint: str = _ROSTER_HINT
) -> NoReturn:
    """Record the attempt, in the incident or else with the installation, and raise NotApproved."""
    note_refusal(wiring, by=by, what=what, reason=reason, via=via, incident=incident)
    raise NotApproved(f"{by} may not {what}: {reason.rstrip('.')}.", hint=hint)


def note_refusal(wiring: Wiring, *, by: str, what: str, reason: str, via: str, incident: str = "") -> None:
    """Write an ATTEMPT_REFUSED, but not the same one again within a minute.

    Of strangers no more than 30 a minute are written, so that they can neither flood the record nor crowd out what
    people of the roster were refused.
    """
    chain, kind = incident or INSTALLATION, EventKind.ATTEMPT_REFUSED
    body = body_of(kind, by=by[:80], what=what, reason=reason, via=via)
    lately = wiring.records.of_kind(kind, incident=chain, since=wiring.clock() - _QUIET)
    if any(each.body == body for each in lately):
        return
    known = _names(wiring)
    if by in known or sum(each.body["by"] not in known for each in lately) < _MOST:
        wiring.records.append_next(chain, kind=kind, body=body)


def _names(wiring: Wiring) -> frozenset[str]:
    """The people of the roster; nobody while it cannot be read."""
    try:
        roster = wiring.roster
    except InvalidInput:
        return frozenset()
    return frozenset(each.name for each in roster.people) if roster is not None else frozenset()
