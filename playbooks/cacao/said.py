"""What a single foreign step says, or why keyquell cannot take it at its word."""

from __future__ import annotations

import re

from pydantic import ValidationError

from playbooks.cacao.lint import text_of
from playbooks.cacao.words import SUBJECT, TEMPLATE
from playbooks.cacao.workflow import ActionStep, Manual
from playbooks.playbook import Notice

_UNKEPT = ("delay", "timeout", "step_variables", "in_args", "out_args", "on_failure", "step_extensions")
_VARIABLE = re.compile(r"__[A-Za-z_][A-Za-z0-9_-]{0,199}__:")


class Unmapped(ValueError):
    """Why a step is nothing that keyquell does."""


def said(step: ActionStep) -> str:
    """The text of the one manual command of a step.

    Raises Unmapped when there is more to the step than that: another command, a delay, a variable.
    """
    for name in _UNKEPT:
        if getattr(step, name) is not None:
            raise Unmapped(f"keyquell has nothing like {name}")
    foreign = [command.type for command in step.commands if not isinstance(command, Manual)]
    if foreign:
        raise Unmapped(f"a command of type {foreign[0]} would have to be run, and keyquell runs none")
    manual = [command for command in step.commands if isinstance(command, Manual)]
    if len(manual) != 1:
        raise Unmapped(f"{len(manual)} commands: expected one a step")
    text = text_of(manual[0])
    if _VARIABLE.search(text):
        raise Unmapped("keyquell fills in no variables")
    return text


def notice(audience: str, rest: str, why: str) -> Notice:
    """The message of a command ``notify AUDIENCE``, ``rest`` being what stands below.  Raises Unmapped."""
    head, _, body = rest.partition("\n")
    if head.startswith(SUBJECT):
        given = {"subject": head.removeprefix(SUBJECT), "body": body.removeprefix("\n")}
    elif head.startswith(TEMPLATE) and not body.strip():
        given = {"template": head.removeprefix(TEMPLATE)}
    else:
        raise Unmapped(f"below notify AUDIENCE expected {SUBJECT}… and the message, or {TEMPLATE}NAME alone")
    try:
        return Notice.model_validate({"audience": audience, "why": why, **given})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Unmapped(f"{place}: {first['msg'].removeprefix('Value error, ')}".removeprefix(": ")) from error
