"""The examples in the documents on people, chat, pager, detectors and service are read by the program as they stand."""

from __future__ import annotations

import configparser
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_shop import Shop

import flows
from console.main import app, run
from console.output import ExitCode
from flows.settings import Settings
from integrations.registry import ADAPTERS, open_adapter
from integrations.slack.manifest import manifest
from integrations.slack.options import SlackOptions
from playbooks.roster import Circumstances, Role, Roster, doubt

ROOT = Path(flows.__file__).parents[1]
PAGES = ("approvals", "slack", "paging", "detection", "web")
_LINK = re.compile(r"(?:\]\(|(?:src|srcset)=\")([^)#\s\"]*)(?:#([\w-]+))?[)\"]")
_SECRET = re.compile(r"file:/run/secrets/([\w.-]+)")


def blocks(page: str) -> Iterator[dict[str, Any]]:
    """The YAML of a document."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL):
        yield yaml.safe_load(block)


def text_of(page: str) -> str:
    """A document."""
    return (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")


@pytest.fixture
def roster() -> Roster:
    """That of the document."""
    [document] = list(blocks("approvals"))
    return Roster.model_validate(document)


def test_the_roster_of_the_document_is_one(roster: Roster) -> None:
    """It shows every field of a person but the telephone, and the table names every role."""
    assert [each.name for each in roster.people] == ["ann", "bob", "eve", "finn"]
    shown = {name for each in roster.people for name in each.model_fields_set}
    assert set(type(roster.people[0]).model_fields) - shown == {"phone"}
    assert [role for role in Role if f"| `{role.value}` |" not in text_of("approvals")] == []


@pytest.mark.parametrize(
    ("role", "on", "holders"),
    [
        (Role.APPROVE, "2026-12-01", {"bob", "eve"}),
        (Role.RETIRE, "2027-07-01", {"bob"}),
        (Role.APPROVE, "2027-08-31", {"bob", "eve"}),
        (Role.APPROVE, "2027-09-01", {"bob"}),
        (Role.AUDIT, "2027-09-01", set()),
    ],
)
def test_its_dates_mean_what_its_remarks_say(roster: Roster, role: Role, on: str, holders: set[str]) -> None:
    """A role that runs out, and a person who leaves."""
    at = datetime.fromisoformat(f"{on}T12:00:00+00:00")
    assert {each.name for each in roster.holders(role, at)} == holders


@pytest.mark.parametrize(
    ("at", "address", "why"),
    [
        ("2026-12-01T12:00:00+00:00", "10.2.3.4", ""),
        ("2026-12-01T12:00:00+00:00", "192.0.2.1", "network"),
        ("2026-12-01T20:00:00+00:00", "10.2.3.4", "hours"),
        ("2026-03-05T12:00:00+00:00", "10.2.3.4", "joined"),
    ],
)
def test_its_rules_mean_what_its_remarks_say(roster: Roster, at: str, address: str, why: str) -> None:
    """Eve approves by passkey, at these times, from these addresses."""
    eve, here = roster.person("eve"), Circumstances(at=datetime.fromisoformat(at), via="web", address=address)
    assert eve is not None
    assert why in doubt(eve, roster.rules, here)
    assert bool(why) is bool(doubt(eve, roster.rules, here))


@pytest.mark.parametrize("page", PAGES[1:])
def test_the_settings_of_the_document_open_what_they_name(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is opened by its own adapter, which knows every option; secrets are those of the test."""
    monkeypatch.setenv("SECRET_OF_THE_TEST", "a-token")
    for document in blocks(page):
        made = _with_secrets(document, tmp_path)
        settings = Settings.model_validate({"state": tmp_path, "estate": tmp_path, "source": tmp_path, **made})
        if settings.slack:
            SlackOptions.model_validate(settings.slack)
        for room in ("detectors", "messengers", "pagers"):
            for each in getattr(settings, room):
                assert each["type"] in ADAPTERS[room]
                _open(room, each, tmp_path)


def test_every_type_of_detector_has_an_example() -> None:
    """In the document on detection, but for the scanners that share one."""
    [document] = list(blocks("detection"))
    shown = {each["type"] for each in document["detectors"]}
    assert set(ADAPTERS["detectors"]) - shown == {"trufflehog", "sarif"}


def ingest_commands() -> list[str]:
    """What the document pipes or gives to ``keyquell ingest``."""
    return re.findall(r"^(?:.* \| )?keyquell (ingest .+)$", text_of("detection"), flags=re.MULTILINE)


def a_report(tool: str, key: str) -> Any:
    """A report of the tool in which the access key stands."""
    finding = {"RuleID": "aws", "File": "a.py", "StartLine": 1, "Secret": key, "Fingerprint": "c0ffee:a.py:aws:1"}
    place = {"physicalLocation": {"artifactLocation": {"uri": "a.py"}, "region": {"startLine": 1}}}
    snippet = {"region": {"startLine": 1, "snippet": {"text": key}}, "artifactLocation": {"uri": "a.py"}}
    result = {"ruleId": "aws", "message": {"text": "key"}, "locations": [place | {"physicalLocation": snippet}]}
    return {
        "gitleaks": [finding],
        "trufflehog": {"DetectorName": "AWS", "Raw": key, "Verified": True},
        "sarif": {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "scanner"}}, "results": [result]}]},
        "scanner": [{"id": "1", "key": key, "repository": "shop", "state": "verified"}],
        "ct": [{"id": "1", "dns_names": ["www.example.com"], "issuer": {"name": "CN=Elsewhere"}, "serial": "7a" * 8}],
    }[tool]


