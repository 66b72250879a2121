"""The evidence commands: a pack of a real response, verified where there is nothing else, without a secret in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from at_terminal import answer
from fakes.time_stamp_authority import TimeStamps
from small_shop import Shop

from console.main import run
from console.output import ExitCode


@pytest.fixture
def case(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """A credential that was declared leaked and cut, on real servers."""
    monkeypatch.setenv("KEYQUELL_CONFIG", str(shop.config))
    code, opened = answer(capsys, "declare", shop.credential, "--as", "alice")
    assert code == ExitCode.OK
    return str(opened["id"])


def test_a_pack_of_a_response_is_verified_without_settings_and_holds_no_secret(
    case: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Packed here, verified elsewhere by fingerprint; no secret of the estate or the state folder stands in it."""
    file = tmp_path / "case.evidence"
    code, made = answer(capsys, "evidence", "pack", case, "--output", str(file), "--as", "dana")
    assert code == ExitCode.OK

    secrets = [json.loads(each.read_text()) for each in (shop.root / "secrets").glob("*.json")]
    values = [str(value) for each in secrets for name, value in each.items() if "ecret" in name or "token" in name]
    values += (shop.root / "state" / "evidence.key").read_text().splitlines()[1:2]
    assert len(values) >= 2
    content = file.read_bytes()
    assert [each for each in values if each.encode() in content] == []
    assert b"two lattes" not in content

    monkeypatch.delenv("KEYQUELL_CONFIG")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    code, found = answer(capsys, "evidence", "verify", str(file), "--trust", made["fingerprint"])
    assert (code, found["verified"], found["failed"]) == (ExitCode.OK, True, [])
    assert (found["incident"], found["head"]) == (case, made["head"])
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_altered_pack_ends_with_1_and_says_so(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also for people: the first word is the answer, and what cannot be verified is listed."""
    file = tmp_path / "case.evidence"
    run(["evidence", "pack", case, "--output", str(file)])
    capsys.readouterr()
    assert run(["evidence", "verify", str(file)]) == ExitCode.OK
    said = capsys.readouterr().out
    assert said.startswith("VERIFIED")
    assert "Not verified here:" in said
    altered = bytearray(file.read_bytes())
    altered[len(altered) // 2] ^= 1
    file.write_bytes(bytes(altered))
    assert run(["evidence", "verify", str(file)]) == ExitCode.FAILED
    assert capsys.readouterr().out.startswith("NOT VERIFIED")


def test_evidence_is_never_written_over(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there stays as it is."""
    file = tmp_path / "case.evidence"
    file.write_text("mine")
    code, document = answer(capsys, "evidence", "pack", case, "--output", str(file))
    assert (code, file.read_text()) == (ExitCode.USAGE, "mine")
    assert "is there already" in document["error"]


def test_a_checkpoint_is_signed_once_for_one_state_of_the_record(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same record a second time gives the same checkpoint."""
    code, first = answer(capsys, "evidence", "checkpoint", case)
    assert code == ExitCode.OK
    assert answer(capsys, "evidence", "checkpoint", case) == (ExitCode.OK, first)


def test_a_pack_that_is_not_there_is_a_slip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong path is no failed verification."""
    code, _ = answer(capsys, "evidence", "verify", str(tmp_path / "none"))
    assert code == ExitCode.USAGE


def test_a_checkpoint_says_where_it_lies_and_what_failed(
    case: str, shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 while a place lacks it; what lies somewhere is not laid down there again."""
    settings = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    with TimeStamps(tmp_path) as authority:
        good = {"type": "rfc3161", "name": "good", "url": authority.url}
        dead = {"type": "rfc3161", "name": "dead", "url": "http://127.0.0.1:9/"}
        shop.config.write_text(yaml.safe_dump({**settings, "anchors": [good, dead]}), encoding="utf-8")
        code, made = answer(capsys, "evidence", "checkpoint", case, "--as", "dana")
        assert code == ExitCode.FAILED
        assert made["anchors"][0] == {"anchor": "good", "reference": authority.url, "error": ""}
        assert "did not answer" in made["anchors"][1]["error"]
        assert run(["evidence", "checkpoint", case, "--as", "dana"]) == ExitCode.FAILED
        said = capsys.readouterr().out
        assert f"At good: {authority.url}" in said
        assert "NOT at dead: the time-stamp authority did not answer" in said
        assert len(authority.asked) == 1
        shop.config.write_text(yaml.safe_dump({**settings, "anchors": [good]}), encoding="utf-8")
        assert run(["evidence", "checkpoint", case, "--as", "dana"]) == ExitCode.OK
        file = tmp_path / "case.evidence"
        assert run(["evidence", "pack", case, "--output", str(file)]) == ExitCode.OK
        capsys.readouterr()
        code, found = answer(capsys, "evidence", "verify", str(file), "--tsa-roots", str(authority.root))
    assert code == ExitCode.OK
    assert any("existed at" in each for each in found["proven"])


def test_a_signer_that_is_away_ends_with_an_error_and_signs_nothing(
    case: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key is named, and the installation's own does not take over."""
    settings = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    settings["evidence"] = {"signer": f"{shop.key.partition('/')[0]}/00000000-0000-0000-0000-000000000000"}
    shop.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    for command in (["checkpoint", case], ["pack", case, "--output", str(shop.root / "x.evidence")]):
        code, document = answer(capsys, "evidence", *command, "--as", "dana")
        assert code == ExitCode.BACKEND
        assert settings["evidence"]["signer"] in document["error"]
    assert not (shop.root / "x.evidence").exists()
    assert not (shop.root / "state" / "evidence.key").exists()
