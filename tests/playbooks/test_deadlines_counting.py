"""When a deadline ends, across time zones, clock changes, month ends, leap years, weekends and holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from playbooks.deadlines.counting import Place, due_at, end_of, months_later, next_working_day
from playbooks.deadlines.days_off import US_FEDERAL, is_working_day, known_place
from playbooks.deadlines.rules import Rule, own_rules

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Asia/Beirut",
)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2032, 12, 1)).map(lambda each: each.replace(tzinfo=UTC))  # noqa: DTZ001
PLACES = st.builds(Place, st.sampled_from(ZONES), st.sampled_from(["", "DE", "DE-BY", "US", "SG"]))


def rule(counting: str, amount: int, unit: str, **fields: Any) -> Rule:
    """A rule that counts so."""
    return Rule.model_validate({
        "id": "x", "regime": "x", "title": "x", "condition": "x", "starts": {"trigger": "x"}, "recipient": "x",
        "within": {"amount": amount, "unit": unit}, "counting": counting, "missing": "x", "source": {"name": "x"},
        "read_on": "2026-11-24", "confidence": "memory", **fields,
    })  # fmt: skip


def own(name: str) -> Rule:
    """A rule that comes with keyquell."""
    found = own_rules().rule(name)
    assert found is not None
    return found


# --- clock hours -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=BERLIN), 24, datetime(2026, 3, 29, 13, tzinfo=BERLIN)),
        (datetime(2026, 10, 24, 12, tzinfo=BERLIN), 24, datetime(2026, 10, 25, 11, tzinfo=BERLIN)),
        (datetime(2026, 3, 7, 12, tzinfo=NEW_YORK), 72, datetime(2026, 3, 10, 13, tzinfo=NEW_YORK)),
        (datetime(2026, 10, 31, 12, tzinfo=NEW_YORK), 72, datetime(2026, 11, 3, 11, tzinfo=NEW_YORK)),
        (datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1), 1, datetime(2026, 10, 25, 3, 30, tzinfo=BERLIN)),
        (datetime(2028, 2, 28, 12, tzinfo=UTC), 24, datetime(2028, 2, 29, 12, tzinfo=UTC)),
    ],
)
def test_clock_hours_are_hours_that_pass(start: datetime, hours: int, end: datetime) -> None:
    """Whatever the clocks on the wall do, in both directions."""
    assert due_at(rule("elapsed", hours, "hours"), start, Place("Europe/Berlin", "DE")) == end


@given(MOMENTS, PLACES, st.integers(1, 400))
def test_hours_need_neither_place_nor_calendar(start: datetime, place: Place, hours: int) -> None:
    """The same for everybody, and a day is 24 hours."""
    due = due_at(rule("elapsed", hours, "hours"), start, place)
    assert due is not None
    assert due - start == timedelta(hours=hours)
    assert due_at(rule("elapsed", hours, "days"), start, place) == start + timedelta(hours=24 * hours)


def test_a_time_without_a_zone_is_no_moment() -> None:
    """It is refused, not guessed."""
    with pytest.raises(ValueError, match="zone"):
        due_at(rule("elapsed", 1, "hours"), datetime(2026, 1, 1), Place())  # noqa: DTZ001


# --- calendar days and months ------------------------------------------------------------------------


def test_the_day_of_the_trigger_is_day_zero_and_the_last_day_counts_whole() -> None:
    """Three calendar days after an assessment in Singapore, to the last second of the third."""
    start = datetime(2026, 2, 26, 17, 30, tzinfo=UTC)  # 01:30 on the 27th in Singapore
    due = due_at(own("sg-pdpa"), start, Place("America/New_York"))
    assert due == datetime(2026, 3, 2, 23, 59, 59, tzinfo=ZoneInfo("Asia/Singapore"))


def test_without_day_zero_the_day_of_the_trigger_is_the_first() -> None:
    """One day less, for calendar days and for business days."""
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert due_at(rule("calendar", 3, "days", day_zero=False), start, Place()) == end(2026, 3, 4)
    assert due_at(rule("business", 3, "days", day_zero=False), start, Place()) == end(2026, 3, 4)


def end(year: int, month: int, day: int, zone: str = "UTC") -> datetime:
    return end_of(date(year, month, day), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("day", "months", "last"),
    [
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 8, 31), 1, date(2026, 9, 30)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2028, 2, 29), 12, date(2029, 2, 28)),
        (date(2026, 11, 15), 1, date(2026, 12, 15)),
    ],
)
def test_a_month_later_is_the_same_day_or_the_last_one(day: date, months: int, last: date) -> None:
    """A month that lacks the day ends with its own last one."""
    assert months_later(day, months) == last


@given(MOMENTS, st.integers(1, 40))
def test_months_never_skip_one(start: datetime, months: int) -> None:
    """The month is the one that was counted, and no later day than the one begun with."""
    day = start.date()
    last = months_later(day, months)
    assert (last.year * 12 + last.month) - (day.year * 12 + day.month) == months
    assert last.day <= day.day


@pytest.mark.parametrize(
    ("start", "last"),
    [
        (datetime(2026, 3, 2, tzinfo=UTC), (2026, 5, 1)),
        (datetime(2027, 12, 31, tzinfo=UTC), (2028, 2, 29)),
        (datetime(2028, 2, 29, tzinfo=UTC), (2028, 4, 29)),
    ],
)
def test_sixty_calendar_days_run_over_leap_days(start: datetime, last: tuple[int, int, int]) -> None:
    """HIPAA: the day of discovery is day zero."""
    assert due_at(own("hipaa-individuals"), start, Place()) == end(*last)


def test_days_after_the_year_end_know_leap_years() -> None:
    """Of the year in which the breach was discovered, in the organisation's zone."""
    late = datetime(2027, 1, 1, 3, tzinfo=UTC)  # still 2026 in New York
    assert due_at(own("hipaa-hhs-year"), late, Place("America/New_York")) == end(2027, 3, 1, "America/New_York")
    assert due_at(own("hipaa-hhs-year"), late, Place()) == end(2028, 2, 29)


