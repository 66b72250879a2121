"""Breaking the glass: in the open, as one person, and reviewed by another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
from approvers import CASE, DESTROY, PEOPLE, PEOPLE_BY_NAME, RENEW, Office, open_office

from flows.background import Background
from flows.break_glass import break_glass, review_glass
from flows.desk import ResponseDesk
from playbooks.desk import Actor
from playbooks.errors import InvalidInput, NotApproved
from playbooks.progress import gate_open
from playbooks.record import EventKind, verify_chain

ALICE, BOB, CAROL = (Actor(account=name, via="cli") for name in ("alice", "bob-l", "carol"))


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A case of alice's."""
    with open_office(tmp_path) as office:
        office.roster(custodians=["dave"])
        office.case()
        yield office


def digest(office: Office) -> str:
    plan = office.wiring.incident(CASE).plan
    assert plan is not None
    return plan.digest


def broken(office: Office, who: Actor = BOB) -> None:
    break_glass(office.wiring, who, CASE, digest=digest(office), reason="the passkeys are in the other building")


def test_it_counts_as_one_person_and_never_as_two(office: Office) -> None:
    """What one person decides runs; what two decide waits for another."""
    broken(office)
    broken(office)
    wiring = office.wiring
    assert gate_open(wiring.incident(CASE), RENEW, wiring.authority())
    assert not gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    broken(office, CAROL)
    assert gate_open(wiring.incident(CASE), DESTROY, wiring.authority())
    verify_chain(wiring.records.events(CASE))


def test_everybody_is_told_before_it_counts(office: Office) -> None:
    """The glass, the messages and then the approval stand in the record; no message names a key."""
    broken(office)
    kinds = [event.kind for event in office.wiring.records.events(CASE)][-4:]
    assert kinds == [
        EventKind.GLASS_BROKEN,
        EventKind.MESSAGE_QUEUED,
        EventKind.MESSAGE_QUEUED,
        EventKind.APPROVAL_GIVEN,
    ]
    messages = office.wiring.incident(CASE).messages.values()
    assert [(each.audience, each.need_to_know) for each in messages] == [
        ("custodians", "responders"),
        ("responders", "responders"),
    ]
    for each in messages:
        assert "bob" in each.subject
        assert "aws-kms" not in each.subject + each.body


def test_the_card_shows_it_until_another_person_has_reviewed_it(office: Office) -> None:
    """Then the verdict stands."""
    broken(office)
    desk = ResponseDesk(office.wiring, Background(office.wiring))
    assert any("broke the glass" in each for each in desk.card(CAROL, CASE).warnings)
    assert any("waits for another person's review" in each for each in desk.who(CAROL, CASE))
    review_glass(office.wiring, CAROL, CASE, verdict="justified", text="I was there")
    assert not any("broke the glass" in each for each in desk.card(CAROL, CASE).warnings)
    glass = office.wiring.incident(CASE).people.glass[0]
    assert (glass.reviewed_by, glass.verdict) == ("carol", "justified")


def test_nobody_reviews_their_own(office: Office) -> None:
    """Nor is there anything to review twice."""
    broken(office)
    with pytest.raises(NotApproved, match="bob broke it"):
        review_glass(office.wiring, BOB, CASE, verdict="justified")
    with pytest.raises(NotApproved, match="role"):
        review_glass(office.wiring, ALICE, CASE, verdict="justified")
    review_glass(office.wiring, Actor(account="dave", via="cli"), CASE, verdict="not-justified")
    with pytest.raises(InvalidInput, match="waits for review"):
        review_glass(office.wiring, CAROL, CASE, verdict="justified")
    assert ("bob", "bob broke it") in office.refusals()


def test_only_approvers_who_did_not_ask_break_it_and_only_at_the_terminal(office: Office) -> None:
    """Everything else is refused and recorded, and approves nothing."""
    office.case(requested_by="carol", incident="KQ-TEST-2")
    plan = office.wiring.incident("KQ-TEST-2").plan
    assert plan is not None
    attempts = (
        (ALICE, CASE, digest(office), "does not hold the role"),
        (Actor(account="frank", via="cli"), CASE, digest(office), "has left"),
        (Actor(account="mallory", via="cli"), CASE, digest(office), "nobody in the roster"),
        (Actor(account="UBOB", via="slack"), CASE, digest(office), "command line alone"),
        (CAROL, "KQ-TEST-2", plan.digest, "asked for this"),
    )
    for who, incident, seen, why in attempts:
        with pytest.raises(NotApproved, match=why):
            break_glass(office.wiring, who, incident, digest=seen, reason="now")
        assert any(why in reason for _, reason in office.refusals(incident))
    assert office.wiring.records.of_kind(EventKind.GLASS_BROKEN) == []
    assert office.wiring.records.of_kind(EventKind.APPROVAL_GIVEN) == []


def test_it_needs_a_reason_and_the_plan_at_hand(office: Office) -> None:
    """A mistake is no attempt."""
    with pytest.raises(InvalidInput, match="why the glass"):
        break_glass(office.wiring, BOB, CASE, digest=digest(office), reason=" ")
    with pytest.raises(InvalidInput, match="digest"):
        break_glass(office.wiring, BOB, CASE, digest="f" * 64, reason="now")
    assert office.refusals() == []


def test_where_one_time_codes_are_set_up_one_is_needed(office: Office) -> None:
    """A stolen login alone breaks nothing."""
    secret = pyotp.random_base32()
    (office.root / "bob.totp").write_text(secret, encoding="utf-8")
    with_code = PEOPLE_BY_NAME["bob"] | {"totp": f"file:{office.root / 'bob.totp'}"}
    office.roster([each for each in PEOPLE if each["name"] != "bob"] + [with_code])
    with pytest.raises(NotApproved, match="not right"):
        broken(office)
    code = pyotp.TOTP(secret).at(office.now)
    break_glass(office.wiring, BOB, CASE, digest=digest(office), reason="now", code=code)
    with pytest.raises(NotApproved, match="used already"):
        break_glass(office.wiring, BOB, CASE, digest=digest(office), reason="now", code=code)


def test_hours_do_not_hold_it_up_but_a_new_colleague_does_not_count(office: Office) -> None:
    """Nights are what it is for."""
    office.roster(rules={"hours": {"from": 18, "to": 20}})
    broken(office)
    wiring = office.wiring
    assert gate_open(wiring.incident(CASE), RENEW, wiring.authority())
    people = [each | {"joined": "2027-03-01"} if each["name"] == "carol" else each for each in PEOPLE]
    office.roster(people, rules={"person_age_days": 30})
    with pytest.raises(NotApproved, match="joined less than"):
        broken(office, CAROL)


def test_without_a_roster_there_is_no_glass(tmp_path: Path) -> None:
    """Names count as given, and nobody is asked for a passkey."""
    with open_office(tmp_path, roster=False) as office:
        office.case()
        with pytest.raises(InvalidInput, match="no glass to break"):
            broken(office)
