"""The inventory out to a bill of materials and in from one, as people and programs do it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from at_terminal import text
from small_shop import Shop

from console.main import run
from console.output import ExitCode
from flows.documents import load_estate
from integrations.cyclonedx_text import parse

ESTATE = """
version: 1
keys:
  - {ref: aws-kms:cloud/k1, owner: storage}
  - {ref: "pkcs11:token=hsm;object=root ca", purpose: sign, owner: pki}
consumers:
  - {name: svc, uses: [aws-kms:cloud/k1], owner: shop}
credentials:
  - {ref: aws-iam:cloud/svc/AKIA1, consumer: svc, may_use: [aws-kms:cloud/k1], secret: "file:./old.json"}
"""
FOREIGN = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "components": [
        {
            "type": "cryptographic-asset",
            "bom-ref": "crypto/key/1",
            "name": "payments\x1b[2J",
            "cryptoProperties": {
                "assetType": "related-crypto-material",
                "relatedCryptoMaterialProperties": {
                    "type": "private-key",
                    "value": "canary-77",
                    "algorithmRef": "gone",
                },
            },
        }
    ],
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings and an inventory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEYQUELL_CONFIG", str(tmp_path / "keyquell.yaml"))
    (tmp_path / "keyquell.yaml").write_text("state: state\nestate: estate.yaml\n", encoding="utf-8")
    (tmp_path / "estate.yaml").write_text(ESTATE, encoding="utf-8")
    (tmp_path / "old.json").write_text('{"secret": "canary-88"}', encoding="utf-8")
    (tmp_path / "foreign.json").write_text(json.dumps(FOREIGN), encoding="utf-8")
    return tmp_path


def export(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Run `inventory export`."""
    return text(capsys, "inventory", "export", "--format", "cyclonedx", *words)


