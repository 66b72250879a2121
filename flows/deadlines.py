"""Deadlines of cases: which there are, when their clocks began, what was filed, what is not due, and who said so."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import JsonValue

from flows.admission import Act, Admitted, admit
from flows.docket import docket
from flows.lookup import named
from flows.overview import Overview
from flows.wiring import Wiring
from integrations.findings import masked
from playbooks.deadlines.counting import Place
from playbooks.deadlines.rules import Rule, Rules, load_rules, own_rules
from playbooks.deadlines.standing import Deadline, State, anchor, standings
from playbooks.desk import Actor
from playbooks.errors import Conflict, InvalidInput
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.oversight import Oversight
from playbooks.record import EventKind

RECENT = timedelta(days=30)
"""A closed case is listed for so long after its end, and as long as one of its clocks runs."""
_OLDEST = timedelta(days=365)
"""A moment so long before the case was opened is a typing error."""
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Book:
    """The rules in use, the regimes that apply, and where days are counted."""

    rules: Rules
    applies: tuple[str, ...]
    place: Place

    def standings(self, oversight: Oversight, now: datetime) -> tuple[Deadline, ...]:
        """Every rule as it stands in one case."""
        return standings(oversight, self.rules, applies=self.applies, place=self.place, now=now)

    def any_open(self, oversight: Oversight, now: datetime) -> bool:
        """Does any clock run?  Cheap where nothing was recorded, or all that was is settled."""
        possible = [
            each
            for each in self.active(now)
            if each.id not in oversight.settled and anchor(each, oversight, self.place)[0] is not None
        ]
        return bool(possible)

    def triggers(self, oversight: Oversight, now: datetime) -> dict[str, str]:
        """What may still be recorded in a case, by name, in words: triggers of rules that are on."""
        wanted: set[str] = set()
        for each in self.active(now):
            wanted |= {each.starts.trigger, each.starts.no_later.trigger if each.starts.no_later else ""}
        known = oversight.clocks
        return {name: words for name, words in self.rules.triggers.items() if name in wanted and name not in known}

    def active(self, now: datetime) -> list[Rule]:
        """The rules that are on."""
        return [each for each in self.rules.rules if each.regime in self.applies and not each.objection(now)]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDeadlines:
    """The deadlines of one case, the most urgent first, without those that are off.

    ``triggers`` are those that may still be recorded.
    """

    incident: str
    codename: str
    exercise: bool
    open: bool
    deadlines: tuple[Deadline, ...]
    triggers: dict[str, str]


def book(wiring: Wiring) -> Book:
    """The rules as they are on disk now.  Raises InvalidInput naming the file, the line and the field."""
    settings = wiring.settings.deadlines
    rules = own_rules() if settings.rules is None else rules_of(settings.rules)
    unknown = next((each for each in settings.applies if each not in rules.regimes), "")
    if unknown:
        raise InvalidInput(
            f"{wiring.settings.source}: deadlines.applies: no rule is of the regime {unknown!r}.",
            hint=f"Known: {', '.join(rules.regimes)}.",
        )
    return Book(rules, settings.applies, Place(settings.timezone, settings.country))


def rules_of(path: Path) -> Rules:
    """Read a file of rules.  Raises InvalidInput naming the file, the line and the field."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the rules {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the rules {path} are not text in UTF-8.") from error
    return load_rules(text, file=str(path))


def of_case(wiring: Wiring, word: str) -> CaseDeadlines:
    """The deadlines of one incident (id or code name).  Raises InvalidInput."""
    case = wiring.incident(named(wiring, word))
    is_open = case.closed is None
    rules, now = book(wiring), wiring.clock()
    return _told(case.id, case.codename, case.oversight, rules, now, exercise=case.exercise, open=is_open)


def everywhere(wiring: Wiring, overview: Overview) -> list[CaseDeadlines]:
    """Those of every open case, of cases closed lately, and of closed ones whose clocks still run."""
    now, rules, marked = wiring.clock(), book(wiring), docket(wiring).look()
    found = []
    for each in overview.all():
        recent = each.closed_at is None or now - each.closed_at <= RECENT
        oversight = marked[each.id].oversight if each.id in marked else Oversight()
        if recent or rules.any_open(oversight, now):
            found.append(_told(each.id, each.codename, oversight, rules, now, exercise=each.exercise, open=each.open))
    return found


def start_clock(
    wiring: Wiring, actor: Actor, word: str, trigger: str, *, at: datetime | None = None, reason: str = ""
) -> CaseDeadlines:
    """Record when a trigger became true (aware; now when not given), once.

    Raises InvalidInput for an unknown or recorded trigger and for a moment that cannot be, NotApproved (recorded) for
    whoever may not.
    """

    def body(who: Admitted, now: Incident) -> dict[str, JsonValue]:
        known = now.oversight.clocks.get(trigger)
        if known is not None:
            raise InvalidInput(
                f"{now.id}: the clock of {trigger} was started at {known.at.isoformat()} by {known.by}.",
                hint="A clock is started once; if that was wrong, decide with a reason what is not due.",
            )
        startable = book(wiring).triggers(now.oversight, wiring.clock())
        _among(trigger, startable, f"{trigger!r} starts no clock here")
        return body_of(
            EventKind.CLOCK_STARTED, trigger=trigger, at=_moment(wiring, now, at), by=who.name, reason=_short(reason)
        )

    return _write(wiring, actor, word, EventKind.CLOCK_STARTED, body)


