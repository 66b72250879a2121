"""Webhooks are checked for size, sender, age and form before they are believed."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from integrations.hooks import MAX_BODY_BYTES, MAX_DEPTH, HookAuth, check_hmac, header, parse_json, within_limit
from playbooks.errors import InvalidInput, Refused

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SECRET = "a secret that is long enough"


@pytest.fixture
def secret(tmp_path: Path) -> str:
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    return f"file:{tmp_path / 'secret'}"


def mac(message: bytes, key: str = SECRET) -> str:
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("given_headers", "code"),
    [
        ({}, "signature-missing"),
        ({"x-signature-256": mac(b"other")}, "signature-wrong"),
        ({"x-signature-256": mac(b"body", "")}, "signature-wrong"),
        ({"x-signature-256": mac(b"body")[:-1]}, "signature-wrong"),
        ({"x-signature-256": "sha256=" + mac(b"body")}, "signature-wrong"),
        ({"x-signature-256": "ü" * 64}, "signature-wrong"),
    ],
)
def test_a_wrong_signature_is_refused(secret: str, given_headers: dict[str, str], code: str) -> None:
    """Missing, of another body, with no secret, cut, prefixed, not ASCII."""
    with pytest.raises(Refused) as caught:
        HookAuth(secret=secret).check(given_headers, b"body", now=NOW, sender="scanner")
    assert caught.value.code == code
    assert SECRET not in str(caught.value)


def test_the_senders_signature_is_accepted(secret: str) -> None:
    """Header names in any case, with the sender's prefix."""
    auth = HookAuth(secret=secret, prefix="sha256=", header="X-Sig")
    auth.check({"X-SIG": f" sha256={mac(b'body')} "}, b"body", now=NOW, sender="scanner")


@pytest.mark.parametrize("age", [timedelta(seconds=301), timedelta(seconds=-301), timedelta(days=365)])
def test_an_old_or_future_signature_is_refused(secret: str, age: timedelta) -> None:
    """A recorded request cannot be sent again after the window."""
    auth = HookAuth(secret=secret, timestamp_header="X-Timestamp")
    at = str(int((NOW - age).timestamp()))
    given_headers = {"x-timestamp": at, "x-signature-256": mac(f"{at}.body".encode())}
    with pytest.raises(Refused) as caught:
        auth.check(given_headers, b"body", now=NOW, sender="scanner")
    assert caught.value.code == "timestamp-outside-window"


def test_a_timestamp_is_part_of_what_is_signed(secret: str) -> None:
    """A fresh timestamp cannot be put on an old body."""
    auth = HookAuth(secret=secret, timestamp_header="X-Timestamp", signed="v0:{timestamp}:{body}")
    at = str(int(NOW.timestamp()))
    good = {"x-timestamp": at, "x-signature-256": mac(f"v0:{at}:body".encode())}
    auth.check(good, b"body", now=NOW, sender="scanner")
    for wrong in ({**good, "x-timestamp": str(int(at) + 1)}, {**good, "x-signature-256": mac(b"body")}):
        with pytest.raises(Refused):
            auth.check(wrong, b"body", now=NOW, sender="scanner")


@pytest.mark.parametrize("timestamp", ["", "now", "1e9", "-1", "٣", "9" * 400, "1 2"])
def test_a_timestamp_that_is_no_number_is_refused(secret: str, timestamp: str) -> None:
    """It is a refusal, never a fault."""
    auth = HookAuth(secret=secret, timestamp_header="X-Timestamp")
    with pytest.raises(Refused):
        auth.check({"x-timestamp": timestamp, "x-signature-256": "0"}, b"body", now=NOW, sender="scanner")


def test_bearer_and_shared_secrets(secret: str) -> None:
    """The whole secret in its header, nothing less."""
    bearer, shared = HookAuth(scheme="bearer", secret=secret), HookAuth(scheme="shared-secret", secret=secret)
    bearer.check({"authorization": f"Bearer {SECRET}"}, b"", now=NOW, sender="s")
    shared.check({"x-webhook-secret": SECRET}, b"", now=NOW, sender="s")
    for auth, name in ((bearer, "authorization"), (shared, "x-webhook-secret")):
        for value in ("", "Bearer", "Bearer ", f"Basic {SECRET}", f"Bearer {SECRET[:-1]}", SECRET[:-1], "é"):
            with pytest.raises(Refused):
                auth.check({name: value}, b"", now=NOW, sender="s")


@pytest.mark.parametrize("text", ["", "short"])
def test_a_secret_that_proves_nothing_is_not_used(tmp_path: Path, text: str) -> None:
    """With an empty secret anybody could sign."""
    (tmp_path / "s").write_text(text, encoding="utf-8")
    auth = HookAuth(secret=f"file:{tmp_path / 's'}")
    with pytest.raises(InvalidInput, match="too short"):
        auth.check({"x-signature-256": mac(b"body", text)}, b"body", now=NOW, sender="scanner")


@pytest.mark.parametrize(
    "options",
    [
        {"secret": "in clear"},
        {"secret": "env:X", "scheme": "bearer", "timestamp_header": "T"},
        {"secret": "env:X", "signed": "{body}"},
        {"secret": "env:X", "signed": "{timestamp}{body}{body}"},
        {"secret": "env:X", "scheme": "none"},
    ],
)
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """No secret in clear, no timestamp that is not signed, no way without proof."""
    with pytest.raises(ValidationError) as caught:
        HookAuth.model_validate(options)
    assert "in clear" not in str(caught.value).replace("never the secret", "")


@given(st.binary(max_size=100), st.binary(max_size=100), st.text(max_size=80))
def test_no_signature_but_the_bodys_own_is_accepted(body: bytes, other: bytes, forged: str) -> None:
    """Whatever is tried in its place is refused."""
    key = SECRET.encode()
    check_hmac(body, given=mac(body), secret=key, sender="s")
    for attempt in (forged, mac(other)):
        if attempt != mac(body):
            with pytest.raises(Refused):
                check_hmac(body, given=attempt, secret=key, sender="s")


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{", b"[1,]", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 5000, b'"\\ud800"',
        b'{"\\udfff": 1}', b"1" * 5000, ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)).encode(),
    ],
)  # fmt: skip
def test_a_document_that_would_break_its_readers_is_refused(document: bytes) -> None:
    """Torn, deep, not Unicode: one error for all, and it repeats nothing."""
    with pytest.raises(InvalidInput, match="the document of s"):
        parse_json(document, sender="s")


def test_a_document_is_read() -> None:
    """With or without a byte order mark, nested as deep as documents are."""
    deep: object = "✓"
    for _ in range(MAX_DEPTH - 2):
        deep = [deep]
    assert parse_json(json.dumps(deep).encode(), sender="s") == deep
    assert parse_json(b"\xef\xbb\xbf{}", sender="s") == {}


def test_size_and_headers() -> None:
    """A body of a mebibyte is read, a larger one is not; a missing header is empty."""
    within_limit(b"x" * MAX_BODY_BYTES, sender="s")
    with pytest.raises(InvalidInput, match="more than"):
        within_limit(b"x" * (MAX_BODY_BYTES + 1), sender="s")
    assert (header({"A": " b "}, "a"), header({}, "a")) == ("b", "")