def test_what_goes_out_comes_in_again(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By way of files and of standard output; the inventory stays what it was."""
    assert export(capsys, "--output", "estate.cdx.json")[0] == ExitCode.OK
    code, out, _ = text(capsys, "inventory", "import", "estate.cdx.json", "--output", "again.yaml")
    assert (code, "the inventory was not changed" in out) == (ExitCode.OK, True)
    assert load_estate(place / "again.yaml") == load_estate(place / "estate.yaml")
    assert (place / "estate.yaml").read_text(encoding="utf-8") == ESTATE
    assert not (place / "estate.yaml.previous").exists()

    code, printed, _ = export(capsys, "--spec", "1.7")
    assert (code, parse(printed.encode())["specVersion"]) == (ExitCode.OK, "1.7")
    (place / "printed.json").write_text(printed, encoding="utf-8")
    _, fragment, _ = text(capsys, "inventory", "import", "printed.json")
    (place / "fragment.yaml").write_text(fragment, encoding="utf-8")
    assert load_estate(place / "fragment.yaml") == load_estate(place / "estate.yaml")


def test_a_file_is_replaced_only_when_told_so(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of export and import; the estate itself is no exception."""
    assert export(capsys, "--output", "made.json")[0] == ExitCode.OK
    for words in (["export", "--format", "cyclonedx"], ["import", "made.json"]):
        code, _, err = text(capsys, "inventory", *words, "--output", "estate.yaml")
        assert (code, "estate.yaml exists" in err, "--replace" in err) == (ExitCode.USAGE, True, True)
    assert (place / "estate.yaml").read_text(encoding="utf-8") == ESTATE
    assert text(capsys, "inventory", "import", "made.json", "--output", "estate.yaml", "--replace")[0] == ExitCode.OK
    assert text(capsys, "inventory", "import", "made.json", "--output", "no/where.yaml")[0] == ExitCode.USAGE


def test_a_document_is_compared_with_the_inventory(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """New, different, missing; then the same."""
    export(capsys, "--output", "made.json")
    assert "say the same" in text(capsys, "inventory", "import", "made.json", "--against")[1]
    standing: dict[str, Any] = yaml.safe_load(ESTATE)
    standing["keys"][0]["owner"] = "somebody else"
    standing["keys"][1]["ref"] = "aws-kms:cloud/k2"
    (place / "estate.yaml").write_text(yaml.safe_dump(standing), encoding="utf-8")
    code, out, _ = text(capsys, "inventory", "import", "made.json", "--against")
    assert code == ExitCode.OK
    assert out.splitlines() == [
        "1 new:",
        "  key pkcs11:token=hsm;object=root%20ca",
        "1 different:",
        "  key aws-kms:cloud/k1: owner",
        "1 missing in the document:",
        "  key aws-kms:cloud/k2",
    ]
    _, out, _ = text(capsys, "inventory", "import", "made.json", "--against", "--json")
    assert json.loads(out)["differences"]["missing"] == [["key", "aws-kms:cloud/k2"]]


def test_keys_of_others_are_asked_about(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their value is not repeated, and what they are called moves no cursor; what is printed is still YAML."""
    code, out, _ = text(capsys, "inventory", "import", "foreign.json")
    assert code == ExitCode.OK
    assert "which connection holds it?" in out
    assert "# 1 referred to and not in the document:\n#   gone" in out
    assert "may be a secret" in out
    assert "canary-77" not in out
    assert "\x1b" not in out
    assert yaml.safe_load(out) == {"version": 1}
    _, out, _ = text(capsys, "inventory", "import", "foreign.json", "--json")
    assert [each["place"] for each in json.loads(out)["unconnected"]] == ["crypto/key/1"]
    assert "canary-77" not in out


def test_a_pin_in_a_free_text_is_not_exported(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """References refuse it themselves; an owner is anybody's text."""
    changed = ESTATE.replace("owner: pki", "owner: 'see pkcs11:object=x?PIN-value=4711'")
    (place / "estate.yaml").write_text(changed, encoding="utf-8")
    code, out, err = export(capsys, "--output", "made.json")
    assert (code, "holds a PIN" in err, (place / "made.json").exists()) == (ExitCode.USAGE, True, False)
    assert "4711" not in out + err


def test_options_of_documents_are_refused_for_an_estate(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--output` with an estate would not do what it says."""
    code, _, err = text(capsys, "inventory", "import", "estate.yaml", "--output", "x.yaml")
    assert (code, "are for CycloneDX documents" in err) == (ExitCode.USAGE, True)
    assert not (place / "x.yaml").exists()


def test_a_bad_document_is_named_and_changes_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also not the inventory."""
    (place / "bad.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.1"}', encoding="utf-8")
    code, _, err = text(capsys, "inventory", "import", "bad.json")
    assert (code, "bad.json: specVersion is '1.1'" in err) == (ExitCode.USAGE, True)
    assert (place / "estate.yaml").read_text(encoding="utf-8") == ESTATE


def test_after_a_case_the_document_tells_what_was_read_and_holds_no_secret(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a real response on real servers: algorithm and state of the key; none of the secrets that lie beside it."""
    monkeypatch.setenv("KEYQUELL_CONFIG", str(shop.config))
    file = tmp_path / "estate.cdx.json"
    assert export(capsys, "--output", str(file))[0] == ExitCode.OK
    unread = parse(file.read_bytes())
    assert not [each for each in unread["components"] if each["bom-ref"].startswith("algorithm:")]

    assert run(["declare", shop.credential, "--as", "alice", "--json"]) == ExitCode.OK
    assert export(capsys, "--output", str(file), "--replace")[0] == ExitCode.OK
    parts = {each["bom-ref"]: each for each in parse(file.read_bytes())["components"]}
    material = parts[f"key:{shop.key}"]["cryptoProperties"]["relatedCryptoMaterialProperties"]
    assert (material["type"], material["size"]) == ("secret-key", 256)
    assert parts[material["algorithmRef"]]["name"] == "AES-256-GCM"

    secrets = [json.loads(each.read_text()) for each in (shop.root / "secrets").glob("*.json")]
    values = [str(value) for each in secrets for name, value in each.items() if "ecret" in name or "token" in name]
    assert values
    assert [each for each in values if each in file.read_text(encoding="utf-8")] == []
