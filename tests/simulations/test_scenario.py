"""Scenario files: what comes with keyquell loads, and mistakes are named with file and line."""

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from playbooks.errors import InvalidInput
from simulations.environments import RECIPES
from simulations.results import drill_result_schema
from simulations.scenario import load, read, scenario_schema, scenarios

DOCS = Path(__file__).parents[2] / "docs"
CATALOG = Path(__file__).parents[2] / "simulations" / "scenarios"


def test_the_four_scenarios_are_there() -> None:
    """They are found by the names of their files."""
    assert scenarios() == ("hsm-pin-leak", "kms-credential-leak", "signing-key-leak", "transit-key-exported")


@pytest.mark.parametrize("name", scenarios())
def test_a_scenario_loads_fits_the_schema_and_has_a_recipe(name: str) -> None:
    """Each file is valid by the model and by the published schema."""
    scenario = load(name)
    document = yaml.safe_load((CATALOG / f"{name}.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(scenario_schema()).validate(document)
    assert scenario.environment.recipe in RECIPES


@pytest.mark.parametrize("name", scenarios())
def test_every_scenario_asks_for_honest_containment(name: str) -> None:
    """Overclaiming is never tolerated."""
    limits = {objective.metric: objective.limit for objective in load(name).objectives}
    assert limits["containment_overclaim_seconds"] == 0
    assert limits["objects_lost"] == 0


def test_the_published_schemas_are_those_of_the_code() -> None:
    """docs/ is made from the models."""
    assert json.loads((DOCS / "scenario.schema.json").read_text()) == scenario_schema()
    assert json.loads((DOCS / "drill-result.schema.json").read_text()) == drill_result_schema()


CASES = {
    "an unknown field": ("title: The", "colour: red\ntitle: The", "colour"),
    "a rate that is no number": ("rate_per_second: 10}", "rate_per_second: fast}", "rate_per_second"),
    "an unknown detector": ("[trufflehog]", "[crystal-ball]", "detectors"),
    "a finding that nobody reads": ("detectors: [trufflehog]", "detectors: [cloudtrail]", "trufflehog"),
    "a metric that does not exist": ("metric: objects_lost", "metric: luck", "metric"),
    "a dataset without objects": ("datasets: {contracts: 30}", "datasets: {contracts: 0}", "at least one object"),
    "YAML that is broken": ("players:", "players: [", "not YAML"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named_with_file_and_line(case: str, tmp_path: Path) -> None:
    """The message starts with FILE:LINE and names the field."""
    old, new, expected = CASES[case]
    text = (CATALOG / "hsm-pin-leak.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "hsm-pin-leak.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InvalidInput, match=rf"hsm-pin-leak\.yaml:\d+:\d+: .*{expected}"):
        read(path)


def test_the_line_of_a_mistake_is_right(tmp_path: Path) -> None:
    """The line is the one that holds the field."""
    text = (
        (CATALOG / "hsm-pin-leak.yaml")
        .read_text(encoding="utf-8")
        .replace("rate_per_second: 10", "rate_per_second: 0", 1)
    )
    path = tmp_path / "hsm-pin-leak.yaml"
    path.write_text(text, encoding="utf-8")
    line = 1 + next(number for number, each in enumerate(text.splitlines()) if each.startswith("adversary:"))
    with pytest.raises(InvalidInput, match=rf":{line}:\d+: adversary\.rate_per_second"):
        read(path)


def test_a_scenario_is_called_as_its_file(tmp_path: Path) -> None:
    """A copied file that kept its old name is refused."""
    path = tmp_path / "other.yaml"
    path.write_text((CATALOG / "hsm-pin-leak.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InvalidInput, match="expected 'other'"):
        read(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    """The hint helps."""
    with pytest.raises(InvalidInput, match="Known: hsm-pin-leak"):
        load("nothing-like-it")
