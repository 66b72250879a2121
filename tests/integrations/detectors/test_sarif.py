"""SARIF logs of secret scanners become signals; what was dismissed, and what is no secret, does not."""

from __future__ import annotations

import copy
import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from findings_abuse import ACCESS_KEY, FUZZ, PASSWORD, SECRET_KEY, mutations, now, only_expected, private_pem, spoken
from hypothesis import given
from hypothesis import strategies as st

from integrations.detectors.sarif import Sarif
from integrations.fingerprints import installation_key, keyed, spki_sha256
from playbooks.errors import InvalidInput
from playbooks.exposures import ExposureKind, Fingerprint

RESULT: dict[str, Any] = {
    "message": {"text": "generic-api-key has detected secret for file deploy/settings.py at commit 5b4f0c6."},
    "ruleId": "generic-api-key",
    "locations": [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "deploy/settings.py"},
                "region": {
                    "startLine": 12, "startColumn": 5, "endLine": 12, "endColumn": 42, "snippet": {"text": PASSWORD}
                },
            }
        }
    ],
    "partialFingerprints": {
        "commitSha": "5b4f0c6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708",
        "email": "person@acme.example",
        "author": "A Person",
        "date": "2026-01-05T09:12:44Z",
        "commitMessage": "Add settings",
    },
    "properties": {"tags": []},
}  # fmt: skip


def result(snippet: str = PASSWORD, **changes: Any) -> dict[str, Any]:
    found = copy.deepcopy(RESULT)
    found["locations"][0]["physicalLocation"]["region"]["snippet"]["text"] = snippet
    return {**found, **changes}


def log(*results: Any, tool: str = "gitleaks") -> bytes:
    run = {"tool": {"driver": {"name": tool, "semanticVersion": "v8.0.0", "rules": []}}, "results": list(results)}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}).encode()


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state") / "installation.key"


@pytest.fixture(scope="module")
def reader(key_file: Path) -> Sarif:
    return Sarif.open("scan", {"key_file": str(key_file)}, clock=now)


def test_gitleaks_sarif_is_read(reader: Sarif, key_file: Path) -> None:
    """The snippet is the secret itself; the commit's date is the first evidence."""
    (signal,) = reader.read(log(RESULT))
    assert signal.fingerprints == (keyed(PASSWORD, installation_key(key_file)),)
    assert (signal.kind, signal.confidence) == (ExposureKind.CREDENTIAL, 0.8)
    assert signal.first_seen == datetime(2026, 1, 5, 9, 12, 44, tzinfo=UTC)
    assert signal.summary == "gitleaks found a possible secret (generic-api-key) in deploy/settings.py."
    assert signal.evidence_uri == "deploy/settings.py:12"


def test_the_secret_is_found_in_the_line_around_it(reader: Sarif, key_file: Path) -> None:
    """Other tools give the line; a private key spans many."""
    pem = private_pem()
    one, two, three = reader.read(
        log(
            result(f'password = "{PASSWORD}"  # prod', ruleId="S2068"),
            result(f"key: |\n{pem}", ruleId="S6706"),
            result(f'client("{ACCESS_KEY}", "{SECRET_KEY}")', ruleId="S6290"),
            tool="SonarQube",
        )
    )
    assert one.fingerprints == (keyed(PASSWORD, installation_key(key_file)),)
    assert (two.kind, two.fingerprints) == (ExposureKind.SIGNING_KEY, (spki_sha256(pem),))
    assert Fingerprint(kind="access-key-id", value=ACCESS_KEY) in three.fingerprints
    assert keyed(SECRET_KEY, installation_key(key_file)) in three.fingerprints


def test_two_kinds_in_one_place_are_two_findings(reader: Sarif) -> None:
    """A signal has one kind of exposure; neither hides the other."""
    signals = reader.read(log(result(f"{private_pem()}\npassword: {PASSWORD}")))
    assert {each.kind for each in signals} == {ExposureKind.SIGNING_KEY, ExposureKind.CREDENTIAL}
    assert len({each.external_id for each in signals}) == 2


