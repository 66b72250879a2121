"""Looks behind the page: tokens that must not leak, markup that stays text, and an invitation that was stolen."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from fakes.authenticator import SoftAuthenticator
from knocking import OURS
from starlette.testclient import TestClient
from web_office import CASE, KEY, PEOPLE, WebOffice, token_of

from flows import step_up
from playbooks.record import INSTALLATION, EventKind

# --- what leaks ------------------------------------------------------------------------------------


def test_no_token_is_said_anywhere_but_on_its_own_page(
    office: WebOffice, client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in logs, headers, errors or the record, and no referrer carries it to another site."""
    authenticator = office.enrol("bob")
    token = token_of(office.approve_link("bob"))
    with caplog.at_level(logging.DEBUG):
        page = client.get(f"/approve/{token}")
        answers = [
            client.post(f"/approve/{token}/assertion", json={"id": authenticator.id}),
            client.post(f"/approve/{token}/assertion", content=b"{", headers={"content-type": "application/json"}),
            client.post(f"/approve/{token}/nowhere"),
            client.put(f"/approve/{token}"),
            client.get(f"/approve/{token}/../{token}x"),
            client.get("/healthz", headers={"referer": f"{OURS}/approve/{token}"}),
        ]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert token not in str(page.headers)
    for each in answers:
        assert token not in each.text + str(each.headers)
    assert not [each for each in caplog.records if each.name.startswith(("keyquell", "uvicorn")) and token in str(each)]
    kept = [
        event.model_dump_json() if hasattr(event, "model_dump_json") else repr(event)
        for chain in (CASE, INSTALLATION)
        for event in office.wiring.records.events(chain)
    ]
    assert token not in "".join(kept)


def test_markup_and_unseen_characters_in_what_others_wrote_stay_text_on_the_page(
    office: WebOffice, client: TestClient
) -> None:
    """Names in the roster, reasons of a no, and the key's own name."""
    evil = "<img src=x onerror=alert(1)>\u202e\u200bgnp"
    office.roster([{**each, "display": f"{each['display']} {evil}"} for each in PEOPLE])
    office.enrol("bob")
    plan = office.plan
    office.write(EventKind.APPROVAL_DENIED, approver="carol", digest=plan.digest, reason=evil, via="slack")
    office.write(
        EventKind.PLAN_MADE, plan=plan.model_copy(update={"residual": (evil,), "unknowns": (f"{KEY} {evil}",)})
    )
    page = client.get(f"/approve/{token_of(office.approve_link('bob'))}")
    assert page.status_code == 200
    assert "<img src=x" not in page.text
    assert "\u202e" not in page.text
    assert "&lt;img" in page.text


# --- what is stolen --------------------------------------------------------------------------------


def test_an_invitation_that_was_used_first_by_a_thief_is_told_to_people_and_shuts_out_the_thief_later(
    office: WebOffice, client: TestClient
) -> None:
    """The link works once; the case says that bob has a new passkey, and to whom to turn."""
    office.enrol("bob")
    token = token_of(office.enrol_link("bob"))
    thief = SoftAuthenticator(origin=OURS)
    made = thief.create(step_up.invited(office.wiring, token).options)
    assert client.post(f"/enrol/{token}", json={"credential": made, "label": "mine"}).status_code == 200
    again = SoftAuthenticator(origin=OURS).create(step_up_options())
    assert client.post(f"/enrol/{token}", json={"credential": again, "label": "x"}).status_code == 403
    told = [each for each in office.wiring.incident(CASE).messages.values() if "new passkey" in each.subject]
    assert {each.audience for each in told} == {"custodians", "responders"}
    assert all("remove-passkey" in each.body and token not in each.body for each in told)


def step_up_options() -> dict[str, Any]:
    """What a page might have asked, had there been one."""
    user = {"id": "Ym9i", "name": "bob", "displayName": "bob"}
    return {"rp": {"id": "localhost"}, "user": user, "challenge": "AAAA", "excludeCredentials": []}
