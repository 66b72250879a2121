"""A draft goes out when a person has read it, once, as that person left it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from open_case import OpenedByHand, wired
from written_case import ID, Case

from flows.messages import draft, review
from playbooks.drafts import FILL_IN
from playbooks.errors import InvalidInput, KeyquellError
from playbooks.record import EventKind


@pytest.fixture
def wiring(tmp_path: Path) -> Iterator[OpenedByHand]:
    with wired(tmp_path, Case()) as opened:
        yield opened


FILLED = {"subject": "Notice", "body": "All is told."}


def test_a_released_draft_is_queued_as_it_was_edited_with_the_name_of_who_read_it(wiring: OpenedByHand) -> None:
    """A second release by whoever changes nothing."""
    message = draft(wiring, ID, "customers")
    review(wiring, ID, message, by="bob", release=True, edited=FILLED)
    review(wiring, ID, message, by="carol", release=True)
    sent = wiring.case.messages[message]
    assert (sent.subject, sent.body, sent.reviewed_by, sent.need_to_know) == (
        "Notice",
        "All is told.",
        "bob",
        "outside",
    )
    assert wiring.case.people.drafts == {}


def test_a_withdrawn_draft_is_never_sent(wiring: OpenedByHand) -> None:
    """Withdrawing again changes nothing; releasing it then is refused."""
    message = draft(wiring, ID, "executives")
    for _ in range(2):
        review(wiring, ID, message, by="bob", release=False, edited={"reason": "too early"})
    with pytest.raises(InvalidInput, match="was withdrawn already"):
        review(wiring, ID, message, by="bob", release=True)
    assert wiring.case.messages == {}
    assert wiring.kinds().count(EventKind.MESSAGE_WITHDRAWN) == 1


@pytest.mark.parametrize(
    ("edited", "why"),
    [
        ({}, "has places to fill in"),
        ({"subject": " ", "body": "b"}, "the subject of .* is empty"),
        ({"audience": "press"}, "'audience' of a message cannot be edited"),
        ({"subject": "s", "body": f"{FILL_IN} when]"}, "has places to fill in"),
    ],
)
def test_a_draft_that_is_not_finished_is_not_released(wiring: OpenedByHand, edited: dict[str, str], why: str) -> None:
    """What only people know must be written by them."""
    message = draft(wiring, ID, "customers")
    with pytest.raises(InvalidInput, match=why):
        review(wiring, ID, message, by="bob", release=True, edited=edited)
    assert message in wiring.case.people.drafts


def test_a_draft_that_is_not_there_is_an_error_that_names_those_that_are(wiring: OpenedByHand) -> None:
    """Each draft has an id of its own."""
    first, second = draft(wiring, ID, "owner"), draft(wiring, ID, "owner")
    assert first != second
    with pytest.raises(InvalidInput, match=f"no draft 'm9'.*{first}, {second}"):
        review(wiring, ID, "m9", by="bob", release=True)


def test_two_people_who_decide_at_once_decide_once(wiring: OpenedByHand) -> None:
    """One is told that it was decided."""
    message = draft(wiring, ID, "owner")
    refused: list[str] = []

    def decide(*, release: bool) -> None:
        try:
            review(wiring, ID, message, by="bob", release=release)
        except KeyquellError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=decide, kwargs={"release": each}) for each in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    decided = [kind for kind in wiring.kinds() if kind in (EventKind.MESSAGE_QUEUED, EventKind.MESSAGE_WITHDRAWN)]
    assert (len(decided), len(refused)) == (1, 1)
