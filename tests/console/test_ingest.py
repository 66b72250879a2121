"""``keyquell ingest``: what a scanner found, in a sentence each, and contained; nothing of a secret is printed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_shop import Shop

from console.main import run
from console.output import ExitCode

pytestmark = pytest.mark.lab

SECRET_PART = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYCANARYKEY0"


@pytest.fixture(autouse=True)
def at_work(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Shop:
    """A shop whose settings the command finds, and a wide terminal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYQUELL_CONFIG", str(shop.config))
    monkeypatch.setenv("COLUMNS", "200")
    return shop


def report(place: Path, *keys: str) -> str:
    """A Gitleaks report with these access keys and their secret parts."""
    findings = [
        {
            "RuleID": "aws-access-token", "File": f"src/{number}.py", "StartLine": 7, "Commit": "c0ffee",
            "Secret": SECRET_PART, "Match": f"{key}:{SECRET_PART}", "Fingerprint": f"c0ffee:src/{number}.py:aws:7",
        }
        for number, key in enumerate(keys)
    ]  # fmt: skip
    place.write_text(json.dumps(findings), encoding="utf-8")
    return str(place)


def ingest(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command; exit code, standard output and standard error, in none of which a secret stands."""
    capsys.readouterr()
    code = run(["ingest", *arguments])
    captured = capsys.readouterr()
    assert SECRET_PART not in captured.out + captured.err
    return code, captured.out, captured.err


def test_every_finding_is_told_in_a_sentence_and_the_leak_is_contained(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of ours and one of somebody else's; exit code 0 because ours is proven dead."""
    file = report(tmp_path / "gitleaks.json", at_work.user.access_key_id, "AKIASOMEBODYELSE0000")
    code, out, err = ingest(capsys, "gitleaks", file)
    assert (code, err) == (ExitCode.OK, "")
    assert not at_work.credential_active()
    first, second, *rest = out.splitlines()
    assert first.startswith("✘ Gitleaks found a possible secret (aws-access-token) in src/0.py")
    assert ": it opened KQ-" in first
    assert second.startswith("? Gitleaks found a possible secret")
    assert second.endswith("nothing in the estate matches it, so a person has to look.")
    assert "contained" in " ".join(rest)


def test_the_same_report_again_is_known(at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And another scanner's report joins."""
    file = report(tmp_path / "gitleaks.json", at_work.user.access_key_id)
    ingest(capsys, "gitleaks", file)
    code, out, _ = ingest(capsys, "gitleaks", file)
    assert code == ExitCode.OK
    assert "knew it already" in out
    code, out, _ = ingest(capsys, "gitleaks", file, "--source", "nightly")
    assert code == ExitCode.OK
    assert "it joined KQ-" in out


def test_programs_get_one_document(at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each finding with what became of it, and the incidents."""
    file = report(tmp_path / "gitleaks.json", at_work.user.access_key_id, "AKIASOMEBODYELSE0000")
    code, out, _ = ingest(capsys, "gitleaks", file, "--json")
    data = json.loads(out)
    assert code == ExitCode.OK
    assert [each["result"] for each in data["findings"]] == ["opened", "unmatched"]
    assert data["unmatched"] == 1
    assert [each["id"] for each in data["incidents"]] == [data["findings"][0]["incident"]]


def test_standard_input_is_read(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``trufflehog … --json | keyquell ingest trufflehog``."""
    line = {"DetectorName": "AWS", "Raw": at_work.user.access_key_id, "RawV2": SECRET_PART, "Verified": True}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(line).encode())))
    code, out, _ = ingest(capsys, "trufflehog")
    assert code == ExitCode.OK
    assert "it opened KQ-" in out


def test_a_finding_that_leaves_doubt_waits_for_a_person(
    at_work: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the playbook's confidence somebody must agree: exit code 4, and the key still works."""
    mapping = {
        "type": "json", "name": "rumours", "external_id": "id", "summary": "A rumour", "confidence": 0.4,
        "fingerprints": [{"kind": "access-key-id", "path": "key"}],
    }  # fmt: skip
    settings = yaml.safe_load(at_work.config.read_text(encoding="utf-8"))
    at_work.config.write_text(yaml.safe_dump({**settings, "detectors": [mapping]}), encoding="utf-8")
    file = tmp_path / "rumours.json"
    file.write_text(json.dumps([{"id": 1, "key": at_work.user.access_key_id}]), encoding="utf-8")
    code, out, _ = ingest(capsys, "rumours", str(file))
    assert code == ExitCode.WAITING
    assert "it opened KQ-" in out
    assert at_work.credential_active()


def test_an_empty_report_is_said_to_be_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No finding is good news, not an error."""
    assert ingest(capsys, "gitleaks", report(tmp_path / "r.json")) == (ExitCode.OK, "It holds no finding.\n", "")


@pytest.mark.parametrize(
    ("tool", "content", "why"),
    [
        ("gitleaks", '[{"File": "a"}]', "entry 0 has no RuleID"),
        ("gitleaks", "RuleID,Commit\n", "is not JSON at line 1"),
        ("trufflehog", '{"Raw": "x"}\nnonsense\n', "line 2"),
        ("sarif", "[]", "is not SARIF 2.1.0"),
        ("gitleeks", "[]", "'gitleeks' is neither a detector of"),
        ("gitleaks", None, "cannot be read (No such file or directory)"),
    ],
)
def test_a_wrong_file_is_refused_with_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], tool: str, content: Any, why: str
) -> None:
    """Exit code 2, one sentence, nothing changed."""
    file = tmp_path / "report"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    code, out, err = ingest(capsys, tool, str(file))
    assert (code, out) == (ExitCode.USAGE, "")
    assert why in err.replace("\n", " ")


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` names the tools and standard input."""
    code, out, _ = ingest(capsys, "--help")
    assert code == ExitCode.OK
    assert "gitleaks" in out
    assert "standard input" in out
