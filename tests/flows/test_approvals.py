"""Approvals bind to one plan and are written on the record they were judged by: races use no request twice."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
import yaml
from leaked_key import declared
from small_shop import Shop

from flows import intake
from flows.settings import load_settings
from flows.wiring import Wiring
from integrations.records.sql import SqlRecords
from playbooks.errors import InvalidInput, NotApproved
from playbooks.event_bodies import Assertion, body_of
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Plan
from playbooks.record import EventKind, verify_chain

pytestmark = pytest.mark.lab

REQUEST = "ab" * 32
ASSERTION = Assertion.model_validate(dict.fromkeys(Assertion.model_fields, "x"))


@pytest.fixture
def case(wiring: Wiring, shop: Shop) -> str:
    """A case that alice declared, with its plan."""
    return declared(wiring, shop)


def plan_of(wiring: Wiring, case: str) -> Plan:
    """The current plan."""
    plan = wiring.incident(case).plan
    assert plan is not None
    return plan


def ask(wiring: Wiring, case: str, *, person: str = "bob", request: str = REQUEST) -> str:
    """A single-use request was made to a person for the current plan; its digest."""
    digest = plan_of(wiring, case).digest
    body = body_of(
        EventKind.APPROVAL_ASKED,
        request=request,
        approver=person,
        digest=digest,
        expires_at=(datetime.now(UTC) + timedelta(minutes=5)).isoformat(),
        via="web",
    )
    wiring.records.append_next(case, kind=EventKind.APPROVAL_ASKED, body=body)
    return digest


def by_passkey(wiring: Wiring, case: str, digest: str, *, approver: str = "bob", request: str = REQUEST) -> None:
    """Redeem a request."""
    intake.approve(
        wiring,
        case,
        approver=approver,
        digest=digest,
        method="webauthn",
        request=request,
        assertion=ASSERTION,
        passkey_enrolled_at=datetime(2026, 1, 1, tzinfo=UTC),
        address="10.0.0.1",
    )


def another_plan(wiring: Wiring, shop: Shop, case: str) -> Plan:
    """The plan after somebody was added to the estate."""
    estate = yaml.safe_load(shop.estate.read_text())
    estate["consumers"].append({"name": f"service-{len(estate['consumers'])}", "owner": "x", "uses": [shop.key]})
    fresh = shop.estate.with_suffix(f".{uuid4().hex}")
    fresh.write_text(yaml.safe_dump(estate))
    fresh.replace(shop.estate)
    return intake.replan(wiring, case)


def test_approvals_are_void_when_the_plan_changes(wiring: Wiring, shop: Shop) -> None:
    """Approving binds to the digest: another estate makes another plan, which nobody has approved."""
    incident_id = declared(wiring, shop)
    old = wiring.incident(incident_id).plan
    assert old is not None
    intake.approve(wiring, incident_id, approver="bob", digest=old.digest)
    assert len(wiring.incident(incident_id).approvals) == 1
    shop.estate.write_text(shop.estate.read_text().replace("backup_retention_days: 30", "backup_retention_days: 400"))
    estate = yaml.safe_load(shop.estate.read_text())
    estate["contacts"]["managers"] = "ciso"
    estate["consumers"].append({"name": "another", "owner": "x", "uses": [shop.key]})
    shop.estate.write_text(yaml.safe_dump(estate))
    new = intake.replan(wiring, incident_id)
    assert new.digest != old.digest
    assert wiring.incident(incident_id).approvals == ()
    with pytest.raises(InvalidInput, match="digest"):
        intake.approve(wiring, incident_id, approver="bob", digest=old.digest)


@pytest.mark.parametrize(
    ("approver", "digest", "why"),
    [("alice", "", "asked for this"), ("bob", "0" * 64, "digest"), ("bob", "short", "digest")],
)
def test_a_worthless_approval_is_refused(wiring: Wiring, shop: Shop, approver: str, digest: str, why: str) -> None:
    """The requester, another plan's digest, and too short a digest approve nothing."""
    incident_id = declared(wiring, shop)
    plan = wiring.incident(incident_id).plan
    assert plan is not None
    with pytest.raises(InvalidInput, match=why):
        intake.approve(wiring, incident_id, approver=approver, digest=digest or plan.digest)
    assert wiring.incident(incident_id).approvals == ()


