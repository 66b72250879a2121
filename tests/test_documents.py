"""What the documentation shows is what the program does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

import flows
from console.main import run
from flows.settings import Settings, load_settings
from flows.wiring import load_estate
from integrations.registry import ADAPTERS
from integrations.vendors.aws import AwsConnection
from integrations.vendors.openbao import OpenBaoConnection
from integrations.vendors.pkcs11_client import Pkcs11Options
from integrations.vendors.postgres import PostgresOptions
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, KeyEntry

DOCS = Path(flows.__file__).parents[1] / "docs"
CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = {match[1]: match[2] for match in re.finditer(r"```yaml\n# (\S+)\n(.*?)```", CONFIGURATION, flags=re.DOTALL)}
MODELS = {"aws": AwsConnection, "openbao": OpenBaoConnection, "pkcs11": Pkcs11Options, "postgres": PostgresOptions}


def helps() -> Iterator[tuple[str, str]]:
    """Each command of docs/cli.md and the help text printed there."""
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    for match in re.finditer(r"^## keyquell ?(.*?)\n\n```text\n(.*?)\n```", text, flags=re.DOTALL | re.MULTILINE):
        yield match[1], match[2]


@pytest.fixture
def example(tmp_path: Path) -> Settings:
    """The complete example, as files."""
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return load_settings(tmp_path / "keyquell.yaml")


def test_the_complete_example_loads(example: Settings) -> None:
    """Settings and estate, as they stand in the document."""
    assert {each["type"] for each in example.connections.values()} == set(MODELS) | {"files", "config-dir"}
    assert len(load_estate(example.estate).credentials) == 4


def test_the_options_of_the_example_are_those_of_the_adapters(example: Settings) -> None:
    """Each connection is read by its vendor's own model."""
    for options in example.connections.values():
        if options["type"] in MODELS:
            kept = {key: value for key, value in options.items() if key != "type"}
            MODELS[options["type"]].model_validate(kept)


def test_the_detectors_of_the_example_open(example: Settings, tmp_path: Path) -> None:
    """Nothing is called yet when a detector is opened, except that a key of the installation is made."""
    from integrations.registry import open_adapter

    (tmp_path / "state").mkdir()
    for each in example.detectors:
        options = {key: value for key, value in each.items() if key not in ("type", "name")}
        if "connection" in options:
            named = example.connections[str(options["connection"])]
            options["connection"] = {key: value for key, value in named.items() if key != "type"}
        if each["type"] == "openbao-audit":
            (tmp_path / "token").write_text("t", encoding="utf-8")
            options["connection"]["token"] = f"file:{tmp_path / 'token'}"
        detector = open_adapter(
            "detectors", str(each["type"]), name=str(each["name"]), options=options, clock=lambda: datetime.now(UTC)
        )
        detector.close()


def test_every_field_is_in_the_document() -> None:
    """Settings, policy, connections, estate: a new field without a word about it fails here."""
    wanted = set(Settings.model_fields) - {"source"}
    for model in (*MODELS.values(), KeyEntry, DatasetEntry, CredentialEntry, CertificateEntry, ConsumerEntry):
        wanted |= set(model.model_fields)
    wanted |= set(Settings.model_fields["policy"].default.__class__.model_fields)
    wanted |= set(ADAPTERS["detectors"]) | set(ADAPTERS["messengers"])
    assert sorted(name for name in wanted if f"`{name}`" not in CONFIGURATION) == []


def test_the_yaml_of_the_readme_names_known_types() -> None:
    """The short example of the README speaks of connections that exist."""
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", readme, flags=re.DOTALL):
        document = yaml.safe_load(block)
        for options in (document.get("connections") or {}).values() if isinstance(document, dict) else ():
            assert options["type"] in {*MODELS, "files", "config-dir"}


@pytest.mark.parametrize(("command", "printed"), list(helps()), ids=lambda each: each if len(each) < 30 else "help")
def test_the_help_in_the_document_is_the_real_one(
    command: str, printed: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 100 columns, without colours."""
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    run([*command.split(), "--help"])
    real = [line.rstrip() for line in capsys.readouterr().out.strip("\n").splitlines()]
    assert real == printed.splitlines()


def test_no_command_is_missing_from_the_document() -> None:
    """Every word that the help of the command and its groups lists has its own section."""
    documented = dict(helps())
    for group in ("", "drill", "inventory", "playbook", "record"):
        listed = re.findall(r"^│ ([a-z][a-z-]*) ", documented[group], flags=re.MULTILINE)
        assert listed
        assert [word for word in listed if f"{group} {word}".strip() not in documented] == []
