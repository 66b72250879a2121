"""The PagerDuty of these tests refuses what the real one refuses, seen through the real SDK."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from typing import Any

import pagerduty
import pytest
from fakes.pagerduty_server import FakePagerDuty

PAYLOAD = {"summary": "s", "source": "x", "severity": "info"}


@pytest.fixture
def events(fake: FakePagerDuty) -> Iterator[Any]:
    client = pagerduty.EventsApiV2Client(fake.routing_key, base_url=fake.url, verify=_trusting(fake))
    client.max_network_attempts = 0
    yield client
    client.close()


@pytest.fixture
def rest(fake: FakePagerDuty) -> Iterator[Any]:
    client = pagerduty.RestApiV2Client(fake.account.token, base_url=fake.url, verify=_trusting(fake))
    yield client
    client.close()


def _trusting(fake: FakePagerDuty) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=fake.ca)


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"event_action": "explode"}, "event_action"),
        ({"event_action": "trigger"}, "'payload' is missing"),
        ({"event_action": "trigger", "payload": {**PAYLOAD, "summary": ""}}, "payload.summary"),
        ({"event_action": "trigger", "payload": {**PAYLOAD, "summary": "x" * 1025}}, "1024"),
        ({"event_action": "trigger", "payload": {**PAYLOAD, "severity": "terrible"}}, "payload.severity"),
        ({"event_action": "trigger", "payload": {"summary": "s", "severity": "info"}}, "payload.source"),
        ({"event_action": "trigger", "payload": PAYLOAD, "dedup_key": "x" * 256}, "255"),
        ({"event_action": "trigger", "payload": PAYLOAD, "links": [{"text": "no address"}]}, "href"),
        ({"event_action": "resolve"}, "'dedup_key' is missing"),
    ],
)
def test_a_bad_event_is_refused_by_name(events: Any, event: dict[str, Any], error: str) -> None:
    """With 400 and the field."""
    answer = events.post("/v2/enqueue", json=event)
    assert answer.status_code == 400
    assert error in " ".join(answer.json()["errors"])


def test_an_event_may_not_be_larger_than_512_kb(events: Any) -> None:
    """With 413."""
    large = {"event_action": "trigger", "payload": {**PAYLOAD, "custom_details": {"x": "y" * 600_000}}}
    assert events.post("/v2/enqueue", json=large).status_code == 413


def test_an_alert_lives_until_it_is_resolved(fake: FakePagerDuty, events: Any) -> None:
    """Triggers fall together, what is late is dropped though accepted, and the next trigger opens another."""
    for _ in range(2):
        events.trigger("s", "x", dedup_key="k")
    events.resolve("k")
    events.acknowledge("k")
    events.resolve("unknown")
    assert [each.status for each in fake.account.incidents] == ["resolved"]
    events.trigger("s", "x", dedup_key="k")
    assert [each.status for each in fake.account.incidents] == ["resolved", "triggered"]
    assert len(fake.account.rings) == 2


def test_rest_wants_a_token_and_writes_want_an_author(fake: FakePagerDuty, events: Any, rest: Any) -> None:
    """401 without the right token, 400 without a user's address; retired paths are gone."""
    events.trigger("s", "x", dedup_key="k")
    path = f"/incidents/{fake.account.incidents[0].id}/notes"
    assert rest.post(path, json={"note": {"content": "x"}}).status_code == 400
    author = {"From": "asha@example.com"}
    assert rest.post(path, json={"note": {"content": "x"}}, headers=author).status_code == 201
    assert rest.post("/response_plays/P1/run", json={}, headers=author).status_code == 404
    rest.auth_method.secret = "wrong"
    with pytest.raises(pagerduty.HttpError):
        rest.get("/incidents")


def test_its_webhooks_are_signed_as_the_real_ones(fake: FakePagerDuty) -> None:
    """One signature for each secret, over the raw body."""
    fake.webhook_secrets.append("second")
    webhook = fake.ping()
    assert len(webhook.headers["x-pagerduty-signature"].split(",")) == 2
    assert json.loads(webhook.body)["event"]["event_type"] == "pagey.ping"
