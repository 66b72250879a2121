"""Any scanner that speaks JSON becomes a detector by its settings alone."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
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
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.json_mapping import JsonMapping
from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput, Refused
from playbooks.exposures import ExposureKind, Fingerprint
from playbooks.ports import Detects

DOCUMENT: dict[str, Any] = {
    "version": 3,
    "alerts": [
        {
            "id": 17,
            "status": "open",
            "class": "credential",
            "certainty": "high",
            "public": True,
            "seen": 1770403639,
            "where": {"repo": "acme/deploy", "paths": ["deploy/settings.py", "other"]},
            "link": "https://scanner.example/alerts/17",
            "value": PASSWORD,
            "aws": {"key/id": ACCESS_KEY},
        }
    ],
}
MAPPING: dict[str, Any] = {
    "items": "alerts",
    "only": [{"path": "status", "values": ["open", "reopened"]}],
    "external_id": "/id",
    "kind": {"path": "class", "values": {"credential": "credential", "tls": "signing-key"}},
    "fingerprints": [{"kind": "secret", "path": "value"}, {"kind": "access-key-id", "path": "/aws/key~1id"}],
    "summary": "Scanner found {class} in {where.repo}, {/where/paths/0}.",
    "first_seen": "seen",
    "confidence": {"path": "certainty", "values": {"high": 0.9, "low": 0.4}},
    "publicly_leaked": "public",
    "evidence_uri": "link",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("mapping")
    (place / "hook").write_text(HOOK_SECRET, encoding="utf-8")
    return place


def mapping(state: Path, /, **changes: Any) -> JsonMapping:
    auth = {"secret": f"file:{state / 'hook'}", "prefix": "sha256="}
    options = {**MAPPING, "auth": auth, "key_file": str(state / "installation.key"), **changes}
    return JsonMapping.open("scan", options, clock=now)


@pytest.fixture(scope="module")
def reader(folder: Path) -> JsonMapping:
    return mapping(folder)


def alerts(*changes: dict[str, Any]) -> bytes:
    return json.dumps({**DOCUMENT, "alerts": [{**DOCUMENT["alerts"][0], **each} for each in changes or ({},)]}).encode()


def test_every_field_is_mapped(reader: JsonMapping, folder: Path) -> None:
    """Pointers and dots, constants and tables; the live secret is fingerprinted at once."""
    (signal,) = reader.read(alerts())
    assert (signal.source, signal.external_id, signal.kind) == ("scan", "17", ExposureKind.CREDENTIAL)
    assert signal.fingerprints == (
        keyed(PASSWORD, installation_key(folder / "installation.key")),
        Fingerprint(kind="access-key-id", value=ACCESS_KEY),
    )
    assert signal.summary == "Scanner found credential in acme/deploy, deploy/settings.py."
    assert signal.first_seen == datetime(2026, 2, 6, 18, 47, 19, tzinfo=UTC)
    assert (signal.confidence, signal.publicly_leaked) == (0.9, True)
    assert signal.evidence_uri == "https://scanner.example/alerts/17"
    assert PASSWORD not in spoken([signal])


def test_constants_and_missing_places(folder: Path) -> None:
    """What is not there is left out; a value that the table does not list has its own answer."""
    plain = mapping(folder, kind="data-key", confidence=0.5, publicly_leaked=False, first_seen="no", evidence_uri=None)
    (signal,) = plain.read(alerts({"where": None}))
    assert (signal.kind, signal.confidence, signal.first_seen) == (ExposureKind.DATA_KEY, 0.5, None)
    assert signal.summary == "Scanner found credential in ?, ?."
    (other,) = mapping(folder).read(alerts({"class": "new", "certainty": "new"}))
    assert (other.kind, other.confidence) == (ExposureKind.CREDENTIAL, 0.6)


def test_without_a_kind_the_secret_decides(folder: Path) -> None:
    """A private key is a signing key, whatever the scanner calls it."""
    pem = private_pem()
    (signal,) = mapping(folder, kind=None).read(alerts({"value": pem, "aws": {}}))
    assert (signal.kind, signal.fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))


def test_identities_stay_apart(reader: JsonMapping) -> None:
    """A name is kept; what looks like a secret is hashed, for blanking it would make one finding of many."""
    random = ["5d41402abc4b2a76b9719d911017c592", "7d793037a0760186574b0282f2f435e7"]
    found = [each.external_id for each in reader.read(alerts(*({"id": each} for each in ["alert-12345", *random])))]
    assert len(set(found)) == 3
    assert found[0] == "alert-12345"
    assert not set(found) & set(random)


def test_a_closed_item_is_no_signal(reader: JsonMapping) -> None:
    """Only what the conditions let through counts."""
    assert list(reader.read(alerts({"status": "resolved"}, {"status": None}))) == []
    assert [each.external_id for each in reader.read(alerts({"status": "resolved"}, {"id": 18}))] == ["18"]


def test_the_same_item_twice_is_one(reader: JsonMapping) -> None:
    """Known by what stands at external_id."""
    assert len(reader.read(alerts({}, {}, {"id": 18}))) == 2


@pytest.mark.parametrize(("items", "document"), [("", "list"), ("", "one"), ("data.found", "nested")])
def test_a_document_may_be_the_list_the_item_or_hold_it(folder: Path, items: str, document: str) -> None:
    """All three are common."""
    item = DOCUMENT["alerts"][0]
    body = {"list": [item], "one": item, "nested": {"data": {"found": [item]}}}[document]
    assert len(mapping(folder, items=items).read(json.dumps(body).encode())) == 1


@pytest.mark.parametrize(
    ("kind", "value", "known"),
    [
        ("spki-sha256", "AB" * 32, "ab" * 32),
        ("certificate-serial", "04:E5:7B", "04e57b"),
        ("key-check-value", "66E94B", "66e94b"),
        ("token-accessor", "8609694a-cdbc-db9b-d345-e782dbb562ed", "8609694a-cdbc-db9b-d345-e782dbb562ed"),
        ("key-uri", "openbao:vault/transit/orders", "openbao:vault/transit/orders"),
        ("token-accessor", "pIdhqVMAjJ3Yvqwh1N9pJeKr", "pIdhqVMAjJ3Yvqwh1N9pJeKr"),
        ("token-accessor", "hvs.CAESIJ4v3rYs3cr3tT0k3nF0rT3sts0nly", None),
        ("key-uri", f"openbao:vault/a?password={PASSWORD}", None),
        ("spki-sha256", "ab", None),
        ("token-sha256", PASSWORD, None),
        ("key-check-value", "66e94bd4", None),
        ("access-key-id", f"password={PASSWORD}", None),
        ("access-key-id", "two words", None),
    ],
)
def test_fingerprints_are_of_their_kind_or_refused(folder: Path, kind: str, value: str, known: str | None) -> None:
    """A live secret that a scanner puts where a hash should be must not be kept."""
    reader = mapping(folder, fingerprints=[{"kind": kind, "path": "value"}])
    if known is None:
        with pytest.raises(InvalidInput, match="what is at 'value'") as caught:
            reader.read(alerts({"value": value}))
        assert value not in str(caught.value)
        return
    (signal,) = reader.read(alerts({"value": value}))
    assert [each.value for each in signal.fingerprints] == [known]


def test_a_webhook_is_heard_from_its_sender_only(folder: Path, reader: JsonMapping) -> None:
    """Signed with our secret, or refused; without auth nothing is heard."""
    body = alerts()
    assert reader.hear(headers={"x-signature-256": f"sha256={hexdigest(body)}"}, body=body)
    for given_headers in ({}, {"x-signature-256": hexdigest(body)}, {"x-signature-256": f"sha256={'0' * 64}"}):
        with pytest.raises(Refused):
            reader.hear(headers=given_headers, body=body)
    with pytest.raises(Refused):
        mapping(folder, auth=None).hear(headers={}, body=body)
    with pytest.raises(InvalidInput):
        reader.hear(headers={}, body=b" " * (1024 * 1024 + 1))


def test_a_bearer_token_is_another_way(folder: Path) -> None:
    """For senders that sign nothing."""
    reader = mapping(folder, auth={"scheme": "bearer", "secret": f"file:{folder / 'hook'}"})
    assert reader.hear(headers={"authorization": f"Bearer {HOOK_SECRET}"}, body=alerts())
    with pytest.raises(Refused):
        reader.hear(headers={"authorization": "Bearer guess"}, body=alerts())


def test_files_are_polled_only_where_there_is_a_place(folder: Path, reader: JsonMapping, tmp_path: Path) -> None:
    """A detector for webhooks alone must not look alive by polling."""
    polled = mapping(folder, folder=str(tmp_path))
    (tmp_path / "a.json").write_bytes(alerts())
    assert not isinstance(reader, Detects)
    assert isinstance(polled, Detects)
    signals, cursor = polled.poll(cursor="")
    assert (len(signals), len(polled.poll(cursor=cursor)[0])) == (1, 0)


@pytest.mark.parametrize(
    "document",
    [b"", b"{}", b'{"alerts": 7}', b'{"alerts": [7]}', alerts()[:-5], b'{"alerts": [{"status": "open"}]}',
     alerts({"id": None}), alerts({"id": {}}), alerts({"id": PASSWORD}), b"[" * 9999],
)  # fmt: skip
def test_another_document_is_refused(reader: JsonMapping, document: bytes) -> None:
    """Torn, deep, no items, items without identity or with the secret for one."""
    with pytest.raises(InvalidInput) as caught:
        reader.read(document)
    assert PASSWORD not in str(caught.value)


def test_the_secret_is_nowhere(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Also not when the template, the identity or the address names its place."""
    told = {"id": f"17-{PASSWORD}", "class": PASSWORD, "link": f"https://x/{PASSWORD}", "where": {"repo": PASSWORD}}
    reader = mapping(folder, summary="{value} {class} {where.repo} {/where/repo}")
    with caplog.at_level(logging.DEBUG):
        signals = reader.read(alerts(told))
    assert len(signals) == 1
    assert PASSWORD not in spoken(signals, caplog.text, reader)


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprints": []},
        {"fingerprints": [{"kind": "secret-hmac", "path": "value"}]},
        {"fingerprints": [{"kind": "colour", "path": "value"}]},
        {"confidence": 2.0},
        {"confidence": {"path": "a", "values": {"b": 7}}},
        {"kind": "nothing"},
        {"auth": {"secret": "clear text"}},
        {"file": "a", "folder": "b"},
        {"colour": "red"},
    ],
)
def test_wrong_options_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    """What cannot work is said when it is configured."""
    with pytest.raises(InvalidInput, match="detector 'scan', field") as caught:
        mapping(folder, **changes)
    assert "clear text" not in str(caught.value)


@FUZZ
@given(given_headers=headers, body=st.binary(max_size=200) | mutations(DOCUMENT))
def test_no_forgery_is_accepted(reader: JsonMapping, given_headers: dict[str, str], body: bytes) -> None:
    """Whatever comes unsigned is refused and breaks nothing."""
    never_accepts(reader.hear, given_headers, body)


@FUZZ
@given(document=mutations(DOCUMENT) | st.binary(max_size=200))
def test_a_strange_document_breaks_nothing(reader: JsonMapping, document: bytes) -> None:
    """Signals or a refusal, and never the secret."""
    said = spoken(only_expected(lambda: reader.read(document)))
    assert PASSWORD not in said


@FUZZ
@given(path=st.text(max_size=20), document=mutations(DOCUMENT))
def test_any_path_can_be_asked_for(folder: Path, path: str, document: bytes) -> None:
    """A path that leads nowhere is nothing, never a fault."""
    strange = mapping(folder, items=path, external_id=path, first_seen=path, only=[], summary=f"{{{path}}}")
    only_expected(lambda: strange.read(document))
