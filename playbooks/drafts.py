"""Drafts of messages for each audience: written from the record, without key names, for a person to read and change.

A template is ``templates/NAME.j2``: front matter (``audience``, ``need_to_know``, ``subject``), a line ``---`` and the
body.  A name that a template uses and the facts lack is a mistake, never an empty place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import get_args

import yaml
from jinja2 import Environment, StrictUndefined
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playbooks.briefing import facts_for_drafts
from playbooks.card_words import names_of, without_names
from playbooks.errors import InvalidInput
from playbooks.event_bodies import NeedToKnow
from playbooks.incident import Incident

FILL_IN = "[fill in:"
"""Begins a place that only a person can write; a draft that still has one is not released."""

_REACH = get_args(NeedToKnow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message that nobody has read yet."""

    audience: str
    need_to_know: NeedToKnow
    subject: str
    body: str


class Template(BaseModel):
    """One kind of message, as its file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    audience: str = Field(min_length=1)
    need_to_know: NeedToKnow
    subject: str = Field(min_length=1)
    body: str = Field(min_length=1)


def draft(incident: Incident, name: str, now: datetime, *, audience: str = "") -> Draft:
    """The message of a template as the record stands ``now``; ``audience`` replaces the template's own.

    An exercise says so in the subject and in the first line.  Raises InvalidInput for an unknown template.
    """
    template = template_of(name)
    values = facts_for_drafts(incident) | {"now": f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"}
    hidden = names_of(incident)
    subject, body = (without_names(_render(text, values), hidden) for text in (template.subject, template.body))
    if incident.exercise:
        subject, body = f"EXERCISE: {subject}", f"EXERCISE. Nothing of this is real.\n\n{body}"
    return Draft(audience=audience or template.audience, need_to_know=template.need_to_know, subject=subject, body=body)


def templates() -> dict[str, Template]:
    """All templates by name."""
    return {each.name: each for each in _templates()}


def template_of(name: str) -> Template:
    """One template.  Raises InvalidInput naming those that there are."""
    found = templates()
    if name not in found:
        raise InvalidInput(f"there is no template {name!r}.", hint=f"Known: {', '.join(found)}.")
    return found[name]


def wider(one: NeedToKnow, other: NeedToKnow) -> NeedToKnow:
    """The reach that goes further."""
    return max(one, other, key=_REACH.index)


def read_template(text: str, *, name: str) -> Template:
    """Read a template file.  Raises InvalidInput naming the file and the field."""
    front, line, body = text.partition("\n---\n")
    if not line:
        raise InvalidInput(f"templates/{name}.j2: front matter, a line ---, and the body are expected.")
    try:
        return Template.model_validate({"name": name, "body": body.strip(), **yaml.safe_load(front)})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"templates/{name}.j2: {field}: {first['msg']}.") from error


@cache
def _templates() -> tuple[Template, ...]:
    folder = resources.files("playbooks") / "templates"
    files = sorted((each for each in folder.iterdir() if each.name.endswith(".j2")), key=lambda each: each.name)
    found = [read_template(each.read_text(encoding="utf-8"), name=each.name.removesuffix(".j2")) for each in files]
    return tuple(sorted(found, key=lambda each: (_REACH.index(each.need_to_know), each.name)))


def _render(text: str, values: dict[str, object]) -> str:
    return _environment().from_string(text).render(values).strip()


@cache
def _environment() -> Environment:
    """Plain text: nothing is escaped, because no browser reads it."""
    return Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
