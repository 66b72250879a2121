"""What is brought to us: signed webhooks and scanners' output end in one contained case, however often they come."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_shop import Shop

from flows.background import Background
from flows.reception import hear, read_findings
from flows.wiring import Wiring
from integrations.fingerprints import installation_key, keyed
from playbooks.errors import InvalidInput, KeyquellError, NotFound, Refused, Unavailable
from playbooks.record import INSTALLATION, EventKind

pytestmark = pytest.mark.lab

SECRET = "a secret that only the sender knows"
HOOK = {
    "type": "json",
    "name": "leaks",
    "items": "leaks",
    "external_id": "id",
    "fingerprints": [{"kind": "access-key-id", "path": "key"}],
    "summary": "A key leaked at {place}",
    "confidence": 0.9,
    "auth": {"secret": "env:HOOK_SECRET", "prefix": "sha256="},
}


@pytest.fixture
def wiring(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    """A shop with one webhook and one poller."""
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    settings = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    settings["detectors"] = [
        {**HOOK, "expect_every_seconds": 3600},
        {"type": "trufflehog", "name": "scan", "file": "./findings.json"},
    ]
    shop.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with shop.wiring() as opened:
        yield opened


def leak(*keys: str) -> bytes:
    """The sender's message about these access keys."""
    leaks = [{"id": f"L-{key}", "key": key, "place": "a paste"} for key in keys]
    return json.dumps({"leaks": leaks}).encode()


def send(
    wiring: Wiring, background: Background, body: bytes, *, secret: str = SECRET, name: str = "leaks"
) -> list[str]:
    """Deliver a webhook, signed with this secret."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hear(wiring, background, name, headers={"x-signature-256": f"sha256={signature}"}, body=body)


def finding(raw: str, *, where: str = "a.py", **more: Any) -> bytes:
    """A line of TruffleHog's."""
    place = {"Data": {"Filesystem": {"file": where}}}
    return json.dumps({"DetectorName": "AWS", "Raw": raw, "SourceMetadata": place, "Verified": True, **more}).encode()


def test_a_signed_webhook_is_contained_in_the_background(wiring: Wiring, shop: Shop) -> None:
    """Its incident is answered at once; the proof follows."""
    background = Background(wiring)
    [incident_id] = send(wiring, background, leak(shop.user.access_key_id))
    background.wait(seconds=30)
    assert wiring.incident(incident_id).contained_at is not None
    assert not shop.credential_active()


def test_the_same_webhook_again_changes_nothing(wiring: Wiring, shop: Shop) -> None:
    """Senders repeat themselves, and so may anybody who overheard one."""
    background = Background(wiring)
    [first] = send(wiring, background, leak(shop.user.access_key_id))
    background.wait(seconds=30)
    before = wiring.records.events(first)
    assert send(wiring, background, leak(shop.user.access_key_id)) == [first]
    background.wait(seconds=30)
    assert wiring.records.events(first) == before
    assert wiring.records.incidents() == [first]


def test_a_forged_webhook_is_refused_and_is_no_sign_of_life(wiring: Wiring, shop: Shop) -> None:
    """Nothing is opened, nothing is kept of it."""
    with pytest.raises(Refused):
        send(wiring, Background(wiring), leak(shop.user.access_key_id), secret="guessed by somebody else")
    assert wiring.records.incidents() == []
    assert wiring.records.events(INSTALLATION) == []
    assert not (wiring.settings.state / "heard").exists()


def test_a_genuine_webhook_is_a_sign_of_life_also_when_it_concerns_nobody_here(wiring: Wiring) -> None:
    """It is kept for the watch; what matches nothing is kept for a person."""
    assert send(wiring, Background(wiring), leak("AKIASOMEBODYELSE0000")) == []
    assert (wiring.settings.state / "heard" / "leaks").exists()
    assert [event.kind for event in wiring.records.events(INSTALLATION)] == [EventKind.SIGNAL_UNMATCHED]


