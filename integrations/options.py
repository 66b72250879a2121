"""Options of adapters: read with the field that is wrong named, and never with its value, which may be a secret."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

from playbooks.errors import InvalidInput

Options = TypeVar("Options", bound=BaseModel)
_CHOICE = ("type", "name")
"""By these an adapter was chosen; most have no use for them."""


def read_options(model: type[Options], place: str, options: Mapping[str, Any], *, hint: str = "") -> Options:
    """Validate the options that stand at ``place``.  Raises InvalidInput naming place and field, with this hint."""
    known = model.model_fields
    try:
        return model.model_validate({key: each for key, each in options.items() if key in known or key not in _CHOICE})
    except ValidationError as error:
        field, message = first_mistake(error)
        raise InvalidInput(f"{place}: {field or 'options'}: {message}", hint=hint) from None


def first_mistake(error: ValidationError) -> tuple[str, str]:
    """The field, "" for the whole, and what is wrong with it; the value is not repeated."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")


def _readable(value: Path | None) -> Path | None:
    try:
        ssl.create_default_context(cafile=value)
    except OSError as error:
        raise ValueError("is no readable file of PEM certificates") from error
    return value


Authorities = Annotated[Path | None, AfterValidator(_readable)]
"""A file with the certificates of the authorities that are believed; None: the usual ones."""
