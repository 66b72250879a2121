"""Ringing people by PagerDuty: once for a level, in the right words, and honestly when it does not work."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from fakes.pagerduty_server import FakePagerDuty, Fault
from paging_cases import ASHA, CARLA, INCIDENT, KEY_NAME, NOBODY_THERE, case

from integrations.paging.pagerduty import PagerDuty
from integrations.registry import open_adapter
from integrations.vendors.pagerduty_alert import alert_key
from playbooks.dealings import Dealings, Page
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused, Throttled, Unavailable, Unreachable
from playbooks.incident import Closing
from playbooks.surfaces import HearsPager, Pages

Options = dict[str, Any]
NOW = case().incident.opened_at


def opened(options: Options, **changes: Any) -> PagerDuty:
    return PagerDuty.open("oncall", {**options, **changes}, clock=lambda: NOW)


def by_events_alone(options: Options) -> PagerDuty:
    return opened({name: each for name, each in options.items() if name not in ("api_token", "from_email")})


def test_it_opens_by_the_registry_and_is_a_pager(options: Options) -> None:
    """It rings and it hears."""
    pager = open_adapter("pagers", "pagerduty", name="oncall", options=options, clock=lambda: NOW)
    assert isinstance(pager, Pages)
    assert isinstance(pager, HearsPager)
    assert repr(pager) == "PagerDuty('oncall')"
    pager.close()


def test_a_page_rings_whoever_is_on_call(fake: FakePagerDuty, options: Options) -> None:
    """By one alert whose deduplication key is the incident's id."""
    ids = by_events_alone(options).page(case(), level=0, person=None)
    (incident,) = fake.account.incidents
    assert incident.alert.key == INCIDENT
    assert [user for _, user in fake.account.rings] == ["PASHA01"]
    assert ids == {"level-0": INCIDENT}


def test_a_page_says_what_is_burning_and_names_no_key(fake: FakePagerDuty, options: Options) -> None:
    """Codename, phase, next action and a link; the plan with the key's name stays inside."""
    opened(options, link="https://kq.example/incidents/{id}").page(case(), level=0, person=None)
    (event,) = fake.account.events
    payload = event["payload"]
    assert payload["summary"] == "amber-anchor: A credential is out and was used 4 minutes ago."
    assert payload["severity"] == "critical"
    assert payload["custom_details"]["next action"] == "Cut the credential."
    assert event["links"] == [{"href": f"https://kq.example/incidents/{INCIDENT}", "text": "amber-anchor"}]
    assert KEY_NAME not in str(event)


@pytest.mark.parametrize(
    ("severity", "theirs"),
    [("critical", "critical"), ("high", "error"), ("medium", "warning"), ("low", "info"), ("odd", "critical")],
)
def test_severities_are_said_in_their_words(fake: FakePagerDuty, options: Options, severity: str, theirs: str) -> None:
    """One that is not known rings as the worst."""
    by_events_alone(options).page(case(severity=severity), level=0, person=None)
    assert fake.account.incidents[0].alert.severity == theirs


def test_an_exercise_is_marked_where_people_look(fake: FakePagerDuty, options: Options) -> None:
    """In the summary, which is read out on the phone, in the details, in notes and in what a called person reads."""
    pager = opened(options)
    pager.page(case(exercise=True), level=0, person=CARLA)
    pager.note(case(exercise=True), "Cut.")
    (incident,) = fake.account.incidents
    assert incident.title.startswith("[EXERCISE] amber-anchor")
    assert fake.account.events[0]["payload"]["custom_details"]["exercise"] == "yes"
    assert incident.notes[0]["content"] == "[EXERCISE] Cut."
    assert incident.requests[0]["message"].startswith("[EXERCISE] ")


@pytest.mark.parametrize("text", ["x" * 5000, "a\x00b\r\nc" * 400, "🔑" * 2000])
def test_a_long_or_odd_text_is_cut_before_it_is_sent(fake: FakePagerDuty, options: Options, text: str) -> None:
    """PagerDuty refuses a summary of more than 1024 characters; a page that is refused rings nobody."""
    by_events_alone(options).page(case(burning=text), level=0, person=None)
    title = fake.account.incidents[0].title
    assert len(title) <= 1024
    assert title.isprintable()


def test_a_deduplication_key_that_is_too_long_is_refused_here() -> None:
    """PagerDuty takes 255 characters."""
    assert alert_key("x" * 255) == "x" * 255
    with pytest.raises(InvalidInput, match="256"):
        alert_key("x" * 256)