@pytest.mark.lab
@pytest.mark.parametrize("command", ingest_commands())
def test_the_ingest_commands_of_the_document_run(
    command: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a real estate: a key of ours is contained and proven dead; a certificate of nobody's waits for a person."""
    _, tool, *files = shlex.split(command)
    content = json.dumps(a_report(tool, shop.user.access_key_id))
    settings = yaml.safe_load(shop.config.read_text(encoding="utf-8"))
    [document] = [_with_secrets(each, tmp_path) for each in blocks("detection")]
    settings["detectors"] = [each for each in document["detectors"] if each["name"] in ("scanner", "ct")]
    shop.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for file in files:
        Path(file).write_text(content, encoding="utf-8")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert run(["ingest", tool, *files, "--config", str(shop.config)]) == ExitCode.OK
    said = capsys.readouterr().out
    assert shop.credential_active() is (tool == "ct")
    assert ("nothing in the estate matches" if tool == "ct" else "it opened KQ-") in said


def test_the_manifest_for_signed_http_is_printed_by_the_command_of_the_document() -> None:
    """As JSON, which Slack takes."""
    [command] = re.findall(r"^python (-c .+)$", text_of("slack"), flags=re.MULTILINE)
    printed = subprocess.run([sys.executable, *shlex.split(command)], capture_output=True, check=True, cwd=ROOT).stdout
    assert json.loads(printed) == manifest(url="https://HOST/slack/events")


def test_the_scopes_of_the_document_are_those_of_the_manifest() -> None:
    """No more and no fewer."""
    wanted = set(manifest()["oauth_config"]["scopes"]["bot"])
    table = text_of("slack").partition("| scope | for |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z]+:?[a-z]*)`", table)) == wanted


def test_the_service_of_the_document_starts_the_command() -> None:
    """The unit is one, and gives the process as long to end as it takes by default."""
    [unit] = re.findall(r"```ini\n(.*?)```", text_of("serve"), flags=re.DOTALL)
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit)
    program, word = parsed["Service"]["ExecStart"].split()
    assert program.endswith("/keyquell")
    assert word in app
    assert parsed["Service"]["RestartPreventExitStatus"] == str(int(ExitCode.USAGE))
    assert (
        int(parsed["Service"]["TimeoutStopSec"])
        > Settings.model_fields["policy"].default.containment_deadline_seconds + 20
    )


def test_links_between_the_documents_lead_somewhere() -> None:
    """Every relative link of README and docs is a file that is there, and its heading too."""
    pages = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
    links = [(page, *found) for page in pages for found in _LINK.findall(page.read_text(encoding="utf-8"))]
    near = [(page, target, anchor) for page, target, anchor in links if "://" not in target]
    assert len(near) > 30
    assert [f"{page.name}: {target}" for page, target, _ in near if not (page.parent / target).exists()] == []
    assert [
        f"{page.name}: {target}#{anchor}"
        for page, target, anchor in near
        if anchor and anchor not in headings(page.parent / target if target else page)
    ] == []


def headings(page: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in found}


def test_every_picture_is_shown_and_small() -> None:
    """No picture lies about that nobody sees, and none is heavy."""
    shown = "".join(each.read_text(encoding="utf-8") for each in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")))
    for picture in (ROOT / "docs" / "images").iterdir():
        assert f"images/{picture.name}" in shown
        assert picture.stat().st_size < 200_000


def _with_secrets(document: Any, folder: Path) -> Any:
    text = yaml.safe_dump(document)
    for name in set(_SECRET.findall(text)):
        content = "json://localhost" if name.startswith("apprise") else "a-secret-of-the-tests-0123456789"
        content = "r" * 32 if name == "pd-routing" else content
        (folder / name).write_text(content, encoding="utf-8")
    return yaml.safe_load(_SECRET.sub(lambda found: f"file:{folder / found[1]}", text))


CONNECTIONS: dict[str, dict[str, Any]] = {
    "prod": {
        "region": "eu-central-1",
        "credential": "env:SECRET_OF_THE_TEST",
        "recovery_principal": "arn:aws:iam::111122223333:user/x",
    },
    "vault": {"url": "https://bao.example.org", "token": "env:SECRET_OF_THE_TEST"},
}


def _open(room: str, entry: dict[str, Any], folder: Path) -> None:
    ours = ("type", "name", "fallback", "expect_every_seconds")
    options = {key: value for key, value in entry.items() if key not in ours}
    if "connection" in options:
        options["connection"] = CONNECTIONS[options["connection"]]
    if "key_file" in options:
        options["key_file"] = str(folder / "installation.key")
    clock = lambda: datetime.now(UTC)  # noqa: E731
    opened: Any = open_adapter(room, entry["type"], name=entry["name"], options=options, clock=clock)
    opened.close()
