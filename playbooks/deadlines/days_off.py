"""Days on which nobody works, from the calendars of the library ``holidays``; known for sure only for years near us."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import holidays

US_FEDERAL = "US"
"""Federal holidays with their observed days: those on which the SEC is closed (17 CFR 240.0-2, Form 8-K B.1).

The New York Stock Exchange's calendar differs (it trades on Columbus and Veterans Day) and does not count here.
"""


def known_place(code: str) -> str:
    """The code of a country (``DE``) or a part of it (``DE-BY``) with known holidays, or ""; ValueError for others."""
    country, _, part = code.partition("-")
    parts = holidays.list_supported_countries(include_aliases=True).get(country)
    if code and (parts is None or (part and part not in parts)):
        raise ValueError(f"no public holidays are known for {code!r}; codes are like DE, or DE-BY for a part of it")
    return code


def is_working_day(day: date, place: str) -> bool:
    """Is it no Saturday, Sunday or public holiday there?  Of an unnamed place ("") only the weekend is known."""
    return day.weekday() < 5 and not (place and day in _of_year(place, day.year))


@lru_cache(maxsize=256)
def _of_year(place: str, year: int) -> frozenset[date]:
    country, _, part = place.partition("-")
    return frozenset(holidays.country_holidays(country, subdiv=part or None, years=year))