def test_what_the_approval_rests_on_is_in_the_record(wiring: Wiring, case: str) -> None:
    """Method, request, assertion, age of the passkey and address."""
    by_passkey(wiring, case, ask(wiring, case))
    body = wiring.records.events(case)[-1].body
    assert (body["method"], body["request"], body["address"]) == ("webauthn", REQUEST, "10.0.0.1")
    assert body["assertion"] == ASSERTION.model_dump()
    [approval] = wiring.incident(case).approvals
    assert approval.passkey_enrolled_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("weaker", ["cli", "slack", "totp"])
def test_a_click_does_not_swallow_the_passkey_that_follows(wiring: Wiring, case: str, weaker: str) -> None:
    """Both are in the record; the click again is not."""
    digest = ask(wiring, case)
    for _ in range(2):
        intake.approve(wiring, case, approver="bob", digest=digest, method=weaker)
    by_passkey(wiring, case, digest)
    intake.approve(wiring, case, approver="Bob", digest=digest, method=weaker)
    assert [each.method for each in wiring.incident(case).approvals] == [weaker, "webauthn"]


def test_an_approval_out_of_hours_does_not_swallow_the_one_in_the_morning(shop: Shop) -> None:
    """With a roster, what counts depends on when; the same yes in the same hours is written once."""
    roster = shop.root / "roster.yaml"
    people = [{"name": name, "roles": ["approve"]} for name in ("alice", "bob")]
    hours = {"days": [1, 2, 3, 4, 5], "from": 8, "to": 18}
    roster.write_text(yaml.safe_dump({"people": people, "rules": {"hours": hours}}))
    settings = load_settings(shop.config).model_copy(update={"roster": roster})
    night = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    now = [night]
    with Wiring.open(settings, clock=lambda: now[0]) as wiring:
        exposure = Exposure(kind=ExposureKind.CREDENTIAL, target=shop.credential, confidence=1.0)
        case = intake.declare(wiring, [exposure], requested_by="alice")
        digest = plan_of(wiring, case).digest
        for hour in (3, 4, 9, 10):
            now[0] = night.replace(hour=hour)
            intake.approve(wiring, case, approver="bob", digest=digest, method="totp")
        assert [each.at.hour for each in wiring.incident(case).approvals] == [3, 9]


def test_one_request_gives_one_approval_however_many_redeem_it(wiring: Wiring, shop: Shop, case: str) -> None:
    """Eight at once, from two processes' worth of wirings: one is written, the others are told why not."""
    digest = ask(wiring, case)

    def redeem(number: int) -> str:
        try:
            by_passkey((wiring, another)[number % 2], case, digest)
        except NotApproved as error:
            return error.message
        return ""

    with shop.wiring() as another, ThreadPoolExecutor(8) as pool:
        told = list(pool.map(redeem, range(8)))
    assert sorted(told) == ["", *[f"{case} is not approved: the link was used before."] * 7]
    verify_chain(wiring.records.events(case))
    assert len(wiring.incident(case).approvals) == 1


@pytest.mark.parametrize(
    ("approver", "request_", "why"),
    [("carol", REQUEST, "not made for this person"), ("bob", "cd" * 32, "not made for this person")],
)
def test_somebody_elses_request_approves_nothing(
    wiring: Wiring, case: str, approver: str, request_: str, why: str
) -> None:
    """Nor does one that was never made; the request can still be used by its owner."""
    digest = ask(wiring, case)
    with pytest.raises(NotApproved, match=why):
        by_passkey(wiring, case, digest, approver=approver, request=request_)
    by_passkey(wiring, case, digest)
    assert [each.approver for each in wiring.incident(case).approvals] == ["bob"]