def test_the_same_level_rings_once(fake: FakePagerDuty, options: Options) -> None:
    """Also when the ids of the first call were lost in a crash."""
    pager = by_events_alone(options)
    ids = pager.page(case(), level=0, person=None)
    assert pager.page(case(links=ids), level=0, person=None) == {}
    by_events_alone(options).page(case(), level=0, person=None)
    assert len(fake.account.rings) == 1


def test_the_next_level_rings_again_by_events_alone(fake: FakePagerDuty, options: Options) -> None:
    """A trigger for an open alert rings nobody, so a further alert is opened; it too rings once."""
    pager = by_events_alone(options)
    links = pager.page(case(), level=0, person=None)
    ids = pager.page(case(links=links), level=1, person=None)
    by_events_alone(options).page(case(links=links), level=1, person=None)
    assert ids == {"level-1": f"{INCIDENT}#1"}
    assert len(fake.account.rings) == 2


def test_a_person_is_called_into_the_same_incident(fake: FakePagerDuty, options: Options) -> None:
    """By REST, and once, also when the ids were lost."""
    pager = opened(options)
    links = pager.page(case(), level=0, person=None)
    ids = pager.page(case(links=links), level=1, person=CARLA)
    opened(options).page(case(links=links), level=1, person=CARLA)
    (incident,) = fake.account.incidents
    assert ids == {"level-1": "user:PCARL03", "incident": incident.id}
    assert [user for _, user in fake.account.rings] == ["PASHA01", "PCARL03"]
    assert incident.requests[0]["requester_id"] == "PASHA01"


def test_a_person_who_was_called_in_vain_is_called_again_through_whoever_is_on_call(
    fake: FakePagerDuty, options: Options
) -> None:
    """PagerDuty asks nobody twice into one incident, and a second round that rings nobody would be none."""
    pager = opened(options)
    links = dict(pager.page(case(), level=0, person=None))
    links |= pager.page(case(links=links), level=1, person=CARLA)
    assert pager.page(case(links=links), level=101, person=CARLA)["level-101"] == "user:PCARL03"
    pager.page(case(links=links), level=101, person=CARLA)
    assert [user for _, user in fake.account.rings] == ["PASHA01", "PCARL03", "PASHA01"]


@pytest.mark.parametrize("person", [NOBODY_THERE, CARLA])
def test_who_cannot_be_called_by_name_costs_no_ring(
    fake: FakePagerDuty, options: Options, caplog: pytest.LogCaptureFixture, person: Any
) -> None:
    """Without a PagerDuty id, or without REST, whoever is on call is rung, and the ids and the log say so."""
    ids = by_events_alone(options).page(case(links={"level-0": INCIDENT}), level=1, person=person)
    assert ids["level-1"] == f"{INCIDENT}#1"
    assert f"cannot call {person.name} by name" in caplog.text


def test_an_incident_that_has_not_appeared_yet_is_asked_for_again(fake: FakePagerDuty, options: Options) -> None:
    """PagerDuty accepts events before it shows their incident; the second try calls, and rings nobody else twice."""
    fake.account.appears_after_reads = 1
    pager = opened(options)
    with pytest.raises(Unreachable, match="has not opened its incident"):
        pager.page(case(), level=0, person=CARLA)
    pager.page(case(), level=0, person=CARLA)
    assert [user for _, user in fake.account.rings] == ["PASHA01", "PCARL03"]


def test_when_rest_fails_somebody_is_rung_before_the_error(fake: FakePagerDuty, options: Options) -> None:
    """A named person is better than whoever is on call, who is better than nobody."""
    pager = opened(options)
    links = pager.page(case(), level=0, person=None)
    fake.fault, fake.faulty = "broken", ("rest",)
    for _ in range(2):
        with pytest.raises(Unreachable):
            pager.page(case(links=links), level=1, person=CARLA)
    assert [user for _, user in fake.account.rings] == ["PASHA01", "PASHA01"]


def test_a_closed_case_rings_nobody(fake: FakePagerDuty, options: Options) -> None:
    """A trigger after the resolve would open a new alert."""
    closed = case(closed=Closing("recovered", "asha", NOW))
    assert by_events_alone(options).page(closed, level=0, person=None) == {}
    assert not fake.requests


