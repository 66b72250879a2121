"""What the documentation shows is what the program does."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cyclopts import App
from pydantic import BaseModel

import flows
from console.main import app, run
from flows.documents import load_estate
from flows.settings import Deadlines, Evidence, Exercise, Policy, Settings, Web, load_settings
from integrations.hooks import HookAuth
from integrations.registry import ADAPTERS
from integrations.slack.options import SlackOptions
from integrations.vendors.aws import AwsConnection
from integrations.vendors.openbao import OpenBaoConnection
from integrations.vendors.pkcs11_client import Pkcs11Options
from integrations.vendors.postgres import PostgresOptions
from playbooks.estate import CertificateEntry, ConsumerEntry, CredentialEntry, DatasetEntry, KeyEntry
from playbooks.roster import Escalation, Grant, Hours, Person, Roster, Rules

ENTRIES = (KeyEntry, DatasetEntry, CredentialEntry, CertificateEntry, ConsumerEntry)
PEOPLE = (Roster, Person, Grant, Hours, Rules, Escalation)
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


def adapters_options() -> Iterator[type[BaseModel]]:
    """What the detectors, messengers and pagers read their options by."""
    for room in ("detectors", "messengers", "pagers", "siem", "traces", "anchors"):
        for place in ADAPTERS[room].values():
            module = importlib.import_module(place.partition(":")[0])
            found = [each for name, each in vars(module).items() if name.endswith("Options")]
            yield from (each for each in found if isinstance(each, type) and issubclass(each, BaseModel))


def test_every_field_is_in_the_document() -> None:
    """Settings, connections, estate, people, every adapter: a new field without a word about it fails here."""
    own = (
        Settings,
        Policy,
        Web,
        Deadlines,
        Evidence,
        Exercise,
        SlackOptions,
        HookAuth,
        *MODELS.values(),
        *ENTRIES,
        *PEOPLE,
    )
    wanted = {
        field.alias or name for model in (*own, *adapters_options()) for name, field in model.model_fields.items()
    }
    wanted |= {kind for room in ("detectors", "messengers", "pagers", "siem", "anchors") for kind in ADAPTERS[room]}
    said = set(re.findall(r"[\w-]+", " ".join(re.findall(r"`([^`\n]+)`", CONFIGURATION))))
    assert sorted(wanted - {"source"} - said) == []


@pytest.mark.parametrize(
    ("section", "model"), [("policy", Policy), ("web", Web), ("deadlines", Deadlines), ("evidence", Evidence)]
)
def test_the_defaults_in_the_document_are_the_real_ones(section: str, model: type[BaseModel]) -> None:
    """One row for each field, and its default as the program has it, before the unit."""
    text = CONFIGURATION.partition(f"### {section}\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", text, flags=re.MULTILINE))
    assert set(rows) == set(model.model_fields)
    for name, field in model.model_fields.items():
        assert rows[name].replace("`", "").split()[0] == _plain(field.default)


def _plain(default: object) -> str:
    """A default as people write it."""
    if default in ((), "", None):
        return "none"
    if isinstance(default, str):
        return default
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return f"{default:g}" if is_number else str(default).lower()


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
    for group in ("", "drill", "inventory", "playbook", "record", "review", "evidence", "deadline"):
        listed = re.findall(r"^│ ([a-z][a-z-]*) ", documented[group], flags=re.MULTILINE)
        assert listed
        assert [word for word in listed if f"{group} {word}".strip() not in documented] == []


_COMMAND = re.compile(r"(?:`|^|\| )keyquell +([a-z][^`\n|#]*)", flags=re.MULTILINE)
_ROOMS = ("playbooks", "integrations", "flows", "simulations", "console")


def named_commands() -> Iterator[tuple[str, str]]:
    """Every command line that documents, and the program's own hints, tell people to type."""
    root = DOCS.parent
    pages = [root / "README.md", *(each for each in sorted(DOCS.rglob("*.md")) if each.name != "cli.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        listed = "".join(re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL))
        for line in [*_COMMAND.findall(listed), *re.findall(r"`keyquell +([a-z][^`]*)`", text)]:
            yield page.name, line
    for room in _ROOMS:
        for page in sorted((root / room).rglob("*.py")):
            for line in re.findall(r"`keyquell ([a-z][^`\n]*)`", page.read_text(encoding="utf-8")):
                yield page.name, line


def test_every_command_that_people_are_told_to_type_exists() -> None:
    """Also its options: a hint that leads nowhere costs time when there is none."""
    documented = dict(helps())
    named = list(named_commands())
    assert len(named) > 40
    wrong = []
    for page, line in named:
        command, options = _split(line.split())
        known = documented.get(command)
        if known is None or any(not re.search(rf"{option}\b", known) for option in options):
            wrong.append(f"{page}: keyquell {line}")
    assert wrong == []


def _split(words: list[str]) -> tuple[str, list[str]]:
    """The command's own words, and the long options that follow."""
    place: App = app
    command: list[str] = []
    for word in words:
        if word not in place:
            break
        command.append(word)
        place = place[word]
    is_group = any(not each.startswith("-") for each in place)
    shown = " ".join(command if command and not (is_group and len(words) > len(command)) else words[:2])
    return shown, re.findall(r"--[a-z][a-z-]*", " ".join(words))
