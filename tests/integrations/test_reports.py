"""Times as findings write them, and text that may be shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.reports import moment, shown

AT = datetime(2026, 2, 6, 18, 47, 19, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-06T18:47:19Z",
        "2026-02-06T18:47:19",
        "2026-02-06T19:47:19+01:00",
        "2026-02-06 18:47:19 +0000",
        "2026-02-06 18:47:19 (UTC)",
        "2026-02-06 18:47:19 UTC",
        "Fri, 06 Feb 2026 18:47:19 GMT",
        "1770403639",
        1770403639,
        1770403639.0,
    ],
)
def test_every_usual_spelling_of_a_time_is_read(text: Any) -> None:
    """In UTC, which is assumed when no zone is given."""
    assert moment(text) == AT


@pytest.mark.parametrize(
    "text", ["", "soon", None, True, [], {}, -1, 10**40, float("inf"), "0001-01-01T00:00:00+23:59"]
)
def test_what_is_no_time_is_none(text: Any) -> None:
    """A finding without a usable time is still a finding."""
    assert moment(text) is None


@given(st.text(max_size=70) | st.integers() | st.floats())
def test_any_value_can_be_asked_for_its_time(value: Any) -> None:
    """A time in UTC or none, never a fault."""
    found = moment(value)
    assert found is None or found.utcoffset() == UTC.utcoffset(None)


def test_shown_text_is_one_clean_short_line() -> None:
    """Without the secret, logins, line breaks and what turns text around."""
    text = "at https://bot:hunter2@git.example/x\r\n\x1b[31m\u202e pin-472913 " + "y" * 500
    line = shown(text, hide=("472913", ""))
    assert line.startswith("at https://git.example/x [31m pin-… y")
    assert len(line) == 200
    assert (shown(None), shown(12)) == ("", "12")
