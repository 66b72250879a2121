"""The roster: who is meant, which role holds on which day, and what makes an approval doubtful."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from playbooks.roster import Circumstances, Hours, Person, Role, Roster, Rules, doubt, objection

NOW = datetime(2027, 3, 2, 9, 0, tzinfo=UTC)  # a Tuesday
BOB = Person.model_validate({"name": "bob", "slack": ["UBOB"], "logins": ["bob-l"], "roles": ["approve"]})


def person(**fields: Any) -> Person:
    return Person.model_validate({"name": "bob"} | fields)


GRANTS: dict[str, tuple[dict[str, Any], str]] = {
    "a plain role holds": ({"roles": ["approve"]}, ""),
    "a role that begins today holds": ({"roles": [{"role": "approve", "since": "2027-03-02"}]}, ""),
    "a role that ends today holds": ({"roles": [{"role": "approve", "until": "2027-03-02"}]}, ""),
    "a role that ended yesterday does not": ({"roles": [{"role": "approve", "until": "2027-03-01"}]}, "not valid on"),
    "a role that begins tomorrow does not": ({"roles": [{"role": "approve", "since": "2027-03-03"}]}, "not valid on"),
    "another role does not": ({"roles": ["retire", "contain"]}, "does not hold the role approve"),
    "one of two grants is enough": (
        {"roles": [{"role": "approve", "until": "2026-01-01"}, {"role": "approve", "since": "2027-01-01"}]},
        "",
    ),
    "whoever left today holds nothing": ({"roles": ["approve"], "left": "2027-03-02"}, "has left"),
    "whoever leaves tomorrow does": ({"roles": ["approve"], "left": "2027-03-03"}, ""),
}


@pytest.mark.parametrize("case", GRANTS.values(), ids=GRANTS.keys())
def test_roles_hold_on_their_days(case: tuple[dict[str, Any], str]) -> None:
    """Both ends included, in UTC; leaving ends everything."""
    why = objection(person(**case[0]), (Role.APPROVE,), NOW)
    assert (case[1] in why) if case[1] else not why


def test_a_stranger_holds_nothing() -> None:
    """Nobody meant is nobody who may."""
    assert objection(None, tuple(Role), NOW) == "nobody in the roster is meant"


def test_an_account_names_one_person_and_nobody_else() -> None:
    """By Slack id, pager id, login or name; an empty account is nobody."""
    roster = Roster(people=(BOB, Person(name="carol", pagerduty=("PC",))))
    assert roster.by_slack("UBOB") == BOB
    assert roster.by_login("bob") == roster.by_login("bob-l") == roster.person(" BOB ") == BOB
    assert roster.by_pagerduty("PC") == roster.person("carol")
    for nobody in (roster.by_slack(""), roster.by_slack("ubob"), roster.by_pagerduty("UBOB"), roster.by_login("")):
        assert nobody is None


AMBIGUOUS: dict[str, dict[str, Any]] = {
    "name": {"people": [{"name": "bob"}, {"name": "bob"}]},
    "slack": {"people": [{"name": "bob", "slack": ["U1"]}, {"name": "carol", "slack": ["U1"]}]},
    "pagerduty": {"people": [{"name": "bob", "pagerduty": ["P"]}, {"name": "carol", "pagerduty": ["P"]}]},
    "logins": {"people": [{"name": "bob", "logins": ["x"]}, {"name": "carol", "logins": ["x"]}]},
    "escalation.people": {"people": [{"name": "bob"}], "escalation": {"people": ["carol"]}},
    "custodians": {"people": [{"name": "bob"}], "custodians": ["carol"]},
}


@pytest.mark.parametrize("field", AMBIGUOUS)
def test_a_roster_that_is_not_plain_is_refused(field: str) -> None:
    """Two people by one name, or a name that nobody has."""
    with pytest.raises(ValidationError, match=field):
        Roster.model_validate(AMBIGUOUS[field])


@pytest.mark.parametrize(
    "fields", [{"name": "Bob"}, {"name": "bob", "totp": "JBSWY3DPEHPK3PXP"}, {"name": "bob", "role": ["approve"]}]
)
def test_a_person_that_is_written_wrongly_is_refused_without_repeating_it(fields: dict[str, Any]) -> None:
    """A secret in clear, above all."""
    with pytest.raises(ValidationError) as refusal:
        Person.model_validate(fields)
    assert "JBSWY3DPEHPK3PXP" not in str(refusal.value)


WEB = Circumstances(at=NOW, via="web", address="10.1.2.3", passkey_enrolled_at=NOW - timedelta(hours=5))
DOUBTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no rule doubts nothing": ({}, {}, ""),
    "within hours": ({"hours": {"from": 9, "to": 10}}, {}, ""),
    "the end hour is outside": ({"hours": {"from": 8, "to": 9}}, {}, "outside the hours"),
    "another day is outside": ({"hours": {"days": [1], "from": 0, "to": 24}}, {}, "outside the hours"),
    "hours are those of the zone": ({"hours": {"from": 10, "to": 11, "timezone": "Europe/Berlin"}}, {}, ""),
    "break-glass is exempt from hours": ({"hours": {"from": 8, "to": 9}}, {"via": "break-glass"}, ""),
    "an address within": ({"networks": ["10.0.0.0/8"]}, {}, ""),
    "an address outside": ({"networks": ["192.168.0.0/16"]}, {}, "network"),
    "no address is outside": ({"networks": ["10.0.0.0/8"]}, {"address": ""}, "network"),
    "an address only matters on the web": ({"networks": ["10.0.0.0/8"]}, {"via": "slack", "address": ""}, ""),
    "a passkey old enough": ({"passkey_age_hours": 5}, {}, ""),
    "a passkey too fresh": ({"passkey_age_hours": 5.1}, {}, "enrolled less than"),
    "a passkey from a clock ahead is taken when no age is asked": (
        {},
        {"passkey_enrolled_at": NOW + timedelta(seconds=1)},
        "",
    ),
    "a person too new": ({"person_age_days": 30}, {}, "joined less than 30 days"),
    "a person long here": ({"person_age_days": 3}, {}, ""),
}


@pytest.mark.parametrize("case", DOUBTS.values(), ids=DOUBTS.keys())
def test_circumstances_count_only_where_a_rule_is_set(case: tuple[dict[str, Any], dict[str, Any], str]) -> None:
    """Hours, networks, the age of the passkey and of the person."""
    rules, changed, expected = case
    at = {name: getattr(WEB, name) for name in ("at", "via", "address", "passkey_enrolled_at")} | changed
    who = person(joined=date(2027, 2, 20))
    why = doubt(who, Rules.model_validate(rules), Circumstances(**at))
    assert (expected in why) if expected else not why


IMPOSSIBLE: tuple[dict[str, Any], ...] = (
    {"from": 9, "to": 9},
    {"from": 0, "to": 25},
    {"from": 1, "to": 2, "days": [8]},
    {"from": 1, "to": 2, "timezone": "Mars/Base"},
)


@pytest.mark.parametrize("hours", IMPOSSIBLE)
def test_hours_that_cannot_be_are_refused(hours: dict[str, Any]) -> None:
    """Rather than covering nothing, or everything."""
    with pytest.raises(ValidationError):
        Hours.model_validate(hours)


def test_people_who_left_are_not_reached() -> None:
    """Nor are names that nobody has."""
    roster = Roster(people=(BOB, person(name="frank", left=date(2027, 1, 1))))
    assert roster.reachable(["frank", "bob", "mallory"], NOW) == [BOB]
    assert list(roster.holders(Role.APPROVE, NOW)) == [BOB]
