"""Who may do what: people, their roles with dates, how they are reached, and under which circumstances they count.

The roster is a file that the team reviews like code (``roster: ./roster.yaml``).  Chat accounts and groups give no
right; they only say which person is meant.  It is read again whenever something is decided, and what it does not allow
is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from playbooks.names import looks
from playbooks.names import person as one_person


class Role(StrEnum):
    """What a person may do.  ``exercise`` stands for declare and contain in an exercise, and starts drills.

    Every role reads; ``read`` does nothing else (managers), ``audit`` also exports and takes evidence.
    """

    DECLARE = "declare"
    CONTAIN = "contain"
    APPROVE = "approve"
    RETIRE = "retire"
    AUDIT = "audit"
    EXERCISE = "exercise"
    READ = "read"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Grant(_Part):
    """A role from a day until a day, both inclusive and in UTC; open at an end that is not given."""

    role: Role
    since: date | None = None
    until: date | None = None

    def holds(self, day: date) -> bool:
        """Is the role held on this day?"""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


SlackMember = Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")]
Account = Annotated[str, Field(pattern=r"^\S+$")]


class Person(_Part):
    """One person; ``name`` is what stands in the record.  ``left`` ends everything, whatever else stands here."""

    name: str = Field(pattern=r"^[a-z][a-z0-9._-]{0,63}$", description="Login-like, unique: what the record says.")
    display: str = ""
    slack: tuple[SlackMember, ...] = Field(default=(), description="Slack member ids (U… or W…), never of a bot.")
    pagerduty: tuple[Account, ...] = Field(default=(), description="PagerDuty user ids.")
    logins: tuple[Account, ...] = Field(
        default=(), description="Login names on this host, when they differ from the name."
    )
    email: str = ""
    phone: str = ""
    roles: tuple[Grant, ...] = ()
    joined: date | None = None
    left: date | None = Field(default=None, description="The first day on which the person may do nothing any more.")
    totp: str = Field(
        default="", description="Reference (file:… or env:…) to the base-32 secret of their one-time codes."
    )

    @field_validator("roles", mode="before")
    @classmethod
    def _plain_roles(cls, value: object) -> object:
        """``roles: [approve, {role: retire, until: 2027-01-31}]``: a plain name is a role without dates."""
        if isinstance(value, (list, tuple)):
            return tuple({"role": each} if isinstance(each, str) else each for each in value)
        return value

    @field_validator("totp")
    @classmethod
    def _by_reference(cls, value: str) -> str:
        if value and not value.startswith(("file:", "env:")):
            raise ValueError("must be a reference (file:PATH or env:NAME), never the secret itself")
        return value

    @property
    def called(self) -> str:
        """The name for people to read."""
        return self.display or self.name


class Hours(_Part):
    """Working hours: days 1 (Monday) to 7, from hour to hour of a time zone; the end hour is not included."""

    days: tuple[int, ...] = (1, 2, 3, 4, 5)
    start: int = Field(ge=0, le=23, alias="from")
    end: int = Field(ge=1, le=24, alias="to")
    timezone: str = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{value!r} is no time zone") from error
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Hours:
        if self.start >= self.end or not self.days or not set(self.days) <= set(range(1, 8)):
            raise ValueError("from must be before to, and days are numbers from 1 (Monday) to 7")
        return self

    def cover(self, moment: datetime) -> bool:
        """Does the moment fall into these hours?"""
        local = moment.astimezone(ZoneInfo(self.timezone))
        return local.isoweekday() in self.days and self.start <= local.hour < self.end


class Rules(_Part):
    """Circumstances under which an approval counts; each is checked only when it is given."""

    hours: Hours | None = Field(default=None, description="Approvals count only within; break-glass is exempt.")
    networks: tuple[str, ...] = Field(default=(), description="Addresses or networks from which passkeys are used.")
    passkey_age_hours: float = Field(default=0, ge=0, description="A passkey enrolled more recently does not count.")
    person_age_days: float = Field(default=0, ge=0, description="A person who joined more recently does not count.")

    @field_validator("networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            ip_network(each, strict=False)
        return value


ROUND_LEVELS = 100
"""Levels of one round of the escalation: the second begins with level 100."""
MOST_REPEATS = 9


class Escalation(_Part):
    """Who is paged when nobody acknowledges: one after another, ``after_minutes`` apart.

    When the last one has not acknowledged either, it begins again, ``repeat`` times (PagerDuty allows nine as well).
    """

    people: tuple[str, ...] = Field(default=(), max_length=ROUND_LEVELS - 1)
    after_minutes: float = Field(default=5, gt=0)
    repeat: int = Field(default=2, ge=0, le=MOST_REPEATS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How and when somebody acts.  ``address`` is "" where there is none (a terminal, a chat)."""

    at: datetime
    via: str
    address: str = ""
    passkey_enrolled_at: datetime | None = None


