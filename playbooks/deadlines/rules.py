"""The rules of deadlines: a file that counsel edits, read strictly, with its source and the date it was read.

A rule says when its clock starts, how long it runs, how it is counted, who is told, and where that stands.  Nothing of
it is legal advice.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from playbooks.errors import InvalidInput
from playbooks.yaml_lines import load_yaml, locate


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def known_zone(value: str) -> str:
    """The name of a time zone, or ""; ValueError for any other."""
    try:
        ZoneInfo(value or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{value!r} is no time zone; names are like Europe/Berlin") from error
    return value


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Words = Annotated[str, Field(min_length=1)]


class Counting(StrEnum):
    """How the time is counted.

    ``elapsed``: hours that pass, a day is 24 of them, whatever the clocks on the wall do.  ``calendar``: days or months
    of the calendar, to the end of the last one.  ``eu``: the same, and a period that would end on a Saturday, a Sunday
    or a public holiday ends with the next working day (Regulation (EEC, Euratom) 1182/71, Art. 3(4)).  ``business``:
    days on which the recipient works.  ``year-end``: days after the end of the calendar year.  ``promptly``: no clock.
    """

    ELAPSED = "elapsed"
    CALENDAR = "calendar"
    EU = "eu"
    BUSINESS = "business"
    YEAR_END = "year-end"
    PROMPTLY = "promptly"


_UNITS = {
    Counting.ELAPSED: ("hours", "days"),
    Counting.CALENDAR: ("days", "months"),
    Counting.EU: ("days", "months"),
    Counting.BUSINESS: ("days",),
    Counting.YEAR_END: ("days",),
    Counting.PROMPTLY: (),
}


class Period(_Part):
    """So much time."""

    amount: int = Field(ge=0, le=10_000)
    unit: Literal["hours", "days", "months"]


class Limit(_Part):
    """No later than so long after another trigger, unless the rule's own trigger comes after that."""

    trigger: Name
    hours: int = Field(ge=1, le=10_000)


class Start(_Part):
    """What sets the clock going: a trigger that a person records, or the filing of another rule."""

    trigger: Name = ""
    filing: Name = ""
    no_later: Limit | None = Field(default=None, description="The earlier of two ends counts.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.trigger) == bool(self.filing) or (self.filing and self.no_later):
            raise ValueError("a clock starts by a trigger (perhaps with no_later) or by another rule's filing")
        return self


class Source(_Part):
    """Where the rule stands."""

    name: Words
    section: str = ""
    url: str = Field(default="", pattern=r"^(https://\S+)?$")


class Rule(_Part):
    """One deadline.

    ``day_zero``: the day of the trigger is not counted.  ``cutoff``: the last day ends at this time of ``zone``; what
    is filed later counts as filed on the next day.  ``zone`` and ``holidays`` are the organisation's where they are
    not given.
    """

    id: Name
    regime: Name
    title: Words
    condition: Words = Field(description="Who it is for, and when.")
    starts: Start
    within: Period | None = None
    counting: Counting
    day_zero: bool = True
    cutoff: time | None = None
    zone: Annotated[str, AfterValidator(known_zone)] = ""
    holidays: Literal["us-federal", "country"] = "country"
    recipient: Words
    missing: Words = Field(description="What holds while the anchor is missing.")
    note: str = ""
    source: Source
    read_on: date
    confidence: Literal["primary", "secondary", "memory"]
    in_force: bool = True
    in_force_from: date | None = None
    enabled: bool = True

    @field_validator("cutoff", mode="before")
    @classmethod
    def _quoted(cls, value: object) -> object:
        """YAML reads a bare 17:30 as the number 1050."""
        if isinstance(value, (int, float)):
            raise ValueError('write the time in quotes: "17:30"')
        return value

    @model_validator(mode="after")
    def _countable(self) -> Self:
        units = _UNITS[self.counting]
        if self.within is None and units:
            raise ValueError(f"counting {self.counting} needs within: an amount and a unit ({' or '.join(units)})")
        if self.within is not None and self.within.unit not in units:
            said = f"in {' or '.join(units)}" if units else "without within"
            raise ValueError(f"counting {self.counting} goes {said}")
        if self.cutoff is not None and self.counting is not Counting.BUSINESS:
            raise ValueError("a cutoff belongs to counting business")
        if self.starts.no_later and self.counting is not Counting.ELAPSED:
            raise ValueError("no_later belongs to counting elapsed")
        return self

    def objection(self, at: datetime) -> str:
        """Why the rule is off at this moment; "" when it is not."""
        if not self.in_force:
            return "it is not in force"
        if self.in_force_from and at.date() < self.in_force_from:
            return f"it is in force from {self.in_force_from}"
        return "" if self.enabled else "the file of rules has it switched off"


class Rules(_Part):
    """The whole file: names of triggers and regimes in words, and the rules."""

    version: Literal[1] = 1
    regimes: dict[Name, Words]
    triggers: dict[Name, Words] = Field(description="What a person records, as a sentence.")
    rules: tuple[Rule, ...]

    @model_validator(mode="after")
    def _refers(self) -> Self:
        twice = [name for name, times in Counter(each.id for each in self.rules).items() if times > 1]
        if twice:
            raise ValueError(f"rules: {twice[0]!r} stands there twice")
        ids = {each.id for each in self.rules}
        for each in self.rules:
            wanted = [(each.starts.trigger, self.triggers, "trigger"), (each.starts.filing, ids, "rule")]
            wanted += [(each.regime, self.regimes, "regime")]
            wanted += [(each.starts.no_later.trigger, self.triggers, "trigger")] if each.starts.no_later else []
            for name, known, what in wanted:
                if name and name not in known:
                    raise ValueError(f"rules: {each.id} names the {what} {name!r}, which is not in the file")
        self._ends()
        return self

    def _ends(self) -> None:
        before = {each.id: each.starts.filing for each in self.rules}
        for rule in before:
            seen, place = {rule}, before[rule]
            while place:
                if place in seen:
                    raise ValueError(f"rules: {rule} waits for its own filing")
                seen.add(place)
                place = before[place]

    def rule(self, name: str) -> Rule | None:
        """The rule of this id."""
        return next((each for each in self.rules if each.id == name), None)


def load_rules(text: str, *, file: str) -> Rules:
    """Read a file of rules; ``file`` is its name in errors.

    Raises InvalidInput: one line for each mistake, with the nearest known word for a typing error.
    """
    document = load_yaml(text, file=file)
    try:
        return Rules.model_validate(document.data)
    except ValidationError as error:
        lines = locate(error, document, file=file, schema=Rules.model_json_schema())
        hint = "`keyquell deadline rules --check FILE` checks it again; docs/deadlines.md has every field."
        raise InvalidInput("\n".join(lines), hint=hint) from error


@cache
def own_rules() -> Rules:
    """The rules that come with keyquell."""
    place = resources.files("playbooks") / "deadlines" / "rules.yaml"
    return load_rules(place.read_text(encoding="utf-8"), file="deadlines/rules.yaml")
