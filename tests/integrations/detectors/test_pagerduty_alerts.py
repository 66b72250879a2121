"""Alarms in PagerDuty become findings by rule; what a title holds is not believed further than its form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fakes.pagerduty_server import FakePagerDuty, Webhook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.detectors.pagerduty import PagerDutyAlerts
from integrations.registry import open_adapter
from playbooks.errors import InvalidInput, Refused
from playbooks.exposures import ExposureKind, Signal
from playbooks.ports import Hears

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
DIGEST = "ab" * 32
KEY_URI = "aws-kms:prod/1234abcd-12ab-34cd-56ef-1234567890ab"
RULES: list[dict[str, Any]] = [
    {
        "service": "PSIEM01",
        "title": r"access key (?P<value>\S+)",
        "kind": "credential",
        "fingerprint": "access-key-id",
        "confidence": 0.9,
    },
    {
        "service": "PSIEM01",
        "title": r"token sha256 (?P<value>\w+)",
        "kind": "credential",
        "fingerprint": "token-sha256",
        "publicly_leaked": True,
    },
    {"service": "PSIEM01", "title": "HSM", "kind": "key-material", "fingerprint": "key-uri", "value": KEY_URI},
]


def now() -> datetime:
    return datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakePagerDuty]:
    with FakePagerDuty(tmp_path_factory.mktemp("pagerduty")) as server:
        server.account.routing_keys["S" * 32] = "PSIEM01"
        server.account.services["PSIEM01"] = "SIEM"
        yield server


@pytest.fixture
def options(fake: FakePagerDuty, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "hook").write_text(fake.webhook_secrets[0])
    return {"webhook_secrets": [f"file:{tmp_path}/hook"], "rules": RULES}


def raised(fake: FakePagerDuty, title: str, *, routing_key: str = "S" * 32) -> Webhook:
    """The webhook of an alarm that another tool raised."""
    payload = {"summary": title, "source": "siem", "severity": "error"}
    fake.account.enqueue({"routing_key": routing_key, "event_action": "trigger", "payload": payload})
    return fake.triggered(fake.account.incidents[-1])


def heard(options: dict[str, Any], webhook: Webhook) -> list[Signal]:
    detector = PagerDutyAlerts.open("siem", options, clock=now)
    return list(detector.hear(headers=webhook.headers, body=webhook.body))


def test_it_opens_by_the_registry_and_hears(options: dict[str, Any]) -> None:
    """It has the port of a detector that is told."""
    detector = open_adapter("detectors", "pagerduty", name="siem", options=options, clock=now)
    assert isinstance(detector, Hears)
    assert repr(detector) == "PagerDutyAlerts('siem')"
    detector.close()


def test_a_title_that_fits_a_rule_is_a_finding(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """With the rule's kind and confidence, and the value out of the title."""
    (signal,) = heard(options, raised(fake, f"Unusual use of access key {ACCESS_KEY}"))
    incident = fake.account.incidents[-1]
    assert (signal.source, signal.external_id, signal.kind) == ("siem", incident.id, ExposureKind.CREDENTIAL)
    assert [(each.kind, each.value) for each in signal.fingerprints] == [("access-key-id", ACCESS_KEY)]
    assert (signal.confidence, signal.publicly_leaked, signal.observed_at) == (0.9, False, now())
    assert signal.first_seen == datetime.fromisoformat(incident.created_at)
    assert ACCESS_KEY in signal.summary


