"""Scenarios: one YAML file each, whose name is the scenario's; ``docs/scenario.schema.json`` is made from here."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from playbooks.errors import InvalidInput
from playbooks.plans import Gate
from playbooks.yaml_lines import load_yaml, locate
from simulations.journals import Technique

Metric = Literal[
    "detection_seconds",
    "declaration_seconds",
    "contained_claimed_seconds",
    "contained_true_seconds",
    "containment_overclaim_seconds",
    "renewed_seconds",
    "data_safe_seconds",
    "restored_seconds",
    "closed_seconds",
    "objects_lost",
    "objects_on_old_key",
    "downtime_seconds",
    "failure_percent",
]
"""What an objective may measure.  Seconds count from the first abuse; every limit is an upper one."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LabRecipe(_Part):
    """Which environment is built; ``backends`` swaps a server (``kms: moto`` acknowledges and goes on decrypting)."""

    recipe: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    backends: dict[str, str] = Field(default_factory=dict)


class Leak(_Part):
    """What gets out and by which way, for people; the response is never told."""

    what: str
    how: str


class AdversaryPart(_Part):
    """What the attacker does with it, how often a second."""

    technique: Technique
    rate_per_second: float = Field(gt=0, le=200)


class WorkloadPart(_Part):
    """What the legitimate service goes on doing."""

    rate_per_second: float = Field(gt=0, le=500)
    write_share: float = Field(default=0.2, ge=0, le=1)


class Detection(_Part):
    """Which detectors watch, and when the world shows them something.

    ``finding_after_seconds`` is when the scanner's finding file appears after the leak; None: no such file, the trail
    or the log is what gives the attacker away.
    """

    detectors: tuple[Literal["cloudtrail", "trufflehog", "openbao-audit", "signature-log"], ...] = Field(min_length=1)
    finding_after_seconds: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _finding_has_a_reader(self) -> Detection:
        if ("trufflehog" in self.detectors) != (self.finding_after_seconds is not None):
            raise ValueError("finding_after_seconds belongs to the detector trufflehog: give both or neither")
        return self


class Player(_Part):
    """A simulated approver: sees a plan, thinks for a while, approves the steps of these gates."""

    name: str
    delay_seconds: float = Field(ge=0)
    approves: tuple[Gate, ...] = (Gate.ONE_PERSON, Gate.TWO_PERSON)


class Objective(_Part):
    """One thing that must hold: the metric, measured, is at most the limit."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    sentence: str
    metric: Metric
    limit: float


class Timing(_Part):
    """How long each part of a drill may take, in seconds."""

    warm_up_seconds: float = Field(default=1.5, ge=0)
    deadline_seconds: float = Field(default=40.0, gt=0, description="From detonation to closed.")
    after_seconds: float = Field(default=2.0, ge=0, description="How long the attacker goes on after closing.")


class Scenario(_Part):
    """A leak to be practised: the world, what goes wrong in it, and what counts as a good answer."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str
    story: str
    environment: LabRecipe
    datasets: dict[str, int] = Field(default_factory=dict, description="Objects seeded, by the recipe's dataset name.")
    leak: Leak
    adversary: AdversaryPart
    workload: WorkloadPart
    detection: Detection
    players: tuple[Player, ...] = Field(min_length=1)
    objectives: tuple[Objective, ...] = Field(min_length=1)
    timing: Timing = Timing()

    @model_validator(mode="after")
    def _consistent(self) -> Scenario:
        ids = [objective.id for objective in self.objectives]
        if len(ids) != len(set(ids)):
            raise ValueError("objectives: every id must be given once")
        if any(count < 1 for count in self.datasets.values()):
            raise ValueError("datasets: every dataset needs at least one object")
        return self


def scenarios() -> tuple[str, ...]:
    """The names of the scenarios that come with keyquell, in alphabetical order."""
    found = (entry.name for entry in files("simulations").joinpath("scenarios").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


def load(name: str) -> Scenario:
    """A scenario by its name, or by the path of a file of your own.

    Raises InvalidInput that names file, line and what was expected.
    """
    if name.endswith((".yaml", ".yml")):
        return read(Path(name))
    known = scenarios()
    if name not in known:
        raise InvalidInput(f"there is no scenario {name!r}.", hint=f"Known: {', '.join(known)}.")
    return read(Path(str(files("simulations").joinpath("scenarios", f"{name}.yaml"))))


def read(path: Path) -> Scenario:
    """Read one scenario file; its name must be the scenario's.

    Raises InvalidInput that names file, line and what was expected.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the scenario {path} cannot be read ({error.strerror}).") from error
    document = load_yaml(text, file=str(path))
    try:
        scenario = Scenario.model_validate(document.data)
    except ValidationError as error:
        lines = locate(error, document, file=str(path), schema=scenario_schema())
        raise InvalidInput("\n".join(lines), hint="See docs/scenario.schema.json.") from error
    if scenario.name != path.stem:
        line, column = document.values["name",]
        raise InvalidInput(f"{path}:{line}:{column}: name: expected {path.stem!r}, as the file is called.")
    return scenario


def scenario_schema() -> dict[str, Any]:
    """JSON Schema of a scenario file (draft 2020-12)."""
    schema = Scenario.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