def test_one_finding_that_cannot_be_taken_in_does_not_hold_up_the_others(
    wiring: Wiring, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is told to come again, and what could be done is done."""
    from flows import reception

    real = reception.take_in

    def take_in(opened: Wiring, signal: Any) -> Any:
        if "BROKEN" in signal.fingerprints[0].value:
            raise InvalidInput("the estate cannot be read.")
        return real(opened, signal)

    monkeypatch.setattr(reception, "take_in", take_in)
    background = Background(wiring)
    with pytest.raises(KeyquellError, match="estate") as raised:
        send(wiring, background, leak("AKIABROKENBROKEN0000", shop.user.access_key_id))
    background.wait(seconds=30)
    assert not isinstance(raised.value, InvalidInput), "it is not the sender's fault"
    assert not shop.credential_active()


def test_who_is_not_configured_or_does_not_listen_is_told_so(wiring: Wiring) -> None:
    """An unknown name and a scanner's file take no webhooks."""
    with pytest.raises(NotFound):
        send(wiring, Background(wiring), leak(), name="leak")
    with pytest.raises(Unavailable, match="takes no webhooks"):
        send(wiring, Background(wiring), leak(), name="scan")


def test_a_scanners_output_is_contained_when_it_has_been_read(wiring: Wiring, shop: Shop) -> None:
    """Matched and unmatched findings are told apart, and reading it again changes nothing."""
    document = finding(shop.user.access_key_id) + b"\n" + finding("AKIASOMEBODYELSE0000", where="b.py")
    intake = read_findings(wiring, None, "trufflehog", document)
    assert [taken.how for _, taken in intake.findings] == ["opened", "unmatched"]
    [incident_id] = intake.incidents
    assert wiring.incident(incident_id).contained_at is not None
    assert len(intake.unmatched) == 1
    before = wiring.records.events(incident_id)
    again = read_findings(wiring, None, "scan", document)
    assert [taken.how for _, taken in again.findings] == ["known", "unmatched"]
    assert wiring.records.events(incident_id) == before
    assert len(wiring.records.events(INSTALLATION)) == 1


def test_another_source_is_another_witness(wiring: Wiring, shop: Shop) -> None:
    """The name given to a scan is the one that its findings are kept under."""
    read_findings(wiring, None, "trufflehog", finding(shop.user.access_key_id))
    intake = read_findings(wiring, None, "trufflehog", finding(shop.user.access_key_id), source="nightly")
    assert [(signal.source, taken.how) for signal, taken in intake.findings] == [("nightly", "joined")]


def test_a_tool_that_is_not_configured_reads_with_the_installations_key(shop: Shop) -> None:
    """A password is recognised by its keyed fingerprint; nothing of it is in the record."""
    estate = yaml.safe_load(shop.estate.read_text(encoding="utf-8"))
    with shop.wiring() as wiring:
        key = installation_key(wiring.settings.state / "installation.key")
        estate["credentials"][0]["fingerprints"].append(keyed("correct horse battery", key).model_dump())
        shop.estate.write_text(yaml.safe_dump(estate), encoding="utf-8")
        document = finding("correct horse battery", DetectorName="Custom")
        intake = read_findings(wiring, Background(wiring), "trufflehog", document)
        assert [taken.how for _, taken in intake.findings] == ["opened"]
        [incident_id] = intake.incidents
        assert "battery" not in str(wiring.records.events(incident_id))


@pytest.mark.parametrize(
    ("tool", "document", "why"),
    [
        ("trufflehog", b"{", "line 1"),
        ("gitleaks", b'{"RuleID": "x"}', "must be a JSON array"),
        ("sarif", b"{}", "SARIF 2.1.0"),
        ("cloudtrail", b"{}", "neither a detector of .* nor a tool whose output can be read"),
        ("truffelhog", b"{}", "neither a detector of .* nor a tool whose output can be read"),
        ("leaks", b"[1]", "leaks"),
    ],
)
def test_what_is_no_output_of_the_tool_is_refused_with_the_place(
    wiring: Wiring, tool: str, document: bytes, why: str
) -> None:
    """Nothing is taken in of a document that is wrong."""
    with pytest.raises(InvalidInput, match=why):
        read_findings(wiring, None, tool, document)
    assert wiring.records.incidents() == []


def test_every_tool_that_is_offered_reads(tmp_path: Path) -> None:
    """The list that people are shown is the list that works."""
    from flows.reception import tools
    from integrations.registry import ADAPTERS

    assert set(tools()) == {"trufflehog", "gitleaks", "sarif", "json", "certificate-transparency"}
    for tool in tools():
        module, _, name = ADAPTERS["detectors"][tool].partition(":")
        assert hasattr(getattr(__import__(module, fromlist=[name]), name), "read")


@pytest.mark.parametrize(
    "ids", [(1, 2), ("3f2b8c1e-9d4a-4c6b-8e2f-1a2b3c4d5e6f", "5f2b8c1e-9d4a-4c6b-8e2f-1a2b3c4d5e6f")]
)
def test_findings_whose_ids_look_like_secrets_are_still_told_apart(wiring: Wiring, ids: tuple[Any, Any]) -> None:
    """Numbers and UUIDs are ids as most senders make them: one finding must not be taken for another."""
    leaks = [{"id": each, "key": "AKIASOMEBODYELSE0000", "place": "a paste"} for each in ids]
    intake = read_findings(wiring, None, "leaks", json.dumps({"leaks": leaks}).encode())
    assert len(intake.unmatched) == 2
    assert len(wiring.records.events(INSTALLATION)) == 2