def test_a_case_resolved_by_mistake_rings_anew(fake: FakePagerDuty, options: Options) -> None:
    """Somebody resolved it in PagerDuty, but it is still open here: the next level opens a new alert."""
    pager = by_events_alone(options)
    links = pager.page(case(), level=0, person=None)
    fake.click(fake.account.incidents[0], "resolve")
    pager.page(case(links=links), level=1, person=None)
    assert [each.status for each in fake.account.incidents] == ["resolved", "triggered", "triggered"]


def test_acknowledge_and_resolve_reach_every_alert_of_the_case(fake: FakePagerDuty, options: Options) -> None:
    """Those remembered, and those that only the record of pages knows; twice is once."""
    pager = by_events_alone(options)
    links = dict(pager.page(case(), level=0, person=None))
    links |= pager.page(case(links=links), level=1, person=None)
    pager.page(case(links=links), level=2, person=None)
    paged = Dealings(pages=(Page(2, "on call", "oncall", "", NOW),))
    pager.acknowledge(case(links=links, people=paged))
    assert {each.status for each in fake.account.incidents} == {"acknowledged"}
    for _ in range(2):
        pager.resolve(case(links=links, people=paged))
    assert {each.status for each in fake.account.incidents} == {"resolved"}
    assert len(fake.account.rings) == 3


def test_a_late_acknowledge_changes_nothing(fake: FakePagerDuty, options: Options) -> None:
    """PagerDuty drops it after the resolve, and so is the one for a case that was never paged."""
    pager = by_events_alone(options)
    pager.acknowledge(case())
    pager.page(case(), level=0, person=None)
    pager.resolve(case())
    pager.acknowledge(case())
    assert [each.status for each in fake.account.incidents] == ["resolved"]


def test_workflows_are_started_once(fake: FakePagerDuty, options: Options) -> None:
    """On the first page that can; never as a response play."""
    pager = opened(options, workflows=["PWORKF1"])
    links = dict(pager.page(case(), level=0, person=None))
    pager.page(case(links=links), level=1, person=CARLA)
    assert links["workflow-PWORKF1"] == "started"
    assert fake.account.incidents[0].workflows == ["PWORKF1"]
    assert not [path for _, path in fake.requests if "response_plays" in path]


def test_a_workflow_that_cannot_start_costs_no_page(
    fake: FakePagerDuty, options: Options, caplog: pytest.LogCaptureFixture
) -> None:
    """The page has rung; the log says what is missing."""
    ids = opened(options, workflows=["PGONE01"]).page(case(), level=0, person=None)
    assert ids["level-0"] == INCIDENT
    assert len(fake.account.rings) == 1
    assert "PGONE01 was not started" in caplog.text


def test_who_is_on_call_is_asked_by_rest(options: Options) -> None:
    """First to be called first; another policy has nobody."""
    assert opened(options).on_call() == {"PASHA01": "Asha Rao", "PBENN02": "Ben Nowak"}
    assert opened(options, escalation_policies=["POTHER1"]).on_call() == {}
    with pytest.raises(Unavailable, match="not configured"):
        by_events_alone(options).on_call()


def test_notes_need_an_incident(fake: FakePagerDuty, options: Options) -> None:
    """They go into PagerDuty's timeline."""
    pager = opened(options)
    with pytest.raises(Unreachable):
        pager.note(case(), "Contained at 12:04.")
    pager.page(case(), level=0, person=None)
    pager.note(case(), "Contained at 12:04.")
    assert fake.account.incidents[0].notes[0]["content"] == "Contained at 12:04."


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("down", Unreachable),
        ("throttled", Throttled),
        ("broken", Unreachable),
        ("nonsense", Unreachable),
        ("forbidden", Refused),
    ],
)
@pytest.mark.parametrize("api", ["events", "rest"])
def test_failures_are_told_apart_after_one_attempt(
    fake: FakePagerDuty, options: Options, fault: Fault, error: type[BackendError], api: str
) -> None:
    """The SDK alone would repeat them, a 429 without end."""
    pager = opened(options)
    pager.page(case(), level=0, person=None)
    fake.requests.clear()
    fake.fault, fake.faulty = fault, (api,)
    with pytest.raises(error) as caught:
        pager.resolve(case()) if api == "events" else pager.on_call()
    assert len(fake.requests) == 1
    assert caught.value.retryable is (error in (Unreachable, Throttled))
    fake.fault = ""
    pager.resolve(case())
    assert fake.account.incidents[0].status == "resolved"