def file(
    wiring: Wiring, actor: Actor, word: str, rule: str, *, at: datetime | None = None, reference: str = ""
) -> CaseDeadlines:
    """Record that a deadline was filed, once, with the recipient's reference.  Raises like ``start_clock``."""

    def body(who: Admitted, now: Incident) -> dict[str, JsonValue]:
        _unfiled(wiring, now, rule)
        moment = _moment(wiring, now, at)
        fields = {"rule": rule, "outcome": "filed", "at": moment, "by": who.name, "reference": _short(reference)}
        return body_of(EventKind.DEADLINE_SETTLED, **fields)

    return _write(wiring, actor, word, EventKind.DEADLINE_SETTLED, body)


def decide_not_due(wiring: Wiring, actor: Actor, word: str, rule: str, *, reason: str) -> CaseDeadlines:
    """Record the decision that a deadline is not due, and why; a later filing is still possible.

    Raises InvalidInput without a reason, else like ``start_clock``.
    """
    if not reason.strip():
        raise InvalidInput("why the deadline is not due is missing.", hint="Give the reason; it stands in the record.")

    def body(who: Admitted, now: Incident) -> dict[str, JsonValue]:
        if _unfiled(wiring, now, rule) is State.NOT_DUE and rule in now.oversight.settled:
            raise InvalidInput(f"{now.id}: that {rule} is not due was decided before.")
        fields = {"rule": rule, "outcome": "not-due", "at": wiring.clock().isoformat(), "by": who.name}
        return body_of(EventKind.DEADLINE_SETTLED, reason=_short(reason), **fields)

    return _write(wiring, actor, word, EventKind.DEADLINE_SETTLED, body)


def moment_of(text: str, zone: str) -> datetime | None:
    """A time that a person wrote (ISO 8601), in this zone when it names none, in UTC; None for "".

    Of a time that the clocks show twice, the earlier one.  Raises InvalidInput.
    """
    if not text.strip():
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return (found if found.tzinfo else found.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        hint = "Write it as 2026-05-31T14:05, or with an offset: 2026-05-31T14:05+02:00."
        raise InvalidInput(f"{text[:40]!r} is no time.", hint=hint) from error


def _told(
    incident: str,
    codename: str,
    oversight: Oversight,
    rules: Book,
    now: datetime,
    *,
    exercise: bool,
    open: bool,  # noqa: A002 - as Summary says it
) -> CaseDeadlines:
    return CaseDeadlines(
        incident=incident,
        codename=codename,
        exercise=exercise,
        open=open,
        deadlines=tuple(each for each in rules.standings(oversight, now) if each.state is not State.OFF),
        triggers=rules.triggers(oversight, now),
    )


def _write(
    wiring: Wiring,
    actor: Actor,
    word: str,
    kind: EventKind,
    body: Callable[[Admitted, Incident], dict[str, JsonValue]],
) -> CaseDeadlines:
    """Add the event to the case as it is then: whoever comes second is refused by ``body``."""
    incident_id = named(wiring, word)
    who = admit(wiring, actor, Act.DEADLINE, incident=incident_id)
    while True:
        now = wiring.incident(incident_id)
        try:
            wiring.records.append(incident_id, kind=kind, body=body(who, now), expected_head=now.head)
        except Conflict:
            continue
        return of_case(wiring, incident_id)


def _moment(wiring: Wiring, incident: Incident, at: datetime | None) -> str:
    """The moment for the record; InvalidInput when it lies in the future or far before the case."""
    now = wiring.clock()
    if at is None:
        return now.isoformat()
    if at.tzinfo is None:
        raise InvalidInput("the time has no zone.", hint="Give it with an offset: 2026-05-31T14:05+02:00.")
    if at > now:
        raise InvalidInput(f"{at.isoformat()} is in the future.", hint="A clock or a filing is recorded afterwards.")
    if at < incident.opened_at - _OLDEST:
        hint = f"The case was opened at {incident.opened_at.isoformat()}."
        raise InvalidInput(f"{at.isoformat()} is more than a year before the case.", hint=hint)
    return at.astimezone(UTC).isoformat()


def _unfiled(wiring: Wiring, incident: Incident, rule: str) -> State:
    """How the deadline stands; InvalidInput when there is none of this name, it is off, or it was filed."""
    found = {each.rule.id: each for each in book(wiring).standings(incident.oversight, wiring.clock())}
    _among(rule, found, f"no rule is called {rule!r}")
    deadline = found[rule]
    if deadline.state is State.OFF:
        regime = deadline.rule.regime
        hint = f"If {regime} applies to you, name it in `deadlines.applies` of keyquell.yaml."
        raise InvalidInput(f"{rule} is off: {deadline.why}.", hint=hint)
    if deadline.settled is not None and deadline.settled.outcome == "filed":
        when, who = deadline.settled.at.isoformat(), deadline.settled.by
        raise InvalidInput(f"{incident.id}: {rule} was filed at {when}, says {who}.", hint="What is filed is filed.")
    return deadline.state


def _among(word: str, known: Collection[str], sentence: str) -> None:
    if word not in known:
        near = ", ".join(known) or "none: see `deadlines.applies` of keyquell.yaml"
        raise InvalidInput(f"{sentence}.", hint=f"Known: {near}.")


def _short(text: str) -> str:
    """What a person wrote, not too long, and with secrets blanked."""
    return masked(text.strip()[:_LONGEST])
