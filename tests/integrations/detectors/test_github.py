"""GitHub's secret scanning alerts, heard and polled, become signals; forged and closed ones do not."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from findings_abuse import (
    ACCESS_KEY,
    FUZZ,
    HOOK_SECRET,
    PASSWORD,
    headers,
    hexdigest,
    mutations,
    never_accepts,
    now,
    only_expected,
    private_pem,
    spoken,
)
from github_server import TOKEN, Hub, github_server
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.github import GitHub, PolledGitHub
from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput, NotFound, Refused, Throttled, Unreachable
from playbooks.exposures import ExposureKind, Fingerprint
from playbooks.ports import Detects, Hears

ALERT: dict[str, Any] = {
    "number": 42,
    "created_at": "2026-02-06T18:47:19Z",
    "updated_at": "2026-02-06T18:48:00Z",
    "url": "https://api.github.com/repos/acme/deploy/secret-scanning/alerts/42",
    "html_url": "https://github.com/acme/deploy/security/secret-scanning/42",
    "locations_url": "https://api.github.com/repos/acme/deploy/secret-scanning/alerts/42/locations",
    "state": "open",
    "resolution": None,
    "resolved_at": None,
    "resolved_by": None,
    "resolution_comment": None,
    "secret_type": "password",
    "secret_type_display_name": "Password",
    "validity": "unknown",
    "push_protection_bypassed": False,
    "publicly_leaked": False,
    "multi_repo": False,
    "is_base64_encoded": False,
}
EVENT: dict[str, Any] = {
    "action": "created",
    "alert": ALERT,
    "repository": {"id": 1, "name": "deploy", "full_name": "acme/deploy", "private": True},
    "sender": {"login": "octocat", "type": "User"},
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with github_server() as running:
        yield running


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "hook").write_text(HOOK_SECRET, encoding="utf-8")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    return {"secret": f"file:{tmp_path / 'hook'}", "token": f"file:{tmp_path / 'token'}"}


@pytest.fixture
def ear(secrets: dict[str, str], tmp_path: Path) -> GitHub:
    options = {"secret": secrets["secret"], "key_file": str(tmp_path / "installation.key")}
    return GitHub.open("hub", options, clock=now)


def poller(hub: Hub, secrets: dict[str, str], tmp_path: Path, **changes: Any) -> PolledGitHub:
    options = {
        "token": secrets["token"],
        "repository": "acme/deploy",
        "base_url": hub.url,
        "poll_every_seconds": 0,
        "key_file": str(tmp_path / "installation.key"),
    }
    detector = GitHub.open("hub", {**options, **changes}, clock=now)
    assert isinstance(detector, PolledGitHub)
    return detector


def alert(number: int = 42, secret: str = "", **changes: Any) -> dict[str, Any]:
    return {**ALERT, "number": number, **({"secret": secret} if secret else {}), **changes}


def signed(event: Any, **changes: str) -> dict[str, Any]:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    own = {
        "x-github-event": "secret_scanning_alert",
        "x-github-delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
        "x-hub-signature-256": f"sha256={hexdigest(body)}",
    }
    return {"headers": {**own, **changes}, "body": body}


def test_an_alert_is_heard(ear: GitHub, tmp_path: Path) -> None:
    """Known by repository and number; the live secret in it is fingerprinted and goes nowhere."""
    (signal,) = ear.hear(**signed({**EVENT, "alert": alert(secret=PASSWORD, validity="active", publicly_leaked=True)}))
    assert signal.external_id == "acme/deploy#42"
    assert signal.fingerprints == (keyed(PASSWORD, installation_key(tmp_path / "installation.key")),)
    assert (signal.confidence, signal.publicly_leaked) == (0.95, True)
    assert signal.first_seen == datetime(2026, 2, 6, 18, 47, 19, tzinfo=UTC)
    assert signal.evidence_uri == ALERT["html_url"]
    assert PASSWORD not in spoken([signal])


def test_the_same_alert_again_is_the_same_finding(ear: GitHub) -> None:
    """A redelivery, a reopening and a check of validity name one alert."""
    ids = {
        ear.hear(**signed({**EVENT, "action": action}))[0].external_id
        for action in ("created", "created", "reopened", "validated", "publicly_leaked")
    }
    assert ids == {"acme/deploy#42"}


@pytest.mark.parametrize(
    "event",
    [
        {**EVENT, "action": "resolved", "alert": alert(state="resolved", resolution="revoked")},
        {**EVENT, "action": "revoked"},
        {**EVENT, "action": "validated", "alert": alert(resolution="false_positive")},
        {**EVENT, "alert": alert(resolved_at="2026-02-07T00:00:00Z")},
    ],
)
def test_a_closed_alert_is_no_signal(ear: GitHub, event: dict[str, Any]) -> None:
    """Somebody has dealt with it already."""
    assert ear.hear(**signed(event)) == ()


def test_a_ping_is_no_signal(ear: GitHub) -> None:
    """GitHub sends one when the webhook is made; it is signed as well."""
    assert ear.hear(**signed({"zen": "Keep it logically awesome."}, **{"x-github-event": "ping"})) == ()


@pytest.mark.parametrize("validity", ["inactive", None, "unknown", ["active"]])
def test_doubt_lowers_the_confidence(ear: GitHub, validity: Any) -> None:
    """Only what GitHub has tried and found to work is almost sure."""
    (signal,) = ear.hear(**signed({**EVENT, "alert": alert(validity=validity)}))
    assert signal.confidence == (0.3 if validity == "inactive" else 0.8)


@pytest.mark.parametrize(
    "changes",
    [
        {"x-hub-signature-256": ""},
        {"x-hub-signature-256": "sha256=" + "0" * 64},
        {"x-hub-signature-256": hexdigest(json.dumps(EVENT).encode())},
        {"x-hub-signature-256": "sha1=" + "0" * 40},
        {"x-hub-signature-256": "sha256=" + hexdigest(json.dumps(EVENT).encode(), "another secret")},
    ],
)
def test_a_wrong_signature_is_refused(ear: GitHub, changes: dict[str, str]) -> None:
    """Missing, zero, without its prefix, of the old scheme, of another secret."""
    with pytest.raises(Refused):
        ear.hear(**signed(EVENT, **changes))


@pytest.mark.parametrize("event", ["push", "", "secret_scanning_alert_location"])
def test_another_event_is_named(ear: GitHub, event: str) -> None:
    """A webhook subscribed to too much is a mistake that somebody has to see."""
    with pytest.raises(InvalidInput, match="Subscribe the webhook"):
        ear.hear(**signed(EVENT, **{"x-github-event": event}))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", json.dumps(EVENT).encode()[:-20], b'{"alert": {"number": 1}}',
        json.dumps({**EVENT, "alert": {**ALERT, "number": True}}).encode(),
        json.dumps({**EVENT, "repository": {"full_name": "../../user"}}).encode(),
        b" " * (1024 * 1024) + b"{}", b"[" * 50_000,
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(ear: GitHub, body: bytes) -> None:
    """Torn, empty, huge, deep, without number or with a repository that is none."""
    with pytest.raises(InvalidInput):
        ear.hear(**signed(body))


def test_without_a_webhook_secret_nothing_is_heard(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """A detector made for polling believes no webhook, not even one signed with an empty secret."""
    detector = poller(hub, secrets, tmp_path)
    body = json.dumps(EVENT).encode()
    with pytest.raises(Refused):
        detector.hear(**signed(EVENT, **{"x-hub-signature-256": f"sha256={hexdigest(body, '')}"}))


def test_a_webhook_without_secret_is_completed_with_the_token(
    hub: Hub, secrets: dict[str, str], tmp_path: Path
) -> None:
    """GitHub's webhook does not hold the secret; the alert that is read at once does."""
    pem = private_pem()
    hub.alerts = [alert(secret=pem)]
    detector = poller(hub, secrets, tmp_path, secret=secrets["secret"])
    (signal,) = detector.hear(**signed(EVENT))
    assert (signal.kind, signal.fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))


