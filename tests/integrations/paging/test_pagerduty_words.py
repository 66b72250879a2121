"""What people do in PagerDuty is heard: signed webhooks only, about incidents of ours only."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes.pagerduty_account import Incident
from fakes.pagerduty_server import FakePagerDuty, Fault, Webhook
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from paging_cases import INCIDENT, case

from integrations.paging.pagerduty import PagerDuty
from playbooks.errors import InvalidInput, Refused, Unreachable
from playbooks.surfaces import PagerWord

Options = dict[str, Any]
NOW = case().incident.opened_at


def opened(options: Options, **changes: Any) -> PagerDuty:
    return PagerDuty.open("oncall", {**options, **changes}, clock=lambda: NOW)


def by_webhook_alone(options: Options) -> PagerDuty:
    return opened({name: each for name, each in options.items() if name not in ("api_token", "from_email")})


def heard(pager: PagerDuty, webhook: Webhook) -> list[PagerWord]:
    return list(pager.words(headers=webhook.headers, body=webhook.body))


@pytest.fixture
def paged(fake: FakePagerDuty, options: Options) -> Incident:
    """An incident of ours in PagerDuty, with its key on it."""
    fake.account.keys_on_incidents = True
    by_webhook_alone(options).page(case(), level=0, person=None)
    return fake.account.incidents[0]


@pytest.mark.parametrize(
    ("click", "act"),
    [("acknowledge", "acknowledged"), ("resolve", "resolved"), ("reopen", "reopened"), ("escalate", "escalated")],
)
def test_a_click_there_is_a_word_here(
    fake: FakePagerDuty, options: Options, paged: Incident, click: str, act: str
) -> None:
    """With our incident, who did it, and the id by which a second delivery is known."""
    webhook = fake.click(paged, click)
    (word,) = heard(by_webhook_alone(options), webhook)
    assert (word.incident, word.act, word.user) == (INCIDENT, act, "PASHA01")
    assert word.event_id == json.loads(webhook.body)["event"]["id"]
    assert heard(by_webhook_alone(options), webhook) == [word]


@pytest.mark.parametrize("click", ["delegate", "priority"])
def test_other_news_is_no_word(fake: FakePagerDuty, options: Options, paged: Incident, click: str) -> None:
    """Neither are the webhook of the trigger itself and the test button."""
    pager = by_webhook_alone(options)
    assert heard(pager, fake.click(paged, click)) == []
    assert heard(pager, fake.triggered(paged)) == []
    assert heard(pager, fake.ping()) == []


def test_what_a_machine_did_names_nobody(fake: FakePagerDuty, options: Options, paged: Incident) -> None:
    """Our own acknowledge comes back as an integration's."""
    agent = {"id": "PINTEGR", "type": "events_api_v2_inbound_integration_reference"}
    data = json.loads(fake.click(paged, "acknowledge").body)["event"]["data"]
    pager = by_webhook_alone(options)
    (word,) = heard(pager, fake.send("incident.acknowledged", data, agent=agent))
    assert word.user == ""
    (word,) = heard(pager, fake.send("incident.acknowledged", data, agent=None))
    assert word.user == ""


def test_an_incident_without_a_key_is_asked_for_by_its_alerts(fake: FakePagerDuty, options: Options) -> None:
    """Incidents made from alerts usually have no key of their own; asked once, then remembered."""
    opened(options).page(case(), level=0, person=None)
    pager, incident = opened(options), fake.account.incidents[0]
    fake.requests.clear()
    assert [word.incident for word in heard(pager, fake.click(incident, "acknowledge"))] == [INCIDENT]
    assert [word.act for word in heard(pager, fake.click(incident, "annotate", note="On it"))] == ["noted"]
    assert len(fake.requests) == 2


def test_a_note_is_heard_without_rest_once_the_incident_is_known(
    fake: FakePagerDuty, options: Options, paged: Incident
) -> None:
    """A note's webhook holds no key; an earlier webhook of the incident did."""
    pager = by_webhook_alone(options)
    assert heard(pager, fake.click(paged, "annotate", note="On it")) == []
    heard(pager, fake.click(paged, "acknowledge"))
    assert [word.act for word in heard(pager, fake.click(paged, "annotate", note="On it"))] == ["noted"]


