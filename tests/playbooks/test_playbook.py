"""Playbooks load with precise errors, and the right one is chosen."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from cases import CASES

from playbooks.errors import InvalidInput
from playbooks.exposures import Exposure, ExposureKind
from playbooks.playbook import catalog, choose, load, playbook_schema

ROOT = Path(__file__).parents[2]
GOOD = """\
name: mine
version: 1
title: Mine
applies_to:
  kinds: [credential]
containment:
  prefer:
    - move: quarantine
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            GOOD.replace("quarantine", "quarantin"), ["mine.yaml:8:7:", "containment.prefer[0].move", "'quarantine'"],
            id="a move with a typing error",
        ),
        pytest.param(
            GOOD + "gates:\n  contian: one-person\n", ["mine.yaml:10:3:", "no such field", "'contain'"],
            id="a field with a typing error",
        ),
        pytest.param(GOOD.replace("version: 1\n", ""), ["mine.yaml:1:1:", "version", "required"], id="a missing field"),
        pytest.param(
            GOOD.replace("version: 1", "version: soon"), ["mine.yaml:2:1:", "version", "integer"], id="a wrong type"
        ),
        pytest.param(GOOD + "version: 2\n", ["mine.yaml:9:1:", "given twice"], id="a field given twice"),
        pytest.param(GOOD + "  - [\n", ["mine.yaml:9:", "not YAML"], id="text that is not YAML"),
        pytest.param("", ["mine.yaml:1:1:", "empty"], id="an empty file"),
        pytest.param("- a\n", ["mine.yaml:1:1:", "the document"], id="a list instead of a mapping"),
        pytest.param(
            GOOD + "notify:\n  - audience: ops\n    subject: '{key}'\n    body: x\n",
            ["mine.yaml:11:5:", "{codename}"], id="a message that would name the key",
        ),
        pytest.param(
            GOOD + "gates:\n  retire: one-person\n", ["mine.yaml:10:3:", "two-person"], id="a weaker gate at the end"
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_shown_where_it_stands(text: str, expected: list[str]) -> None:
    """File, line, column, field, what was expected, and the nearest known word."""
    with pytest.raises(InvalidInput) as caught:
        load(text, file="mine.yaml")
    for part in expected:
        assert part in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    """One round of corrections is enough."""
    with pytest.raises(InvalidInput) as caught:
        load(GOOD.replace("version: 1", "version: 0").replace("credential", "credentials"), file="mine.yaml")
    assert [line.split(":")[1] for line in caught.value.message.splitlines()] == ["2", "5"]


def test_the_committed_schema_is_the_models_own_and_accepts_the_catalog() -> None:
    """Editors and the loader agree."""
    schema = playbook_schema()
    assert json.loads((ROOT / "docs" / "playbook.schema.json").read_text()) == schema
    for file in (ROOT / "playbooks" / "catalog").glob("*.yaml"):
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize("name", sorted(CASES))
def test_each_scenario_finds_its_own_playbook(name: str) -> None:
    """The one that names the scheme comes before the general one."""
    assert choose(catalog(), CASES[name]().exposures).name == name


@pytest.mark.parametrize("kind", list(ExposureKind))
def test_every_kind_of_exposure_has_a_playbook(kind: ExposureKind) -> None:
    """No kind is met with silence."""
    exposure = Exposure(kind=kind, target="pkcs11:token=t;object=o", confidence=0.5)
    assert kind in choose(catalog(), [exposure]).applies_to.kinds


def test_the_gravest_exposure_decides() -> None:
    """Material that is out outweighs the credential by which it got out."""
    exposures = (*CASES["kms-credential-leak"]().exposures, *CASES["transit-key-exported"]().exposures)
    assert choose(catalog(), exposures).name == "transit-key-exported"


def test_no_fitting_playbook_is_an_error() -> None:
    """An empty catalog chooses nothing."""
    with pytest.raises(InvalidInput, match="no playbook covers"):
        choose({}, CASES["hsm-pin-leak"]().exposures)


def test_a_message_is_filled_in_without_what_is_not_given() -> None:
    """A field nobody filled in leaves no braces behind."""
    subject, body = catalog()["hsm-pin-leak"].notice("responders").render({"codename": "amber-fox"})
    assert subject.startswith("amber-fox")
    assert "{" not in body
