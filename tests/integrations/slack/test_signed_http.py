"""Signed HTTP: only what Slack signed now gets in, once; everything else is refused without a crash."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from fakes.slack_listener import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from slack_listening import Floor, floor
from strict_desk import CREDENTIAL


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Floor]:
    with floor(tmp_path_factory.mktemp("door"), mode="http") as found:
        yield found


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Floor]:
    with floor(tmp_path, mode="http") as found:
        yield found


def _command(at: Floor, **more: str) -> bytes:
    fields = {"command": "/keyquell", "text": "contain", "user_id": at.ann, "team_id": at.slack.team}
    return urlencode(fields | more).encode()


def test_a_declaration_goes_the_same_way_as_over_the_socket(at: Floor) -> None:
    """The form, the incident, the message."""
    form, values = at.fill()
    at.slack.submit(form, values, at.ann)
    at.told("is open")
    assert at.desk.declared[0][0][0].target == CREDENTIAL


def test_the_same_signed_bytes_are_done_once_and_answered_alike(at: Floor) -> None:
    """A replay inside the window has a right signature; it changes nothing."""
    form, values = at.fill()
    at.slack.submit(form, values, at.ann)
    at.told("is open")
    assert [at.slack.replay_last().status for _ in range(5)] == [200] * 5
    at.type("who")
    at.heard("Ann responds")
    assert at.slack.replay_last().status == 200
    at.type("help")
    at.heard("Report a leaked key")
    assert len(at.desk.declared) == 1
    assert len(at.desk.calls("who")) == 1


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        ("not-a-number", None),
        ("", None),
        ("-1", None),
        ("1e9", None),
        ("١٢٣", None),
        ("9" * 40, None),
        ("old", None),
        ("future", None),
        (None, ""),
        (None, "v0="),
        (None, "v0=" + "0" * 64),
        (None, "v1=" + "0" * 64),
        (None, "v0=ü"),
    ],
)
def test_a_forged_or_stale_request_is_refused(door: Floor, timestamp: str | None, signature: str | None) -> None:
    """401, whatever is wrong with it, and the desk is not asked."""
    at = {"old": str(int(time.time()) - 301), "future": str(int(time.time()) + 301)}.get(timestamp or "", timestamp)
    body, headers = _command(door), door.slack._headers(_command(door), timestamp=at, signature=signature)
    raw = {name: value.encode("utf-8") for name, value in headers.items()}
    answer = httpx.post(door.slack.http_target, content=body, headers=raw)
    assert answer.status_code == 401
    assert door.desk.asked == []


def test_an_altered_body_is_refused(door: Floor) -> None:
    """The signature covers every byte."""
    body = _command(door)
    headers = door.slack._headers(body)
    assert httpx.post(door.slack.http_target, content=body + b"&text=x", headers=headers).status_code == 401


def test_a_request_without_any_header_is_refused(door: Floor) -> None:
    """So is Slack's old certificate check, which nobody signed."""
    for body in (b"", b"ssl_check=1&token=x", _command(door)):
        assert httpx.post(door.slack.http_target, content=body).status_code == 401


def test_only_post_is_served(door: Floor) -> None:
    """A browser is told so."""
    assert httpx.get(door.slack.http_target).status_code == 405


@pytest.mark.parametrize(
    "body",
    [
        b"payload=%7Bnot json",
        b"payload=%5B1%2C2%5D",
        b"{",
        b"\xff\xfe",
        b"[" * 50_000,
        b"{" + b'"a":{' * 20_000,
        b"payload=" + b"%5B" * 50_000,
    ],
)
def test_a_signed_body_that_is_no_interaction_is_refused(door: Floor, body: bytes) -> None:
    """Signed does not mean well-formed."""
    assert door.slack.post_signed(body).status in (400, 404)


def test_a_body_longer_than_any_interaction_is_refused(door: Floor) -> None:
    """Nobody fills the memory before the signature is checked."""
    assert httpx.post(door.slack.http_target, content=b"x" * 1_000_001).status_code == 413


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=15,
)
_KINDS = st.sampled_from(["block_actions", "view_submission", "message_action", "block_suggestion", "x"])
_ACTIONS = st.lists(
    st.fixed_dictionaries({"action_id": st.sampled_from(["kq:approve", "kq:deny", "x"]), "value": _JSON}), max_size=2
)
_VIEWS = st.fixed_dictionaries(
    {"callback_id": st.sampled_from(["kq_declare", "kq_deny", "kq_report", "x"]), "type": st.just("modal")},
    optional={"id": _JSON, "state": _JSON, "private_metadata": _JSON},
)


@given(
    payload=st.fixed_dictionaries(
        {"type": _KINDS},
        optional={
            "actions": _ACTIONS,
            "view": _VIEWS,
            "user": _JSON,
            "channel": _JSON,
            "callback_id": st.sampled_from(["kq_report_leak", "x"]),
            "message": _JSON,
            "trigger_id": _JSON,
            "action_id": st.sampled_from(["target", "x"]),
            "value": _JSON,
            "team": _JSON,
        },
    )
)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_signed_interaction_crashes_the_listener(door: Floor, payload: dict[str, object]) -> None:
    """Whatever the fields hold: acknowledged, not understood (400) or not ours (404), never a crash."""
    body = urlencode({"payload": json.dumps(payload)}).encode()
    assert door.slack.post_signed(body).status in (200, 400, 404)
    door.slack.troubles.clear()


_VISIBLE = st.characters(min_codepoint=0x21, exclude_characters="\x7f", exclude_categories=["Cs"])


@given(
    body=st.binary(max_size=300),
    timestamp=st.text(_VISIBLE, max_size=15) | st.integers().map(str),
    signature=st.text(_VISIBLE, max_size=80),
)
@settings(max_examples=120, deadline=None)
def test_no_unsigned_bytes_are_accepted(door: Floor, body: bytes, timestamp: str, signature: str) -> None:
    """No forgery gets in, and none is answered with a crash."""
    headers = {"x-slack-request-timestamp": timestamp.encode(), "x-slack-signature": signature.encode()}
    before = len(door.desk.asked)
    assert httpx.post(door.slack.http_target, content=body, headers=headers).status_code == 401
    assert len(door.desk.asked) == before


def test_the_handler_is_for_http_only(tmp_path: Path) -> None:
    """In Socket Mode no web page serves Slack's requests."""
    with floor(tmp_path, start=False) as at:
        assert at.app.handler is None
        assert not at.app.connected


def test_a_slow_desk_does_not_delay_the_answer(at: Floor) -> None:
    """Sixty at once, each within Slack's three seconds."""
    at.desk.opened()
    at.type_at_once("who", times=60)
    assert len(at.slack.acks) == 60
    assert max(each.seconds for each in at.slack.acks) < 3
    until(lambda: len(at.whispers()) == 60, "sixty answers", seconds=60)
