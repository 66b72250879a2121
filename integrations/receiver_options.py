"""Options of the receivers of findings and traces, checked with the field that is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from playbooks.errors import InvalidInput

SECONDS = 5.0
"""How long a receiver may take to answer."""
CONNECT_SECONDS = 2.0


class ReceiverOptions(BaseModel):
    """What every receiver has."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = ""
    name: str = ""


_Model = TypeVar("_Model", bound=ReceiverOptions)


def read_options(model: type[_Model], place: str, options: Mapping[str, Any]) -> _Model:
    """Validate them.  Raises InvalidInput naming the receiver's place in the settings and the field, not the value."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: {field}: {first['msg'].removeprefix('Value error, ')}") from error