def test_the_same_result_twice_is_one_and_another_line_is_another(reader: Sarif) -> None:
    """A scanner that runs every hour reports it every hour."""
    moved = copy.deepcopy(RESULT)
    moved["locations"][0]["physicalLocation"]["region"]["startLine"] = 99
    assert len(reader.read(log(RESULT, RESULT, moved))) == 2
    stable = {"fingerprints": {"v1": "abc"}}
    assert len(reader.read(log({**RESULT, **stable}, {**moved, **stable}))) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"suppressions": [{"kind": "inSource"}]},
        {"suppressions": [{"kind": "external", "status": "accepted"}]},
        {"baselineState": "absent"},
        {"kind": "pass"},
        {"kind": "notApplicable"},
    ],
)
def test_a_dismissed_result_is_no_signal(reader: Sarif, changes: dict[str, Any]) -> None:
    """Suppressed, gone or passed."""
    assert list(reader.read(log(result(**changes)))) == []


@pytest.mark.parametrize(
    "changes", [{"suppressions": []}, {"suppressions": [{"kind": "external", "status": "rejected"}]}, {"kind": "open"}]
)
def test_a_result_that_stands_is_a_signal(reader: Sarif, changes: dict[str, Any]) -> None:
    """A dismissal that was refused is none."""
    assert len(reader.read(log(result(**changes)))) == 1


def test_a_result_about_something_else_is_no_signal(reader: Sarif) -> None:
    """Code scanners write SARIF too; only what looks like a secret, or is said to be one, counts."""
    injection = result("cursor.execute(query)", ruleId="py/sql-injection")
    bare = Sarif.open("scan", {}, clock=now)
    assert list(bare.read(log(injection, tool="CodeQL"))) == []
    (signal,) = bare.read(log({"ruleId": "hardcoded-credentials", "message": {"text": "x"}}, tool="CodeQL"))
    assert signal.fingerprints == ()


def test_no_results_are_none(reader: Sarif) -> None:
    """An empty or missing list is a clean scan."""
    clean = {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "gitleaks"}}, "results": None}]}
    assert list(reader.read(log())) == list(reader.read(json.dumps(clean).encode())) == []


def test_files_are_polled(tmp_path: Path) -> None:
    """A log file is read when it appears and when it changes."""
    detector = Sarif.open("scan", {"folder": str(tmp_path)}, clock=now)
    (tmp_path / "a.sarif").write_bytes(log(RESULT))
    (tmp_path / "notes.txt").write_text("no report")
    first, cursor = detector.poll(cursor="")
    second, _ = detector.poll(cursor=cursor)
    assert (len(first), len(second)) == (1, 0)


@pytest.mark.parametrize(
    "document",
    [b"", b"[]", b"{}", b'{"version": "2.0.0", "runs": []}', b'{"version": "2.1.0", "runs": {}}',
     b'{"version": "2.1.0", "runs": [1]}', b'{"version": "2.1.0", "runs": [{"tool": {}}]}', log(7), log(RESULT)[:-9]],
)  # fmt: skip
def test_another_document_is_refused(reader: Sarif, document: bytes) -> None:
    """Torn, another version, runs or results of another form."""
    with pytest.raises(InvalidInput):
        reader.read(document)


def test_the_secret_is_nowhere(reader: Sarif, caplog: pytest.LogCaptureFixture) -> None:
    """Also not when the place, the rule, the message or the tool's fingerprint repeats it."""
    found = result(f'password = "{PASSWORD}"', ruleId=f"rule-{PASSWORD}", fingerprints={"v1": PASSWORD})
    found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] = f"a/{PASSWORD}.txt"
    found["message"]["text"] = PASSWORD
    with caplog.at_level(logging.DEBUG):
        signals = reader.read(log(found))
        with pytest.raises(InvalidInput) as caught:
            reader.read(log(found, PASSWORD))
    assert PASSWORD not in spoken(signals, caplog.text, caught.value, reader)


@FUZZ
@given(document=mutations(json.loads(log(RESULT, result(f"key {SECRET_KEY}")))) | st.binary(max_size=200))
def test_a_strange_log_breaks_nothing(reader: Sarif, document: bytes) -> None:
    """Signals or a refusal, and never the secret."""
    assert SECRET_KEY not in spoken(only_expected(lambda: reader.read(document)))
