"""Gitleaks reports become signals, and their secrets stay at the door."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from findings_abuse import ACCESS_KEY, FUZZ, PASSWORD, SECRET_KEY, mutations, now, only_expected, private_pem, spoken
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.gitleaks import Gitleaks
from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint

FINDING: dict[str, Any] = {
    "RuleID": "generic-api-key",
    "Description": "Detected a Generic API Key, potentially exposing access to various services.",
    "StartLine": 12,
    "EndLine": 12,
    "StartColumn": 5,
    "EndColumn": 42,
    "Match": f'password = "{PASSWORD}"',
    "Secret": PASSWORD,
    "File": "deploy/settings.py",
    "SymlinkFile": "",
    "Commit": "5b4f0c6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708",
    "Entropy": 3.9,
    "Author": "A Person",
    "Email": "person@acme.example",
    "Date": "2026-01-05T09:12:44Z",
    "Message": "Add settings",
    "Tags": [],
    "Fingerprint": "5b4f0c6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708:deploy/settings.py:generic-api-key:12",
}


def finding(secret: str = PASSWORD, **changes: Any) -> dict[str, Any]:
    return {**FINDING, "Secret": secret, "Match": f"x = {secret}", **changes}


def report(*findings: dict[str, Any]) -> bytes:
    return json.dumps(list(findings), indent=1).encode()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Gitleaks:
    options = {"key_file": str(tmp_path_factory.mktemp("state") / "installation.key")}
    return Gitleaks.open("leaks", options, clock=now)


def polled(tmp_path: Path) -> Gitleaks:
    options = {"folder": str(tmp_path / "reports"), "key_file": str(tmp_path / "installation.key")}
    (tmp_path / "reports").mkdir()
    return Gitleaks.open("leaks", options, clock=now)


def test_a_finding_is_read(tmp_path: Path) -> None:
    """Known by Gitleaks' own fingerprint, since the commit's date."""
    detector = polled(tmp_path)
    (signal,) = detector.read(report(FINDING))
    assert signal.external_id == FINDING["Fingerprint"]
    assert signal.fingerprints == (keyed(PASSWORD, installation_key(tmp_path / "installation.key")),)
    assert signal.first_seen == datetime(2026, 1, 5, 9, 12, 44, tzinfo=UTC)
    assert (signal.kind, signal.confidence) == (ExposureKind.CREDENTIAL, 0.8)
    assert "deploy/settings.py" in signal.summary


def test_keys_are_recognised_by_what_names_them(reader: Gitleaks) -> None:
    """An access key by its id, also when only the match holds it; a private key by its public half."""
    pem = private_pem()
    aws = finding(SECRET_KEY, Match=f"{ACCESS_KEY}:{SECRET_KEY}", Fingerprint="a")
    one, two = reader.read(report(aws, finding(pem, Fingerprint="b")))
    assert one.fingerprints == (Fingerprint(kind="access-key-id", value=ACCESS_KEY),)
    assert (two.kind, two.fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))


def test_a_report_is_read_once_and_again_when_it_changes(tmp_path: Path) -> None:
    """The same finding has the same id; other files are left alone."""
    detector = polled(tmp_path)
    place = tmp_path / "reports" / "a.json"
    place.write_bytes(report(FINDING))
    first, cursor = detector.poll(cursor="")
    quiet, cursor = detector.poll(cursor=cursor)
    place.write_bytes(report(FINDING, finding(Fingerprint="new")))
    both, cursor = detector.poll(cursor=cursor)
    assert (len(first), len(quiet), len(both)) == (1, 0, 2)
    assert first[0].external_id in {each.external_id for each in both}


def test_a_torn_report_waits_until_it_is_whole(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is reported by name, and does not keep the others back."""
    detector = polled(tmp_path)
    torn, whole = tmp_path / "reports" / "a.json", tmp_path / "reports" / "b.json"
    torn.write_bytes(report(FINDING)[:-30])
    whole.write_bytes(report(finding(Fingerprint="other")))
    first, cursor = detector.poll(cursor="")
    torn.write_bytes(report(FINDING))
    second, _ = detector.poll(cursor=cursor)
    assert [each.external_id for each in (*first, *second)] == ["other", FINDING["Fingerprint"]]
    assert "a.json" in caplog.text
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("document", [b"[]", b"null", b"\xef\xbb\xbf[]\n"])
def test_no_findings_are_none(reader: Gitleaks, document: bytes) -> None:
    """Gitleaks writes an empty list."""
    assert list(reader.read(document)) == []


def test_the_same_finding_twice_is_one(reader: Gitleaks) -> None:
    """Also without Gitleaks' fingerprint: commit, file, rule and line name it."""
    bare = {name: value for name, value in FINDING.items() if name != "Fingerprint"}
    assert len(reader.read(report(FINDING, FINDING))) == len(reader.read(report(bare, bare))) == 1


@pytest.mark.parametrize("text", ["REDACTED", "", "Tr0ub..."])
def test_a_redacted_report_says_where_but_not_what(reader: Gitleaks, text: str) -> None:
    """The hash of a placeholder would match every other placeholder."""
    (signal,) = reader.read(report(finding(text, Match=text)))
    assert signal.fingerprints == ()


@pytest.mark.parametrize("document", [b"", b"{}", b"[1]", b'[{"Secret": "x"}]', report(FINDING)[:-4], b"[" * 9999])
def test_another_document_is_refused(reader: Gitleaks, document: bytes) -> None:
    """Torn, no list, no finding, too deep."""
    with pytest.raises(InvalidInput):
        reader.read(document)


def test_the_secret_is_nowhere(reader: Gitleaks, caplog: pytest.LogCaptureFixture) -> None:
    """Also not when a path, a rule or the fingerprint repeats it."""
    told = dict.fromkeys(("RuleID", "File", "Commit", "Link", "Fingerprint", "Author", "Message"), f"a/{PASSWORD}.txt")
    with caplog.at_level(logging.DEBUG):
        signals = reader.read(report(finding(**told)))
        with pytest.raises(InvalidInput) as caught:
            reader.read(report({"Secret": PASSWORD}))
    assert PASSWORD not in spoken(signals, caplog.text, caught.value, reader)


@pytest.mark.parametrize("options", [{"file": "a", "folder": "b"}, {"colour": "red"}])
def test_wrong_options_are_refused(options: dict[str, str]) -> None:
    """One place, no unknown field."""
    with pytest.raises(InvalidInput, match="detector 'leaks', field"):
        Gitleaks.open("leaks", options, clock=now)


def test_a_detector_without_a_place_says_so(reader: Gitleaks) -> None:
    """A forgotten folder must not look like silence."""
    with pytest.raises(InvalidInput, match="neither file nor folder"):
        reader.poll(cursor="")


@FUZZ
@given(document=mutations([FINDING, finding(SECRET_KEY)]) | st.binary(max_size=200))
def test_a_strange_report_breaks_nothing(reader: Gitleaks, document: bytes) -> None:
    """Signals or a refusal, and never the secret."""
    said = spoken(only_expected(lambda: reader.read(document)))
    assert SECRET_KEY not in said