def test_a_rule_may_fix_what_is_exposed(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """When the alarm means one key, whatever its title says."""
    (signal,) = heard(options, raised(fake, "HSM opened"))
    assert signal.kind is ExposureKind.KEY_MATERIAL
    assert [(each.kind, each.value) for each in signal.fingerprints] == [("key-uri", KEY_URI)]


def test_digests_are_compared_in_lower_case(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """As the estate holds them."""
    (signal,) = heard(options, raised(fake, f"token sha256 {DIGEST.upper()} seen on a forum"))
    assert signal.fingerprints[0].value == DIGEST
    assert signal.publicly_leaked


def test_a_value_of_another_form_names_nothing(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """The finding stays, for a person to look at; a title is written by whoever caused the alarm."""
    (signal,) = heard(options, raised(fake, "Unusual use of access key ../../etc/passwd"))
    assert signal.fingerprints == ()


def test_a_secret_in_a_title_is_blanked(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """It is neither kept nor shown."""
    (signal,) = heard(options, raised(fake, "HSM opened, pin: 472913, password=hunter2-canary"))
    assert "472913" not in signal.model_dump_json()
    assert "canary" not in signal.model_dump_json()


def test_the_same_incident_is_one_finding(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """However often it is delivered, and by whichever event."""
    webhook = raised(fake, "HSM opened")
    again = fake.triggered(fake.account.incidents[-1])
    assert webhook.body != again.body
    assert heard(options, webhook)[0].external_id == heard(options, again)[0].external_id


def test_other_incidents_and_other_news_are_no_finding(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """Of another service (our own), of no rule, clicked on, or the test button."""
    assert heard(options, raised(fake, "HSM opened", routing_key=fake.routing_key)) == []
    assert heard(options, raised(fake, "disk full")) == []
    raised(fake, "HSM opened")
    assert heard(options, fake.click(fake.account.incidents[-1], "acknowledge")) == []
    assert heard(options, fake.ping()) == []


def test_a_wrong_signature_is_refused(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """Of another secret, of another body, or none at all."""
    webhook = raised(fake, "HSM opened")
    detector = PagerDutyAlerts.open("siem", options, clock=now)
    for headers, body in (
        (fake.signed(webhook.body, secrets=["whsec-other"]).headers, webhook.body),
        (webhook.headers, webhook.body + b" "),
        ({}, webhook.body),
    ):
        with pytest.raises(Refused):
            detector.hear(headers=headers, body=body)


def test_a_signed_incident_without_an_id_is_malformed(fake: FakePagerDuty, options: dict[str, Any]) -> None:
    """There would be nothing to deduplicate on."""
    body = json.dumps({"event": {"id": "a", "event_type": "incident.triggered", "data": {"title": "HSM"}}}).encode()
    with pytest.raises(InvalidInput, match=r"data\.id"):
        heard(options, fake.signed(body))


@pytest.mark.parametrize("created", ["", "yesterday", "2026-03-01", "2026-03-01T10:00:00", 7, None])
def test_an_odd_time_is_no_time(fake: FakePagerDuty, options: dict[str, Any], created: Any) -> None:
    """Honest ignorance, not a crash."""
    envelope = json.loads(raised(fake, "HSM opened").body)
    envelope["event"]["data"]["created_at"] = created
    (signal,) = heard(options, fake.signed(json.dumps(envelope).encode()))
    assert signal.first_seen is None


def rule(**changes: Any) -> dict[str, Any]:
    return {"rules": [{**RULES[0], **changes}]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"webhook_secrets": []}, "webhook_secrets"),
        ({"webhook_secrets": ["whsec-in-clear"]}, "webhook_secrets"),
        ({"webhook_secrets": ["env:KEYQUELL_NO_SUCH_VARIABLE"]}, "webhook_secrets.0"),
        ({"rules": []}, "rules"),
        (rule(title="("), "rules.0.title"),
        (rule(title="no group"), "rules.0"),
        (rule(value=ACCESS_KEY), "rules.0"),
        (rule(title="x", value="no access key"), "rules.0"),
        (rule(fingerprint="secret-hmac"), "rules.0"),
        (rule(service=""), "rules.0.service"),
        (rule(kind="everything"), "rules.0.kind"),
        (rule(confidence=2), "rules.0.confidence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_setting_is_named(options: dict[str, Any], changes: dict[str, Any], field: str) -> None:
    """And a secret in clear is not repeated."""
    with pytest.raises(InvalidInput, match=rf"detectors\.siem: {field}") as caught:
        PagerDutyAlerts.open("siem", {**options, **changes}, clock=now)
    assert "in-clear" not in str(caught.value)


_TEXT = st.text(max_size=40) | st.sampled_from(["HSM", f"access key {ACCESS_KEY}", "PSIEM01", "Q1INC0001"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
_DATA = st.fixed_dictionaries(
    {"id": _TEXT | _JSON, "service": st.just({"id": "PSIEM01"}) | _JSON},
    optional={"title": _TEXT | _JSON, "created_at": st.text() | _JSON, "html_url": st.text() | _JSON},
)
_EVENT = st.fixed_dictionaries(
    {"id": _TEXT | _JSON, "event_type": st.just("incident.triggered") | _JSON, "data": _DATA | _JSON}
)
_FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FUZZ
@given(body=st.binary(max_size=200) | st.builds(lambda event: json.dumps({"event": event}).encode(), _EVENT))
def test_signed_bodies_of_any_kind_crash_nothing(fake: FakePagerDuty, options: dict[str, Any], body: bytes) -> None:
    """They are findings, nothing, or InvalidInput."""
    try:
        signals = heard(options, fake.signed(body))
    except InvalidInput:
        return
    assert all(signal.external_id and signal.source == "siem" for signal in signals)


@_FUZZ
@given(signature=st.text(max_size=120), change=st.binary(min_size=1, max_size=8), at=st.integers(0, 400))
def test_no_forgery_is_accepted(
    fake: FakePagerDuty, options: dict[str, Any], signature: str, change: bytes, at: int
) -> None:
    """Neither a changed body under a true signature nor a true body under another."""
    data = {"id": "Q1INC0001", "title": "HSM opened", "service": {"id": "PSIEM01"}}
    body = json.dumps({"event": {"id": "a", "event_type": "incident.triggered", "data": data}}).encode()
    detector, true = PagerDutyAlerts.open("siem", options, clock=now), fake.signed(body)
    forged = body[:at] + change + body[at + len(change) :]
    if forged != body:
        with pytest.raises(Refused):
            detector.hear(headers=true.headers, body=forged)
    with pytest.raises(Refused):
        detector.hear(headers={"x-pagerduty-signature": signature}, body=body)