def test_a_further_alert_speaks_for_the_same_case(fake: FakePagerDuty, options: Options, paged: Incident) -> None:
    """An acknowledge of the second ring is one of the case."""
    pager = by_webhook_alone(options)
    pager.page(case(links={"level-0": INCIDENT}), level=1, person=None)
    (word,) = heard(pager, fake.click(fake.account.incidents[1], "acknowledge"))
    assert word.incident == INCIDENT


@pytest.mark.parametrize(("state", "acts"), [("joined", ["acknowledged"]), ("declined", []), ("pending", [])])
def test_who_joins_has_taken_the_case(
    fake: FakePagerDuty, options: Options, paged: Incident, state: str, acts: list[str]
) -> None:
    """A called person who declines has not."""
    words = heard(opened(options), fake.reply(paged, user="PCARL03", state=state))
    assert [word.act for word in words] == acts
    assert all(word.user == "PCARL03" for word in words)


def test_incidents_of_others_are_left_out(fake: FakePagerDuty, options: Options) -> None:
    """Of another tool on the same service, of another service, and of none that PagerDuty knows."""
    fake.account.routing_keys["X" * 32] = "POTHER1"
    fake.account.services["POTHER1"] = "Shop"
    payload = {"summary": "disk full", "source": "db1", "severity": "info"}
    for key in (fake.routing_key, "X" * 32):
        fake.account.enqueue({"routing_key": key, "event_action": "trigger", "dedup_key": "disk", "payload": payload})
        fake.account.change(fake.account.incidents[-1], "resolved")
    pager = opened(options, service="PSERVIC")
    ours, theirs = fake.account.incidents
    fake.requests.clear()
    assert heard(pager, fake.click(theirs, "acknowledge")) == []
    assert not fake.requests
    for _ in range(2):
        assert heard(pager, fake.click(ours, "acknowledge")) == []
    assert len(fake.requests) == 2
    unknown = Incident("QGONE99", 9, "", "PSERVIC", ours.alert, "")
    assert heard(pager, fake.click(unknown, "acknowledge")) == []


@pytest.mark.parametrize("fault", ["down", "broken", "forbidden", "nonsense"])
def test_an_incident_that_cannot_be_asked_for_now_is_no_lost_word(
    fake: FakePagerDuty, options: Options, fault: Fault
) -> None:
    """The error lets the delivery be answered with 5xx, and PagerDuty delivers again; it is no wrong signature."""
    opened(options).page(case(), level=0, person=None)
    pager, webhook = opened(options), fake.click(fake.account.incidents[0], "acknowledge")
    fake.fault = fault
    with pytest.raises(Unreachable):
        heard(pager, webhook)
    fake.fault = ""
    assert [word.incident for word in heard(pager, webhook)] == [INCIDENT]


def test_either_secret_is_good_while_one_is_replaced(
    fake: FakePagerDuty, options: Options, paged: Incident, tmp_path: Path
) -> None:
    """On our side and on theirs; the old one alone is refused once it is gone here, without a restart."""
    old = fake.click(paged, "acknowledge")
    (tmp_path / "next").write_text("whsec-next")
    pager = by_webhook_alone({**options, "webhook_secrets": [f"file:{tmp_path}/hook", f"file:{tmp_path}/next"]})
    new = fake.signed(old.body, secrets=["whsec-next"])
    both = fake.signed(old.body, secrets=["whsec-unknown", "whsec-next"])
    for webhook in (old, new, both):
        assert len(heard(pager, webhook)) == 1
    (tmp_path / "hook").write_text("whsec-next")
    with pytest.raises(Refused):
        heard(pager, old)


@pytest.mark.parametrize(
    "signature",
    [None, "", "v1=", "v1", ",,,", "v0={}", "{}", "V1={}", "v1={}0", "v1= {}", "v1=é", "v1=\udcff", "v2={},v1=0"],
)
def test_a_bad_signature_is_refused(
    fake: FakePagerDuty, options: Options, paged: Incident, signature: str | None
) -> None:
    """Missing, empty, of another version, with a digit too many, or not even text."""
    webhook = fake.click(paged, "acknowledge")
    digest = webhook.headers["x-pagerduty-signature"].removeprefix("v1=")
    headers = {} if signature is None else {"x-pagerduty-signature": signature.replace("{}", digest)}
    with pytest.raises(Refused, match="not signed by PagerDuty"):
        by_webhook_alone(options).words(headers=headers, body=webhook.body)


