"""Playbooks: what a team decided beforehand, one YAML file each, checked with the line that is wrong."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from playbooks.drafts import templates
from playbooks.errors import InvalidInput
from playbooks.event_bodies import NeedToKnow
from playbooks.exposures import Exposure, ExposureKind
from playbooks.plans import Gate, Phase
from playbooks.yaml_lines import load_yaml, locate

FIELDS = ("codename", "summary", "phase", "severity", "exposed", "status", "next_step", "exercise")
"""What a message may mention.  No key names: a message travels further than the record does."""


class ContainmentMove(StrEnum):
    """Ways to contain, each with a price that the plan shows."""

    CUT_CREDENTIAL = "cut-credential"
    QUARANTINE = "quarantine"
    STOP_ENCRYPT = "stop-encrypt"
    DISABLE = "disable"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AppliesTo(_Part):
    """The exposures for which the playbook was written."""

    kinds: tuple[ExposureKind, ...] = Field(min_length=1)
    schemes: tuple[str, ...] = Field(default=(), description="Schemes of the target; empty: any.")

    def covers(self, exposure: Exposure) -> bool:
        """Is the playbook meant for this exposure?"""
        scheme = exposure.target.partition(":")[0]
        return exposure.kind in self.kinds and (not self.schemes or scheme in self.schemes)


class PricedMove(_Part):
    """A way to contain and what the team should know before it is chosen."""

    move: ContainmentMove
    price: str = Field(default="", description="Added to the price that the plan works out from the estate.")


class Containment(_Part):
    """How to contain: moves in order of preference, the next one where a backend lacks the one before."""

    confidence: float = Field(
        default=0.8, ge=0, le=1, description="From here on containment runs by its gate; below, one person must agree."
    )
    prefer: tuple[PricedMove, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> Containment:
        if len(set(self.moves)) != len(self.moves):
            raise ValueError("each move may be listed once")
        return self

    @property
    def moves(self) -> tuple[ContainmentMove, ...]:
        """The moves alone, in order."""
        return tuple(entry.move for entry in self.prefer)

    def price_of(self, move: ContainmentMove) -> str:
        """What the team wrote about a move; "" when nothing."""
        return next((entry.price for entry in self.prefer if entry.move is move), "")


class Gates(_Part):
    """Who must agree, by phase.  Irreversible steps and retirement always need two people, whatever stands here."""

    contain: Gate = Gate.PRE_APPROVED
    renew: Gate = Gate.PRE_APPROVED
    reencrypt: Gate = Gate.PRE_APPROVED
    revoke: Gate = Gate.ONE_PERSON
    verify: Gate = Gate.PRE_APPROVED
    notify: Gate = Gate.PRE_APPROVED
    retire: Literal[Gate.TWO_PERSON] = Gate.TWO_PERSON
    review: Gate = Gate.PRE_APPROVED

    def of(self, phase: Phase) -> Gate:
        """The gate of a phase."""
        return Gate(getattr(self, phase.value))


class Options(_Part):
    """Choices that the planner leaves to the team."""

    allow: tuple[str, ...] = Field(
        default=(), description="Principals of the backend that may pass a quarantine, beside the recovery identity."
    )
    cut_users: bool = Field(default=True, description="For a signing key: also cut the credentials that may use it.")
    deletion_days: int = Field(default=30, ge=0, description="Window before a scheduled deletion completes.")


class Notice(_Part):
    """A message to an audience of the estate's contacts; ``{codename}`` and the like are filled in when it is sent."""

    audience: str = Field(min_length=1)
    subject: str = ""
    body: str = ""
    why: str = ""
    need_to_know: NeedToKnow = Field(
        default="responders", description="How far it may travel; what goes further than responders is read first."
    )
    template: str = Field(default="", description="Template of the message, in place of subject and body.")

    @field_validator("subject", "body")
    @classmethod
    def _known_fields(cls, text: str) -> str:
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"braces do not match: {error}") from error
        for _, name, form, conversion in parts:
            if name is not None and (name not in FIELDS or form or conversion):
                raise ValueError(f"{{{name}}} is not one of {', '.join(f'{{{field}}}' for field in FIELDS)}")
        return text

    @field_validator("template")
    @classmethod
    def _known_template(cls, name: str) -> str:
        if name and name not in templates():
            raise ValueError(f"{name!r} is not one of {', '.join(templates())}")
        return name

    @model_validator(mode="after")
    def _says_something(self) -> Notice:
        if not self.template and not (self.subject and self.body):
            raise ValueError("needs a subject and a body, or a template")
        return self

    def render(self, values: Mapping[str, str]) -> tuple[str, str]:
        """Subject and body with the fields filled in; a field that is not given is left out."""
        filled = dict.fromkeys(FIELDS, "") | dict(values)
        return self.subject.format_map(filled), self.body.format_map(filled)