def test_the_last_day_ends_in_its_own_zone_also_when_clocks_change_then() -> None:
    """In Beirut the day that begins at the change has no midnight; in Berlin the day is 23 hours long."""
    beirut = end_of(date(2026, 3, 28), ZoneInfo("Asia/Beirut"))
    assert (beirut + timedelta(seconds=1)).astimezone(ZoneInfo("Asia/Beirut")).hour == 1
    assert end(2026, 3, 29, "Europe/Berlin") - end(2026, 3, 28, "Europe/Berlin") == timedelta(hours=23)
    assert end(2026, 10, 25, "Europe/Berlin") - end(2026, 10, 24, "Europe/Berlin") == timedelta(hours=25)


# --- Regulation 1182/71 ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "country", "last"),
    [
        (datetime(2026, 2, 14, 9, tzinfo=UTC), "DE", (2026, 3, 16)),  # a Saturday: Monday
        (datetime(2026, 3, 3, 9, tzinfo=UTC), "DE", (2026, 4, 7)),  # Good Friday to Easter Monday: Tuesday
        (datetime(2026, 3, 3, 9, tzinfo=UTC), "", (2026, 4, 3)),  # no country, so no holiday is known
        (datetime(2026, 11, 25, 9, tzinfo=UTC), "DE", (2026, 12, 28)),  # Christmas, and a weekend behind it
        (datetime(2026, 10, 1, 9, tzinfo=UTC), "DE-BY", (2026, 11, 2)),  # All Saints, a Sunday
        (datetime(2026, 5, 6, 9, tzinfo=UTC), "DE", (2026, 6, 8)),  # a Saturday again
    ],
)
def test_a_month_that_ends_on_a_day_off_ends_with_the_next_working_day(
    start: datetime, country: str, last: tuple[int, int, int]
) -> None:
    """Regulation 1182/71, Article 3(4)."""
    assert due_at(own("dora-final"), start, Place("UTC", country)) == end(*last)


def test_it_never_extends_hours() -> None:
    """72 hours that end on a Sunday end on that Sunday."""
    friday = datetime(2026, 3, 5, 10, tzinfo=UTC)
    assert due_at(own("gdpr-authority"), friday, Place("Europe/Berlin", "DE")) == datetime(2026, 3, 8, 10, tzinfo=UTC)


@given(MOMENTS, PLACES, st.integers(1, 60))
def test_the_european_end_is_a_working_day_and_never_before_the_plain_one(
    start: datetime, place: Place, days: int
) -> None:
    """It differs only where the plain end is a day off."""
    plain, extended = (due_at(rule(how, days, "days"), start, place) for how in ("calendar", "eu"))
    assert plain is not None
    assert extended is not None
    zone = ZoneInfo(place.zone)
    assert is_working_day(extended.astimezone(zone).date(), place.country)
    assert extended >= plain
    if is_working_day(plain.astimezone(zone).date(), place.country):
        assert extended == plain