def test_without_a_secret_nothing_is_believed(fake: FakePagerDuty, options: Options, paged: Incident) -> None:
    """Not even what is signed with the empty secret."""
    webhook = fake.click(paged, "acknowledge")
    with pytest.raises(Refused):
        heard(by_webhook_alone({**options, "webhook_secrets": []}), fake.signed(webhook.body, secrets=[""]))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"event": 1}',
        b'{"event": {"id": "", "event_type": "x"}}',
        b'{"event": {"id": 7, "event_type": "incident.acknowledged"}}',
        b'{"event": {"id": "a", "event_type": "incident.acknowledged", "data": []}}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"event":' * 5_000,
    ],
)
def test_a_signed_body_that_is_no_event_says_where(fake: FakePagerDuty, options: Options, body: bytes) -> None:
    """However deep or broken it is."""
    with pytest.raises(InvalidInput, match="is no PagerDuty event"):
        heard(by_webhook_alone(options), fake.signed(body))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=20,
)
_NAMES = ("id", "incident_key", "status", "service", "incident", "state", "type", "content")
_DATA = st.dictionaries(st.sampled_from(_NAMES), _JSON | st.sampled_from([INCIDENT, "Q1INC0001", {"id": "PSERVIC"}]))
_EVENT = st.fixed_dictionaries(
    {
        "id": st.text(max_size=300) | _JSON,
        "event_type": st.sampled_from(["incident.acknowledged", "incident.annotated", "pagey.ping", "x"]) | _JSON,
        "agent": st.none() | st.fixed_dictionaries({"id": _JSON, "type": _JSON}) | _JSON,
        "data": _DATA | _JSON,
    }
)
_FUZZ = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_FUZZ
@given(body=st.binary(max_size=200) | st.builds(lambda event: json.dumps({"event": event}).encode(), _EVENT))
def test_signed_bodies_of_any_kind_crash_nothing(fake: FakePagerDuty, options: Options, body: bytes) -> None:
    """They are words, nothing, or InvalidInput; and every word is about an incident of ours."""
    try:
        words = heard(by_webhook_alone(options), fake.signed(body))
    except InvalidInput:
        return
    assert all(word.incident == INCIDENT and word.event_id for word in words)


@_FUZZ
@given(signature=st.text(max_size=120), change=st.binary(max_size=8), at=st.integers(min_value=0, max_value=400))
def test_no_forgery_is_accepted(fake: FakePagerDuty, options: Options, signature: str, change: bytes, at: int) -> None:
    """Neither a changed body under a true signature nor a true body under another."""
    body = json.dumps({"event": {"id": "a", "event_type": "incident.resolved", "data": {"id": "Q1INC1"}}}).encode()
    pager, true = by_webhook_alone(options), fake.signed(body)
    forged = body[:at] + change + body[at + len(change) :]
    if forged != body:
        with pytest.raises(Refused):
            pager.words(headers=true.headers, body=forged)
    with pytest.raises(Refused):
        pager.words(headers={"x-pagerduty-signature": signature}, body=body)


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]], list[int]]]:
    """A web server that takes webhooks: its URL, what came, and the statuses that it will answer."""
    came: list[tuple[dict[str, str], bytes]] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(statuses.pop(0) if statuses else 202)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/hooks/pagers/oncall", came, statuses
    server.shutdown()
    server.server_close()


def test_webhooks_survive_the_way_over_http(
    fake: FakePagerDuty, options: Options, paged: Incident, receiver: tuple[str, list[Any], list[int]]
) -> None:
    """Posted, redelivered after a 503 until it is taken, and still the same word."""
    fake.subscriber, came, statuses = receiver
    statuses += [503, 503]
    webhook = fake.click(paged, "acknowledge", user="PBENN02")
    assert fake.delivered == [503, 503, 202]
    fake.deliver(webhook)
    pager = by_webhook_alone(options)
    words = {word for headers, body in came for word in pager.words(headers=headers, body=body)}
    assert len(came) == 4
    assert [(word.incident, word.act, word.user) for word in words] == [(INCIDENT, "acknowledged", "PBENN02")]
