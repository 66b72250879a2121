"""A honeytoken that is touched is a confirmed intruder; only its own sender may say so."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from findings_abuse import (
    FUZZ,
    HOOK_SECRET,
    PASSWORD,
    headers,
    hexdigest,
    mutations,
    never_accepts,
    now,
    only_expected,
    spoken,
)
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.honeytoken import Honeytoken
from playbooks.errors import InvalidInput, Refused
from playbooks.exposures import ExposureKind, Fingerprint

TOKEN, AUTH = "y3ksm5b2qi1wkp9lk8wqd1vch", "a1d2b3c4d5e6f7a8b9c0"
ALERT: dict[str, Any] = {
    "manage_url": f"https://canary.example/manage?token={TOKEN}&auth={AUTH}",
    "memo": "AWS key beside the KMS export, vault share",
    "channel": "AWS API Key Token",
    "time": "2026-02-06 18:47:19 (UTC)",
    "additional_data": {"src_ip": "203.0.113.7", "useragent": "Boto3/1.34 md/Botocore", "geo_info": {}},
}
GUARDED = {"kind": "key-material", "fingerprints": [{"kind": "key-uri", "value": "openbao:vault/transit/orders"}]}


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("secrets") / "hook"
    place.write_text(HOOK_SECRET, encoding="utf-8")
    return f"file:{place}"


@pytest.fixture(scope="module")
def ear(secret: str) -> Honeytoken:
    options = {"auth": {"scheme": "shared-secret", "secret": secret}, "tokens": {TOKEN: GUARDED}}
    return Honeytoken.open("bait", options, clock=now)


def sent(alert: Any) -> dict[str, Any]:
    body = alert if isinstance(alert, bytes) else json.dumps(alert).encode()
    return {"headers": {"x-webhook-secret": HOOK_SECRET}, "body": body}


def test_a_touched_token_is_confirmed(ear: Honeytoken) -> None:
    """Nobody has a reason to use it: confidence 1, and what it guards is exposed."""
    (signal,) = ear.hear(**sent(ALERT))
    assert (signal.kind, signal.confidence) == (ExposureKind.KEY_MATERIAL, 1.0)
    assert signal.fingerprints == (Fingerprint(kind="key-uri", value="openbao:vault/transit/orders"),)
    assert signal.first_seen == datetime(2026, 2, 6, 18, 47, 19, tzinfo=UTC)
    assert signal.external_id == f"{TOKEN}:2026-02-06T18:47:19+00:00"
    assert "203.0.113.7 with Boto3/1.34" in signal.summary
    assert AUTH not in spoken([signal])


def test_a_token_that_is_not_listed_exposes_nothing_by_itself(ear: Honeytoken) -> None:
    """It is reported, so that a person looks."""
    (signal,) = ear.hear(**sent({**ALERT, "token": "another"}))
    assert (signal.fingerprints, signal.confidence) == ((), 1.0)


def test_a_token_may_be_known_by_its_memo(secret: str) -> None:
    """The id is made by the service; the memo is chosen by its owner."""
    options = {"auth": {"scheme": "shared-secret", "secret": secret}, "tokens": {ALERT["memo"]: GUARDED}}
    (signal,) = Honeytoken.open("bait", options, clock=now).hear(**sent(ALERT))
    assert signal.kind is ExposureKind.KEY_MATERIAL


def test_each_touch_is_a_finding_and_a_repetition_is_not(ear: Honeytoken) -> None:
    """Known by token and time."""
    later = {**ALERT, "time": "2026-02-06 18:48:00 (UTC)"}
    ids = [ear.hear(**sent(each))[0].external_id for each in (ALERT, ALERT, later)]
    assert ids[0] == ids[1] != ids[2]


def test_a_signed_webhook_is_heard_within_its_window(secret: str) -> None:
    """By HMAC over time and body instead of a secret in a header; a replay is refused later."""
    auth = {"secret": secret, "header": "X-Canary-Signature", "timestamp_header": "X-Canary-Time"}
    moment = [now()]
    ear = Honeytoken.open("bait", {"auth": auth}, clock=lambda: moment[0])
    body, at = json.dumps(ALERT).encode(), str(int(moment[0].timestamp()))
    given_headers = {"x-canary-time": at, "x-canary-signature": hexdigest(f"{at}.".encode() + body)}
    assert ear.hear(headers=given_headers, body=body)
    moment[0] = datetime.fromtimestamp(int(at) + 301, UTC)
    with pytest.raises(Refused):
        ear.hear(headers=given_headers, body=body)


@pytest.mark.parametrize("given_headers", [{}, {"x-webhook-secret": ""}, {"x-webhook-secret": HOOK_SECRET[:-1]}])
def test_a_stranger_is_refused(ear: Honeytoken, given_headers: dict[str, str]) -> None:
    """A false alarm by a stranger would switch keys off."""
    with pytest.raises(Refused):
        ear.hear(headers=given_headers, body=json.dumps(ALERT).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", json.dumps(ALERT).encode()[:-5], json.dumps({**ALERT, "time": "soon"}).encode(),
        json.dumps({**ALERT, "manage_url": "https://[bad"}).encode(), b" " * (1024 * 1024) + b"{}", b"[" * 9999,
        json.dumps({**ALERT, "token": "../../x y"}).encode(),
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(ear: Honeytoken, body: bytes) -> None:
    """Torn, huge, deep, without token or time."""
    with pytest.raises(InvalidInput):
        ear.hear(**sent(body))


def test_what_an_intruder_writes_is_cleaned(ear: Honeytoken, caplog: pytest.LogCaptureFixture) -> None:
    """The user agent is the intruder's own text; the memo may hold what nobody should read."""
    strange = {"src_ip": "<script>", "useragent": "curl\r\n\u202eSecond: line password=" + PASSWORD}
    with caplog.at_level(logging.DEBUG):
        signals = ear.hear(**sent({**ALERT, "memo": f"password: {PASSWORD}", "additional_data": strange}))
    said = spoken(signals, caplog.text, ear)
    assert PASSWORD not in said
    assert "an unknown address" in said
    assert not {"\r", "\u202e", "<script>"} & set(signals[0].summary)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auth": {"secret": "clear text"}},
        {"auth": {"secret": "env:S"}, "tokens": {"a": {"kind": "nothing"}}},
        {"auth": {"secret": "env:S"}, "colour": "red"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    """No detector without proof of its sender."""
    with pytest.raises(InvalidInput, match="detector 'bait', field") as caught:
        Honeytoken.open("bait", options, clock=now)
    assert "clear text" not in str(caught.value)


def test_a_missing_secret_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    """Then nothing can be believed."""
    ear = Honeytoken.open("bait", {"auth": {"secret": f"file:{tmp_path / 'none'}"}}, clock=now)
    with pytest.raises(InvalidInput):
        ear.hear(**sent(ALERT))


@FUZZ
@given(given_headers=headers, body=st.binary(max_size=200) | mutations(ALERT))
def test_no_forgery_is_accepted(ear: Honeytoken, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes without the secret is refused and breaks nothing."""
    never_accepts(ear.hear, given_headers, body)


@FUZZ
@given(body=mutations(ALERT))
def test_a_strange_alert_breaks_nothing(ear: Honeytoken, body: bytes) -> None:
    """From the right sender, but of any form: a signal or a refusal, and never the manager's key."""
    assert AUTH not in spoken(only_expected(lambda: ear.hear(**sent(body))))
