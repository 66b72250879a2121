"""What is exported is valid by the JSON schemas that OASIS publishes, where a copy of them is at hand."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from foreign_cacao import PLAIN, START, action, changed, read
from jsonschema import Draft7Validator
from referencing import Registry, Resource

from playbooks.cacao import export
from playbooks.errors import InvalidInput
from playbooks.playbook import catalog

ROOT = Path(__file__).parents[3]
VARIABLE = "KEYQUELL_CACAO_SCHEMAS"
FOLDER = Path(os.environ.get(VARIABLE) or ROOT.parent / "shared" / "data" / "cacao-2.0")
ENTRY = "https://raw.githubusercontent.com/oasis-open/cacao-json-schemas/main/schemas/playbook.json"
WHEN = datetime(2026, 5, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    """The published schemas; nothing is fetched."""
    if not (FOLDER / "schemas" / "playbook.json").is_file():
        pytest.skip(f"no copy of oasis-open/cacao-json-schemas in {FOLDER}; name its folder in {VARIABLE}")
    read = [json.loads(file.read_text(encoding="utf-8")) for file in (FOLDER / "schemas").rglob("*.json")]
    registry: Registry[Any] = Registry().with_resources((each["$id"], Resource.from_contents(each)) for each in read)
    return Draft7Validator({"$ref": ENTRY}, registry=registry)


@pytest.mark.parametrize("name", sorted(catalog()))
def test_an_export_is_valid(name: str, validator: Draft7Validator) -> None:
    """Every playbook of the catalogue."""
    document = export(catalog()[name], created=WHEN, modified=WHEN)
    assert [error.message for error in validator.iter_errors(document)] == []


def test_the_schemas_refuse_and_so_the_test_above_can_fail(validator: Draft7Validator) -> None:
    """A wrong version, a missing creator, an action without commands."""
    assert validator.is_valid(PLAIN)
    assert not validator.is_valid(changed(("spec_version",), "cacao-1.1"))
    assert not validator.is_valid(changed(("created_by",), None))
    assert not validator.is_valid(changed(("workflow", action(1), "commands"), None))


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(changed(("surprise",), 1), id="an unknown key"),
        pytest.param(changed(("workflow", START, "on_completion"), action(77)), id="a step that is nowhere"),
        pytest.param(changed(("workflow", START, "on_completion"), None), id="a step without a next one"),
        pytest.param(changed(("workflow", action(1), "commands", 0, "type"), "wish"), id="an unknown command"),
        pytest.param(changed(("created",), "2026-01-31T09:30:00Z"), id="no milliseconds"),
    ],
)
def test_the_schemas_alone_are_not_enough(document: dict[str, Any], validator: Draft7Validator) -> None:
    """What they accept, keyquell refuses by rules of its own."""
    assert validator.is_valid(document)
    with pytest.raises(InvalidInput):
        read(document)