# --- business days -----------------------------------------------------------------------------------


def at_new_york(*when: int) -> datetime:
    return datetime(*when, tzinfo=NEW_YORK)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("determined", "due"),
    [
        (at_new_york(2026, 3, 2, 9), at_new_york(2026, 3, 6, 17, 30)),
        (at_new_york(2026, 3, 2, 23, 59), at_new_york(2026, 3, 6, 17, 30)),  # late in the evening is still day zero
        (at_new_york(2026, 3, 5, 9), at_new_york(2026, 3, 11, 17, 30)),  # a weekend, and the clocks change in it
        (at_new_york(2026, 3, 7, 9), at_new_york(2026, 3, 12, 17, 30)),  # a Saturday: Monday is day one
        (at_new_york(2026, 11, 24, 9), at_new_york(2026, 12, 1, 17, 30)),  # Thanksgiving
        (at_new_york(2026, 6, 30, 9), at_new_york(2026, 7, 7, 17, 30)),  # 4 July is a Saturday, kept on Friday
        (at_new_york(2027, 12, 23, 9), at_new_york(2027, 12, 30, 17, 30)),  # Christmas is kept on the 24th
        (at_new_york(2027, 12, 30, 9), at_new_york(2028, 1, 6, 17, 30)),  # New Year's Day is kept on 31 December
        (at_new_york(2026, 4, 2, 9), at_new_york(2026, 4, 8, 17, 30)),  # the Commission works on Good Friday
    ],
)
def test_four_business_days_after_the_determination(determined: datetime, due: datetime) -> None:
    """Form 8-K: federal holidays with their observed days, to 17:30 in New York."""
    assert due_at(own("sec-8k"), determined, Place("Asia/Tokyo", "JP")) == due


def test_the_day_of_the_determination_is_that_of_new_york() -> None:
    """Two in the morning in Berlin is still the day before."""
    assert due_at(own("sec-8k"), datetime(2026, 3, 3, 2, tzinfo=BERLIN), Place()) == at_new_york(2026, 3, 6, 17, 30)


@given(MOMENTS, st.integers(1, 12))
@example(datetime(2027, 12, 31, 12, tzinfo=UTC), 1)
def test_so_many_working_days_lie_between(start: datetime, days: int) -> None:
    """Counted one by one, it is the same; and the last one is a working day."""
    due = due_at(rule("business", days, "days", holidays="us-federal", zone="America/New_York"), start, Place())
    assert due is not None
    first, last = start.astimezone(NEW_YORK).date(), due.astimezone(NEW_YORK).date()
    between = [first + timedelta(days=each) for each in range(1, (last - first).days + 1)]
    assert sum(is_working_day(each, US_FEDERAL) for each in between) == days
    assert is_working_day(last, US_FEDERAL)


@given(MOMENTS, PLACES)
def test_no_rule_ends_before_it_begins_and_a_later_start_never_ends_earlier(start: datetime, place: Place) -> None:
    """Every rule that comes with keyquell; the clocks may change in between."""
    for each in own_rules().rules:
        due = due_at(each, start, place)
        later = due_at(each, start + timedelta(hours=7), place)
        if due is not None and later is not None:
            assert due > start
            assert later >= due


def test_what_has_no_clock_has_no_end() -> None:
    """Promptly is no number of hours."""
    assert due_at(own("pci-dss-key"), datetime(2026, 1, 1, tzinfo=UTC), Place()) is None


def test_only_known_places_have_holidays() -> None:
    """A typing error must not silently mean a country without holidays."""
    assert [known_place(each) for each in ("", "DE", "DE-BY", "US")] == ["", "DE", "DE-BY", "US"]
    for wrong in ("XX", "DE-ZZ", "de", "Germany"):
        with pytest.raises(ValueError, match="public holidays"):
            known_place(wrong)


def test_a_working_day_is_its_own_next_one() -> None:
    """And without a place only weekends are days off."""
    assert next_working_day(date(2026, 3, 6), "DE") == date(2026, 3, 6)
    assert next_working_day(date(2026, 12, 25), "") == date(2026, 12, 25)
    assert end_of(date(2026, 3, 6), ZoneInfo("UTC")).time() == time(23, 59, 59)
