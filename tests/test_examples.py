"""The examples in the documents on people, chat, pager and detectors are read by the program as they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

import flows
from flows.settings import Settings
from integrations.registry import ADAPTERS, open_adapter
from integrations.slack.options import SlackOptions
from playbooks.roster import Role, Roster

ROOT = Path(flows.__file__).parents[1]
PAGES = ("approvals", "slack", "paging", "detection", "web")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]*)?\)")
_CLOUD = {
    "region": "eu-central-1",
    "credential": "env:NOBODY",
    "recovery_principal": "arn:aws:iam::111122223333:user/keyquell",
}
_VAULT = {"url": "https://bao.example.com:8200", "token": "env:HOME"}
_SECRET = re.compile(r"file:/run/secrets/([\w.-]+)")


def blocks(page: str) -> Iterator[dict[str, Any]]:
    """The YAML of a document."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    for block in re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL):
        yield yaml.safe_load(block)


def test_the_roster_of_the_document_is_one() -> None:
    """And it shows every role of the table."""
    [document] = list(blocks("approvals"))
    roster = Roster.model_validate(document)
    assert len(roster.people) >= 3
    text = (ROOT / "docs" / "approvals.md").read_text(encoding="utf-8")
    assert [role for role in Role if f"| `{role.value}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES[1:])
def test_the_settings_of_the_document_open_what_they_name(page: str, tmp_path: Path) -> None:
    """Each part is opened by its own adapter, which knows every option; secrets are those of the test."""
    for document in blocks(page):
        made = _with_secrets(document, tmp_path)
        settings = Settings.model_validate({"state": tmp_path, "estate": tmp_path, "source": tmp_path, **made})
        if settings.slack:
            SlackOptions.model_validate(settings.slack)
        for room in ("detectors", "messengers", "pagers"):
            for each in getattr(settings, room):
                assert each["type"] in ADAPTERS[room]
                _open(room, each)


def test_links_between_the_documents_lead_somewhere() -> None:
    """Every relative link of README and docs is a file that is there."""
    pages = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md")))
    links = [(page, each) for page in pages for each in _LINK.findall(page.read_text(encoding="utf-8"))]
    assert len(links) > 15
    assert [
        f"{page.name}: {each}" for page, each in links if "://" not in each and not (page.parent / each).exists()
    ] == []


def _with_secrets(document: Any, folder: Path) -> Any:
    text = yaml.safe_dump(document)
    for name in set(_SECRET.findall(text)):
        content = "json://localhost" if name.startswith("apprise") else "a-secret-of-the-tests-0123456789"
        content = "r" * 32 if name == "pd-routing" else content
        (folder / name).write_text(content, encoding="utf-8")
    return yaml.safe_load(_SECRET.sub(lambda found: f"file:{folder / found[1]}", text))


def _open(room: str, entry: dict[str, Any]) -> None:
    options = {key: value for key, value in entry.items() if key not in ("name", "fallback", "expect_every_seconds")}
    if "connection" in options:
        options["connection"] = _VAULT if entry["type"].startswith("openbao") else _CLOUD
    kept = {key: value for key, value in options.items() if key != "type"}
    open_adapter(room, entry["type"], name=entry["name"], options=kept, clock=lambda: datetime.now(UTC))