def test_a_request_for_an_earlier_plan_approves_nothing(wiring: Wiring, shop: Shop, case: str) -> None:
    """Neither under the old digest nor under the new one."""
    old = ask(wiring, case)
    new = another_plan(wiring, shop, case)
    with pytest.raises(InvalidInput, match="digest"):
        by_passkey(wiring, case, old)
    with pytest.raises(NotApproved, match="the plan has changed"):
        by_passkey(wiring, case, new.digest)
    assert wiring.incident(case).approvals == ()


def before_the_next_append(monkeypatch: pytest.MonkeyPatch, kind: EventKind, act: Callable[[], Any]) -> None:
    """Let something else happen between the checks and the writing of the next event of this kind."""
    real = SqlRecords.append
    acts = [act]

    def append(self: SqlRecords, incident: str, **options: Any) -> Any:
        if acts and options["kind"] is kind:
            acts.pop()()
        return real(self, incident, **options)

    monkeypatch.setattr(SqlRecords, "append", append)


@pytest.mark.parametrize("word", ["approve", "deny"])
def test_a_plan_that_is_made_in_between_is_not_spoken_to(
    wiring: Wiring, shop: Shop, case: str, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """The person saw the old plan: the word about it is refused, and nothing is written."""
    digest = plan_of(wiring, case).digest
    kind = EventKind.APPROVAL_GIVEN if word == "approve" else EventKind.APPROVAL_DENIED
    before_the_next_append(monkeypatch, kind, lambda: another_plan(wiring, shop, case))
    speak = intake.approve if word == "approve" else partial(intake.deny, reason="no")
    with pytest.raises(InvalidInput, match="digest"):
        speak(wiring, case, approver="bob", digest=digest)
    assert all(event.kind is not kind for event in wiring.records.events(case))


def test_whatever_else_is_written_in_between_does_not_stop_an_approval(
    wiring: Wiring, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A note is no reason to refuse: it is judged again and written."""
    digest = plan_of(wiring, case).digest
    note = body_of(EventKind.NOTE, text="hello", by="carol")
    before_the_next_append(
        monkeypatch,
        EventKind.APPROVAL_GIVEN,
        lambda: wiring.records.append_next(case, kind=EventKind.NOTE, body=note),
    )
    intake.approve(wiring, case, approver="bob", digest=digest)
    assert [each.approver for each in wiring.incident(case).approvals] == ["bob"]


def test_a_denial_says_where_it_came_from(wiring: Wiring, case: str) -> None:
    """Slack, web or terminal; the plan's whole digest stands in it."""
    plan = plan_of(wiring, case)
    intake.deny(wiring, case, approver="bob", digest=plan.digest[:12], reason="no", via="slack")
    body = wiring.records.events(case)[-1].body
    assert (body["via"], body["digest"]) == ("slack", plan.digest)


def test_racing_words_leave_a_record_that_can_be_read(wiring: Wiring, shop: Shop, case: str) -> None:
    """Approvals, denials and plans in any order: the chain holds and no word is about another plan."""

    def act(number: int) -> None:
        with suppress(InvalidInput):
            digest = plan_of(wiring, case).digest
            if number % 3 == 0:
                another_plan(wiring, shop, case)
            elif number % 3 == 1:
                intake.approve(wiring, case, approver=f"p{number}", digest=digest)
            else:
                intake.deny(wiring, case, approver=f"p{number}", digest=digest, reason="no")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(act, range(12)))
    events = wiring.records.events(case)
    verify_chain(events)
    current = ""
    for event in events:
        if event.kind is EventKind.PLAN_MADE:
            current = str(event.body["plan"]["digest"])  # type: ignore[index, call-overload]
        if event.kind in (EventKind.APPROVAL_GIVEN, EventKind.APPROVAL_DENIED):
            assert event.body["digest"] == current
