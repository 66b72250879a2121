"""Checkpoints as notes in PagerDuty: one for each, on the case's own incident, and never a secret."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from fakes.pagerduty_server import FakePagerDuty
from paging_cases import INCIDENT, case
from sealed_checkpoint import CONTENT, checkpoint

from integrations.paging.pagerduty import PagerDuty
from integrations.registry import open_adapter
from playbooks.errors import InvalidInput, Throttled, Unreachable
from playbooks.evidence.anchors import Sealed

PAGED = {"level-1": INCIDENT}


def opened(options: dict[str, Any]) -> Any:
    return open_adapter("anchors", "pagerduty", name="notes", options=options, clock=lambda: datetime.now(UTC))


def page(options: dict[str, Any]) -> None:
    """Somebody is called."""
    PagerDuty.open("pager", options, clock=lambda: datetime.now(UTC)).page(case(), level=1, person=None)


def paged(*, exercise: bool = False, head: str = "ab" * 32) -> Sealed:
    return checkpoint(incident=INCIDENT, exercise=exercise, head=head, links=PAGED)


def notes(fake: FakePagerDuty) -> list[str]:
    return [str(note["content"]) for each in fake.account.incidents for note in each.notes]


def test_the_note_holds_statement_and_signature_and_is_written_once(
    fake: FakePagerDuty, options: dict[str, Any]
) -> None:
    """Also when another process comes again, whose memory is empty."""
    page(options)
    first = opened(options).anchor(paged())
    assert opened(options).anchor(paged()) == first
    [note] = notes(fake)
    assert CONTENT.decode().strip() in note
    assert "events 0 to 12 are signed" in note
    assert first.reference.startswith("pagerduty:incidents/")
    assert [each for each in (fake.routing_key, fake.account.token) if each in note + first.reference] == []


def test_an_exercise_is_marked(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """In its first word."""
    page(options)
    opened(options).anchor(paged(exercise=True))
    assert notes(fake)[0].startswith("EXERCISE.")


def test_a_case_that_nobody_was_called_for_has_no_place_there(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """And PagerDuty is not asked."""
    assert opened(options).anchor(checkpoint(incident=INCIDENT)) is None
    assert fake.requests == []


def test_an_incident_that_is_not_there_yet_is_waited_for(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """PagerDuty opens it a moment after the event."""
    assert fake.account.incidents == []
    with pytest.raises(Unreachable, match="not opened"):
        opened(options).anchor(paged())


@pytest.mark.parametrize(("fault", "error"), [("throttled", Throttled), ("broken", Unreachable), ("down", Unreachable)])
def test_what_goes_wrong_is_said(
    fake: FakePagerDuty, options: dict[str, Any], fault: Any, error: type[Exception]
) -> None:
    """And no note is written."""
    page(options)
    fake.fault = fault
    with pytest.raises(error):
        opened(options).anchor(paged())
    assert notes(fake) == []


def test_a_pager_without_the_rest_api_cannot_take_notes(options: dict[str, Any]) -> None:
    """Said when the settings are read, with the way out."""
    with pytest.raises(InvalidInput, match=r"anchors\.notes.*api_token"):
        opened({**options, "api_token": ""})