def test_a_throttled_call_says_when_to_come_back(fake: FakePagerDuty, options: Options) -> None:
    """As PagerDuty's headers do."""
    fake.fault = "throttled"
    with pytest.raises(Throttled, match="after 17 s"):
        opened(options).on_call()


def test_the_rate_limit_of_a_routing_key_is_met_honestly(fake: FakePagerDuty, options: Options) -> None:
    """The third event in a minute of two is Throttled, and what was accepted stays."""
    fake.per_minute["events"] = 2
    pager = by_events_alone(options)
    pager.page(case(), level=0, person=None)
    pager.acknowledge(case())
    with pytest.raises(Throttled):
        pager.resolve(case())
    assert fake.account.incidents[0].status == "acknowledged"


def test_a_silent_pagerduty_is_given_up(fake: FakePagerDuty, options: Options) -> None:
    """The SDK's own limit is a minute, three times."""
    fake.fault = "hang"
    before = time.monotonic()
    with pytest.raises(Unreachable, match="ReadTimeout"):
        by_events_alone(options).page(case(), level=0, person=None)
    assert time.monotonic() - before < 30
    fake.fault = ""


def test_wrong_keys_are_refused_and_appear_nowhere(
    fake: FakePagerDuty, options: Options, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in the message, its cause or the logs, not even their end, which the SDK quotes."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "routing").write_text("canary-routing-key-zq9x")
    (tmp_path / "token").write_text("canary-api-token-zq9x")
    pager = opened(options)
    with pytest.raises(Refused, match="routing_key") as one:
        pager.page(case(), level=0, person=None)
    with pytest.raises(Refused, match="api_token") as two:
        pager.on_call()
    told = [caplog.text, repr(pager), *(f"{each.value!r} {each.value.__cause__!r}" for each in (one, two))]
    assert "zq9x" not in " ".join(told)


def test_a_replaced_key_is_used_at_once(fake: FakePagerDuty, options: Options, tmp_path: Path) -> None:
    """Without a restart."""
    pager = by_events_alone(options)
    pager.page(case(), level=0, person=None)
    fake.account.routing_keys = {"N" * 32: "PSERVIC"}
    (tmp_path / "routing").write_text("N" * 32)
    pager.resolve(case())
    assert fake.account.incidents[0].status == "resolved"


def test_a_server_with_another_certificate_is_not_spoken_to(fake: FakePagerDuty, options: Options) -> None:
    """Without ``verify`` the system's certificates decide."""
    with pytest.raises(Unreachable, match="ConnectError"):
        opened({**options, "verify": None}).page(case(), level=0, person=None)
    assert not fake.requests


def test_a_from_email_that_is_nobodys_is_named(fake: FakePagerDuty, options: Options) -> None:
    """PagerDuty wants a user behind every write."""
    pager = opened(options, from_email="gone@example.com")
    with pytest.raises((NotFound, Unavailable)):
        pager.page(case(), level=0, person=ASHA)
    assert len(fake.account.rings) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"routing_key": "R0123456789"}, "routing_key"),
        ({"routing_key": "env:KEYQUELL_NO_SUCH_VARIABLE"}, "routing_key"),
        ({"webhook_secrets": ["whsec-in-clear"]}, "webhook_secrets"),
        ({"webhook_secrets": ["file:/nonexistent/secret"]}, "webhook_secrets.0"),
        ({"events_url": "http://events.pagerduty.com"}, "events_url"),
        ({"api_url": "https://user@api.pagerduty.com"}, "api_url"),
        ({"from_email": "not an address"}, "from_email"),
        ({"workflows": ["../incidents"]}, "workflows"),
        ({"service": "a/b"}, "service"),
        ({"severities": {"critical": "terrible"}}, "severities.critical"),
        ({"link": "javascript:alert(1)"}, "link"),
        ({"verify": "/nonexistent/ca.pem"}, "verify"),
        ({"verify": "/etc/hostname"}, "verify"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(options: Options, changes: Options, field: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidInput, match=rf"pagers\.oncall: {field}") as caught:
        opened(options, **changes)
    assert "in-clear" not in str(caught.value)
    assert "R0123456789" not in str(caught.value)


def test_an_empty_secret_is_no_secret(options: Options, tmp_path: Path) -> None:
    """An empty webhook secret would let everybody sign."""
    (tmp_path / "hook").write_text("\n")
    with pytest.raises(InvalidInput, match=r"webhook_secrets\.0: the secret is empty"):
        opened(options)