class Roster(_Part):
    """The whole file.  What tells people apart belongs to one person each: one human must not count as two."""

    version: Literal[1] = 1
    people: tuple[Person, ...] = ()
    escalation: Escalation = Escalation()
    rules: Rules = Rules()
    custodians: tuple[str, ...] = Field(default=(), description="Told at once when somebody breaks the glass.")

    @model_validator(mode="after")
    def _unambiguous(self) -> Roster:
        names = {each.name for each in self.people}
        for what, said in _MARKS.items():
            marks = [set(said(each)) for each in self.people]
            if twice := sorted(one for number, own in enumerate(marks) for one in own & set().union(*marks[:number])):
                raise ValueError(f"people: {what} {twice[0]!r} stands at two people")
        for what, listed in (("escalation.people", self.escalation.people), ("custodians", self.custodians)):
            if unknown := [each for each in listed if each not in names]:
                raise ValueError(f"{what}: {unknown[0]!r} is not among the people")
        return self

    def person(self, name: str) -> Person | None:
        """Who is called so."""
        wanted = one_person(name)
        return next((each for each in self.people if each.name == wanted), None)

    def by_slack(self, member: str) -> Person | None:
        """Whose Slack account this is."""
        return next((each for each in self.people if member in each.slack), None)

    def by_pagerduty(self, user: str) -> Person | None:
        """Whose PagerDuty user this is."""
        return next((each for each in self.people if user in each.pagerduty), None)

    def by_login(self, login: str) -> Person | None:
        """Whose login on this host this is."""
        return next((each for each in self.people if login == each.name or login in each.logins), None)

    def holders(self, role: Role, at: datetime) -> Iterator[Person]:
        """Everybody who holds the role now."""
        return (each for each in self.people if not objection(each, (role,), at))

    def reachable(self, names: Iterable[str], at: datetime) -> list[Person]:
        """Those of the names that are people here and have not left."""
        found = (self.person(name) for name in names)
        return [each for each in found if each is not None and not _gone(each, at)]


_MARKS: Mapping[str, Callable[[Person], Iterable[str]]] = {
    "name": lambda person: (person.name,),
    "slack": lambda person: person.slack,
    "pagerduty": lambda person: person.pagerduty,
    "logins": lambda person: (person.name, *person.logins),
    "display": lambda person: (looks(person.name), *((looks(person.display),) if person.display else ())),
    "email": lambda person: (_mailbox(person.email),) if person.email else (),
    "totp": lambda person: (person.totp,) if person.totp else (),
}
"""What tells people apart: whoever shares one of these with another may be one human who counts as two."""


def _mailbox(email: str) -> str:
    """The mailbox behind an address: what follows a + only sorts mail (RFC 5233)."""
    local, _, domain = one_person(email).rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"


def objection(person: Person | None, roles: Iterable[Role], at: datetime) -> str:
    """Why this person may not do what needs one of these roles now; "" when they may."""
    wanted = tuple(roles)
    needed = " or ".join(role.value for role in wanted)
    if person is None:
        return "nobody in the roster is meant"
    if _gone(person, at):
        return f"{person.name} has left"
    held = [grant for grant in person.roles if grant.role in wanted]
    day = at.date()
    if any(grant.holds(day) for grant in held):
        return ""
    if held:
        return f"the role {needed} of {person.name} is not valid on {day}"
    return f"{person.name} does not hold the role {needed}"


def doubt(person: Person, rules: Rules, circumstances: Circumstances) -> str:
    """Why an approval under these circumstances does not count; "" when it does."""
    at = circumstances.at
    known_for = at - _midnight(person.joined, at) if person.joined and rules.person_age_days else None
    if known_for is not None and known_for < timedelta(days=rules.person_age_days):
        return f"{person.name} joined less than {rules.person_age_days:g} days ago"
    enrolled = circumstances.passkey_enrolled_at
    if enrolled and rules.passkey_age_hours and at - enrolled < timedelta(hours=rules.passkey_age_hours):
        return f"the passkey of {person.name} was enrolled less than {rules.passkey_age_hours:g} hours ago"
    if rules.hours is not None and circumstances.via != "break-glass" and not rules.hours.cover(at):
        return "it is outside the hours in which approvals count"
    if rules.networks and circumstances.via == "web" and not _within(circumstances.address, rules.networks):
        return "it comes from a network from which approvals do not count"
    return ""


def _gone(person: Person, at: datetime) -> bool:
    return person.left is not None and at.date() >= person.left


def _midnight(day: date, like: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=like.tzinfo)


def _within(address: str, networks: Iterable[str]) -> bool:
    try:
        own = ip_address(address)
    except ValueError:
        return False
    return any(own in ip_network(each, strict=False) for each in networks)