def test_a_github_that_fails_does_not_keep_the_alarm_back(
    hub: Hub, secrets: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The alert is reported without fingerprints, and the next poll adds them."""
    hub.failure = (502, {})
    detector = poller(hub, secrets, tmp_path, secret=secrets["secret"])
    (signal,) = detector.hear(**signed(EVENT))
    assert signal.fingerprints == ()
    assert "acme/deploy#42" in caplog.text
    assert TOKEN not in caplog.text


def test_open_alerts_are_polled_over_all_pages(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """Every open alert once; a closed one is none; the cursor keeps them from being repeated."""
    hub.alerts = [alert(number, f"{PASSWORD}-{number}") for number in range(1, 6)]
    hub.alerts.append(alert(6, PASSWORD, state="resolved", resolution="revoked"))
    detector = poller(hub, secrets, tmp_path)
    signals, cursor = detector.poll(cursor="")
    again, cursor = detector.poll(cursor=cursor)
    hub.alerts[0]["updated_at"] = "2026-02-08T00:00:00Z"
    changed, cursor = detector.poll(cursor=cursor)
    assert sorted(each.external_id for each in signals) == [f"acme/deploy#{number}" for number in range(1, 6)]
    assert (list(again), [each.external_id for each in changed]) == ([], ["acme/deploy#1"])
    assert PASSWORD not in spoken(signals, cursor)


def test_an_old_cursor_reads_again_at_once(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """A caller that could not keep the cursor loses nothing, and need not wait for the next round."""
    hub.alerts = [alert(1, PASSWORD)]
    detector = poller(hub, secrets, tmp_path, poll_every_seconds=3600)
    first, cursor = detector.poll(cursor="")
    again, cursor = detector.poll(cursor="")
    asked = len(hub.asked)
    rest, same = detector.poll(cursor=cursor)
    assert [len(each) for each in (first, again, rest)] == [1, 1, 0]
    assert (same, len(hub.asked)) == (cursor, asked)


def test_an_alert_that_is_listed_late_is_not_missed(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """GitHub's list may show an alert seconds after a newer one."""
    at = datetime(2026, 2, 6, 18, 48, tzinfo=UTC)
    hub.alerts = [alert(2, PASSWORD, updated_at=at.isoformat())]
    detector = poller(hub, secrets, tmp_path)
    _, cursor = detector.poll(cursor="")
    hub.alerts.append(alert(1, PASSWORD, updated_at=(at - timedelta(seconds=30)).isoformat()))
    (late,), _ = detector.poll(cursor=cursor)
    assert late.external_id == "acme/deploy#1"


def test_an_organisation_is_polled_with_each_alerts_repository(
    hub: Hub, secrets: dict[str, str], tmp_path: Path
) -> None:
    """There the alert says whose it is; one that does not is left out."""
    hub.alerts = [alert(1, ACCESS_KEY, repository={"full_name": "acme/web"}), alert(2, ACCESS_KEY)]
    (signal,), _ = poller(hub, secrets, tmp_path, repository="", organization="acme").poll(cursor="")
    assert signal.external_id == "acme/web#1"
    assert signal.fingerprints == (Fingerprint(kind="access-key-id", value=ACCESS_KEY),)
    assert hub.asked[0].startswith("/orgs/acme/secret-scanning/alerts?")


def test_a_page_on_another_server_is_not_followed(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """The token goes to the configured server only."""
    with github_server() as other:
        hub.alerts = [alert(number, PASSWORD) for number in range(1, 4)]
        hub.elsewhere = other.url
        signals, _ = poller(hub, secrets, tmp_path).poll(cursor="")
        assert (len(signals), other.asked) == (2, [])


@pytest.mark.parametrize(
    ("status", "answered", "error"),
    [
        (401, {}, Refused),
        (403, {}, Refused),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225600"}, Throttled),
        (429, {"retry-after": "30"}, Throttled),
        (404, {}, NotFound),
        (500, {}, Unreachable),
        (302, {"Location": "http://127.0.0.1:9/"}, Exception),
    ],
)
def test_githubs_no_is_told_by_what_it_means(
    hub: Hub, secrets: dict[str, str], tmp_path: Path, status: int, answered: dict[str, str], error: type[Exception]
) -> None:
    """Permission, rate, name and outage differ in what a person does next; the wait is passed on."""
    hub.failure = (status, answered)
    detector = poller(hub, secrets, tmp_path)
    for ask in (lambda: detector.poll(cursor=""), detector.check):
        with pytest.raises(error) as caught:
            ask()
        assert answered.get("retry-after", "") in str(caught.value)
        assert TOKEN not in str(caught.value)


def test_nobody_there_is_unreachable(secrets: dict[str, str], tmp_path: Path) -> None:
    """It says nothing about the alerts."""
    with pytest.raises(Unreachable):
        poller(Hub(url="http://127.0.0.1:1"), secrets, tmp_path).poll(cursor="")
    with pytest.raises(Unreachable):
        poller(Hub(url="http://127.0.0.1:1"), secrets, tmp_path).check()


def test_the_check_reads_the_list_without_its_secrets(hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """Doctor's look asks for nothing that it does not need."""
    hub.alerts = [alert(1, PASSWORD)]
    assert "acme/deploy" in poller(hub, secrets, tmp_path).check()
    assert "hide_secret=true" in hub.asked[0]


def test_the_check_wants_the_webhooks_secret(ear: GitHub, hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """Without it every alert would be refused as forged; one that is too short proves nothing."""
    assert "hears webhooks" in ear.check()
    (tmp_path / "hook").write_text("short", encoding="utf-8")
    for detector in (ear, poller(hub, secrets, tmp_path, secret=secrets["secret"])):
        with pytest.raises(InvalidInput, match="too short"):
            detector.check()


def test_only_what_can_be_polled_is_polled(ear: GitHub, hub: Hub, secrets: dict[str, str], tmp_path: Path) -> None:
    """A detector for webhooks alone is silent when no webhook comes, so it must not look alive by polling."""
    assert isinstance(ear, Hears)
    assert not isinstance(ear, Detects)
    assert isinstance(poller(hub, secrets, tmp_path), Detects)


def test_a_secret_in_base64_is_recognised_by_what_it_holds(ear: GitHub) -> None:
    """The scanner decodes; the fingerprint must as well."""
    pem = private_pem()
    text = base64.b64encode(pem.encode()).decode()
    (signal,) = ear.hear(**signed({**EVENT, "alert": alert(secret=text, is_base64_encoded=True)}))
    assert spki_sha256(pem) in signal.fingerprints
    assert signal.kind is ExposureKind.SIGNING_KEY


def test_the_secret_is_nowhere(ear: GitHub, caplog: pytest.LogCaptureFixture) -> None:
    """Also not when the alert repeats it in its other fields."""
    told = dict.fromkeys(("html_url", "secret_type_display_name"), f"https://{PASSWORD}@github.com/{PASSWORD}")
    with caplog.at_level(logging.DEBUG):
        signals = ear.hear(**signed({**EVENT, "alert": alert(secret=PASSWORD, **told)}))
        with pytest.raises(InvalidInput) as caught:
            ear.hear(**signed({"alert": {"secret": PASSWORD}}))
    assert PASSWORD not in spoken(signals, caplog.text, caught.value, ear)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"secret": "clear"},
        {"token": "env:T"},
        {"token": "env:T", "repository": "a/b", "organization": "a"},
        {"token": "env:T", "repository": "../x"},
        {"secret": "env:S", "colour": "red"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """A way in, one place, references only; the value is not repeated."""
    with pytest.raises(InvalidInput, match="detector 'hub', field") as caught:
        GitHub.open("hub", options, clock=now)
    assert "clear" not in str(caught.value)


@FUZZ
@given(given_headers=headers, body=st.binary(max_size=200) | mutations(EVENT))
def test_no_forgery_is_accepted(ear: GitHub, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes unsigned is refused and breaks nothing."""
    never_accepts(ear.hear, {"x-github-event": "secret_scanning_alert", **given_headers}, body)


@FUZZ
@given(body=mutations({**EVENT, "alert": alert(secret=PASSWORD)}))
def test_a_strange_alert_breaks_nothing(ear: GitHub, body: bytes) -> None:
    """Signed, but of any form: a signal or a refusal, and never the secret."""
    assert PASSWORD not in spoken(only_expected(lambda: ear.hear(**signed(body))))
