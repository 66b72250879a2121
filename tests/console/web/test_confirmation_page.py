"""The page that takes back or ends, over HTTP: what it says, what it does, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.authenticator import SoftAuthenticator
from starlette.testclient import TestClient
from web_office import CASE, CODENAME, PEOPLE, WebOffice, token_of, web_office

from flows import step_up
from playbooks import deeds
from playbooks.plans import Step
from playbooks.receipts import Receipt
from playbooks.record import EventKind


@pytest.fixture
def office(tmp_path: Path) -> Iterator[WebOffice]:
    """An office with a case of bob's."""
    with web_office(tmp_path) as found:
        found.case(requested_by="bob")
        yield found


@pytest.fixture
def client(office: WebOffice) -> TestClient:
    """Speaks to the office's app; an error inside would raise here."""
    return TestClient(office.app)


@pytest.fixture
def alice(office: WebOffice) -> SoftAuthenticator:
    """Alice's passkey."""
    return office.enrol("alice")


def ran(office: WebOffice, step: Step, *, changed: bool = True) -> None:
    """The step was carried out; or it found that all was so already."""
    office.write(EventKind.STEP_STARTED, step=step.id, attempt=1, owner="somebody/1/0")
    now = office.wiring.clock()
    receipt = Receipt(subject=step.target, move=step.action.value, requested_at=now, accepted_at=now, changed=changed)
    office.write(EventKind.STEP_FINISHED, step=step.id, outcome="proven", receipt=receipt)


def reversible(office: WebOffice) -> Step:
    return next(each for each in office.plan.steps if each.undo and not each.unavailable)


def final(office: WebOffice) -> Step:
    return next(each for each in office.plan.steps if not each.undo and not each.unavailable)


def touch(office: WebOffice, alice: SoftAuthenticator, token: str) -> dict[str, Any]:
    return alice.get(step_up.look(office.wiring, token).options)


def test_the_page_tells_what_is_taken_back_and_what_stays(
    office: WebOffice, client: TestClient, alice: SoftAuthenticator
) -> None:
    """In words, with the targets; the button says what it does."""
    back, stays = reversible(office), final(office)
    ran(office, back)
    ran(office, stays)
    said = client.get(f"/approve/{token_of(office.deed_link('alice', deeds.UNDO))}").text
    assert f'Take back what was done for <span class="codename">{CODENAME}</span>?' in said
    assert "Whoever holds the leaked key can use it again" in said
    assert "This stays as it is:" in said
    before, _, after = said.partition("This stays as it is:")
    assert back.target in before
    assert f"{stays.target}, {stays.action.value.replace('-', ' ')}: it cannot be taken back." in after
    assert "Take it back with passkey" in said


def test_what_was_so_before_is_not_promised_to_come_back(
    office: WebOffice, client: TestClient, alice: SoftAuthenticator
) -> None:
    """The page foresees what the undo itself decides."""
    ran(office, reversible(office), changed=False)
    said = client.get(f"/approve/{token_of(office.deed_link('alice', deeds.UNDO))}").text
    assert "Nothing of it can be taken back" in said
    assert "it was so before the incident" in said


@pytest.mark.parametrize("outcome", ["false-alarm", "not-contained"])
def test_the_page_tells_as_what_the_case_is_closed(
    office: WebOffice, client: TestClient, alice: SoftAuthenticator, outcome: Any
) -> None:
    """And what stays turned off, and what will not be done any more."""
    step = reversible(office)
    ran(office, step)
    said = client.get(f"/approve/{token_of(office.deed_link('alice', deeds.closing(outcome)))}").text
    words = outcome.replace("-", " ")
    assert f"The case is closed as {words}." in said
    assert f"Close as {words} with passkey" in said
    assert "It was never proven that the leaked key or credential is dead." in said
    assert f"{step.target}: {step.action.value.replace('-', ' ')}." in said.partition("This stays as it is:")[2]
    assert "will not be done." in said


def test_a_touch_ends_the_case_once(office: WebOffice, client: TestClient, alice: SoftAuthenticator) -> None:
    """The second time the link is gone, with 410."""
    token = token_of(office.deed_link("alice", deeds.closing("false-alarm")))
    said = touch(office, alice, token)
    lie = {**said, "response": {**said["response"], "signature": said["response"]["userHandle"]}}
    answer = client.post(f"/approve/{token}/assertion", json=lie)
    assert answer.status_code == 403
    assert "The case was not closed" in answer.text
    assert office.wiring.incident(CASE).closed is None
    for status in (200, 410):
        assert client.post(f"/approve/{token}/assertion", json=said).status_code == status
    closed = office.wiring.incident(CASE).closed
    assert closed is not None
    assert (closed.by, closed.outcome) == ("alice", "false-alarm")


def test_a_touch_for_one_thing_does_no_other(office: WebOffice, client: TestClient, alice: SoftAuthenticator) -> None:
    """Sent to another link of the same person, it is refused there."""
    ran(office, reversible(office))
    undo = token_of(office.deed_link("alice", deeds.UNDO))
    end = token_of(office.deed_link("alice", deeds.closing("false-alarm")))
    approve = token_of(office.approve_link("alice"))
    said = {token: touch(office, alice, token) for token in (undo, end, approve)}
    titles = {undo: "Nothing was taken back", end: "The case was not closed", approve: "Nothing was approved"}
    for token, title in titles.items():
        for other in said:
            if other != token:
                answer = client.post(f"/approve/{token}/assertion", json=said[other])
                assert (answer.status_code, title in answer.text) == (403, True)
    assert office.wiring.records.of_kind(EventKind.CONFIRMED) == []
    assert office.wiring.incident(CASE).closed is None
    assert office.approvers() == []


def test_somebody_who_lost_the_role_takes_nothing_back(
    office: WebOffice, client: TestClient, alice: SoftAuthenticator
) -> None:
    """Also with the page open and the right passkey in the hand."""
    ran(office, reversible(office))
    token = token_of(office.deed_link("alice", deeds.UNDO))
    said = touch(office, alice, token)
    office.roster([each | {"roles": ["approve"]} if each["name"] == "alice" else each for each in PEOPLE])
    assert client.get(f"/approve/{token}").status_code == 410
    answer = client.post(f"/approve/{token}/assertion", json=said)
    assert answer.status_code == 410
    assert "does not hold the role contain" in answer.text
    assert office.wiring.records.of_kind(EventKind.CONFIRMED) == []
