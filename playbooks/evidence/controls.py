"""Which evidence answers which control of which standard; and, as plainly, which control none answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from playbooks.errors import RecordError
from playbooks.evidence.contents import as_json
from playbooks.record import Event
from playbooks.yaml_lines import load_yaml

FILE = "controls.json"
_LEGAL = "Information, not legal advice; whether a control is met is for the assessor to say."


class Control(BaseModel):
    """One control: what it asks in our words, and the events and files that answer it; ``limits`` is what they do not.

    ``kinds`` are kinds of events of which one is enough to say something; with neither kinds nor files the record
    answers nothing, and ``limits`` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    standard: str
    control: str
    asks: str
    kinds: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    limits: str = Field(min_length=1)


@cache
def controls() -> tuple[Control, ...]:
    """The mapping that ships with keyquell, in the order of its file."""
    text = (files("playbooks.evidence") / "controls.yaml").read_text(encoding="utf-8")
    return tuple(Control.model_validate(each) for each in load_yaml(text, file="controls.yaml").data)


def mapping(events: Sequence[Event], mapped: Sequence[Control]) -> bytes:
    """The mapping of one case: each control with the numbers of the events that answer it."""
    return as_json({"note": _LEGAL, "controls": [_answered(each, events) for each in mapped]})


def read_mapping(content: bytes) -> tuple[Control, ...]:
    """The controls of a mapping, without their answers.  Raises RecordError when it is none."""
    try:
        rows = orjson.loads(content)["controls"]
        return tuple(Control.model_validate({name: row[name] for name in Control.model_fields}) for row in rows)
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise RecordError(f"{FILE} is no control mapping.") from error


def _answered(control: Control, events: Sequence[Event]) -> dict[str, Any]:
    seen = [each.seq for each in events if str(each.kind) in control.kinds]
    if not control.kinds and not control.files:
        state = "no evidence in this pack"
    elif control.kinds and not seen:
        state = "none in this case"
    else:
        state = "evidence"
    return {**control.model_dump(mode="json"), "state": state, "events": seen}
