"""When a deadline ends: aware moments in, aware moments (UTC) out; no clock is read.

Where the law leaves a doubt, the earlier end is taken: hours are elapsed hours, the hour of the event is counted, and a
determination late in the evening still belongs to its day.
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from playbooks.deadlines.days_off import US_FEDERAL, is_working_day
from playbooks.deadlines.rules import Counting, Rule

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the organisation is: its time zone, and the country (``DE``, ``DE-BY``) of its holidays, "" for none."""

    zone: str = "UTC"
    country: str = ""


def due_at(rule: Rule, start: datetime, place: Place) -> datetime | None:
    """The last moment at which a filing is in time; None for what has no clock.

    ``start`` is aware.  A last day ends with its last second in the rule's zone.  ValueError for a time without a zone.
    """
    if start.tzinfo is None:
        raise ValueError("a time without a zone names no moment")
    if rule.within is None:
        return None
    amount, unit = rule.within.amount, rule.within.unit
    if rule.counting is Counting.ELAPSED:
        return start.astimezone(UTC) + timedelta(hours=amount * (24 if unit == "days" else 1))
    zone = ZoneInfo(rule.zone or place.zone)
    holidays = US_FEDERAL if rule.holidays == "us-federal" else place.country
    first = start.astimezone(zone).date()
    counted = amount if rule.day_zero else amount - 1
    match rule.counting:
        case Counting.BUSINESS:
            last = _business_days(first, counted, holidays, day_zero=rule.day_zero)
        case Counting.YEAR_END:
            last = date(first.year, 12, 31) + amount * _DAY
        case _:
            last = months_later(first, amount) if unit == "months" else first + counted * _DAY
    if rule.counting is Counting.EU:
        last = next_working_day(last, holidays)
    return end_of(last, zone) if rule.cutoff is None else _at(last, rule.cutoff, zone)


def months_later(day: date, months: int) -> date:
    """The same day so many months later; the last of that month where it has no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def next_working_day(day: date, holidays: str) -> date:
    """The day itself when people work on it, else the first one after it."""
    while not is_working_day(day, holidays):
        day += _DAY
    return day


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The last second of a day, also where the clocks change at midnight."""
    return _at(day + _DAY, time(), zone) - timedelta(seconds=1)


def _business_days(first: date, amount: int, holidays: str, *, day_zero: bool) -> date:
    """The last of so many business days after ``first``; without day zero, ``first`` itself is the first of them."""
    day = first if day_zero else next_working_day(first, holidays)
    for _ in range(amount):
        day = next_working_day(day + _DAY, holidays)
    return day


def _at(day: date, moment: time, zone: ZoneInfo) -> datetime:
    """The earlier one of a time that the clocks show twice."""
    return datetime.combine(day, moment, tzinfo=zone).astimezone(UTC)