class Playbook(_Part):
    """What a team decided beforehand about one kind of incident."""

    name: str = Field(pattern="^[a-z][a-z0-9-]*$")
    version: int = Field(ge=1)
    title: str
    applies_to: AppliesTo
    containment: Containment
    gates: Gates = Gates()
    options: Options = Options()
    notify: tuple[Notice, ...] = ()
    runbook: dict[Phase, str] = Field(default_factory=dict, description="Why the phase is done as it is done.")

    def notice(self, audience: str) -> Notice:
        """The message for an audience; KeyError when there is none."""
        for notice in self.notify:
            if notice.audience == audience:
                return notice
        raise KeyError(audience)


def playbook_schema() -> dict[str, Any]:
    """The JSON Schema of a playbook file (draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Playbook.model_json_schema(),
        "title": "keyquell playbook",
    }


def load(text: str, *, file: str) -> Playbook:
    """Read a playbook.

    ``file`` is the name shown in errors.  Raises InvalidInput: one line per mistake, each ``file:line:column: field:
    what was expected``, with the nearest known word for a typing error.
    """
    document = load_yaml(text, file=file)
    try:
        return Playbook.model_validate(document.data)
    except ValidationError as error:
        lines = locate(error, document, file=file, schema=playbook_schema())
        raise InvalidInput("\n".join(lines), hint="See docs/playbook.schema.json.") from error


@cache
def _catalog() -> tuple[Playbook, ...]:
    folder = resources.files("playbooks") / "catalog"
    found = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.name.endswith(".yaml"):
            playbook = load(entry.read_text(encoding="utf-8"), file=f"catalog/{entry.name}")
            if f"{playbook.name}.yaml" != entry.name:
                raise InvalidInput(f"catalog/{entry.name}: name is {playbook.name!r}, which is not the file's name.")
            found.append(playbook)
    return tuple(found)


def catalog() -> dict[str, Playbook]:
    """The playbooks that come with keyquell, by name."""
    return {playbook.name: playbook for playbook in _catalog()}


_GRAVEST_FIRST = (
    ExposureKind.KEY_MATERIAL,
    ExposureKind.DATA_KEY,
    ExposureKind.ISSUING_KEY,
    ExposureKind.SIGNING_KEY,
    ExposureKind.CREDENTIAL,
    ExposureKind.POLICY,
    ExposureKind.AVAILABILITY,
    ExposureKind.ALGORITHM,
)


def choose(catalog: Mapping[str, Playbook], exposures: Sequence[Exposure]) -> Playbook:
    """The playbook for the gravest exposure; one that names the target's scheme comes before a general one.

    Raises InvalidInput when none covers any of the exposures.
    """
    for exposure in sorted(exposures, key=lambda each: (_GRAVEST_FIRST.index(each.kind), each.target)):
        fitting = [playbook for playbook in catalog.values() if playbook.applies_to.covers(exposure)]
        if fitting:
            return min(fitting, key=lambda each: (not each.applies_to.schemes, len(each.applies_to.kinds), each.name))
    kinds = ", ".join(sorted({exposure.kind.value for exposure in exposures})) or "no exposure at all"
    raise InvalidInput(f"no playbook covers {kinds}.", hint="List them with `keyquell playbook list`.")
