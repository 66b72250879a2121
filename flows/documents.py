"""The files beside the settings: inventory and roster, in YAML or JSON; what is wrong is named with its place."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flows.settings import first_mistake
from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.roster import Roster
from playbooks.yaml_lines import Document, load_yaml

_BIG = 8_000_000
"""Characters from which on the line of a mistake in JSON is not looked for: that would take minutes."""
_M = TypeVar("_M", bound=BaseModel)
_MANY = 100_000
"""Entries from which on the collector of garbage must not walk through the inventory again and again."""


def load_roster(path: Path) -> Roster:
    """Read a roster; an absent file is a mistake, because then nobody would know who counts.

    Raises InvalidInput naming the file, the line and the field.
    """
    hint = "Nobody may approve until it is mended: `keyquell roster check`."
    return _read(path, Roster, what="roster", hint=hint)


def load_estate(path: Path) -> Estate:
    """Read an estate; an absent file is an empty estate.

    Raises InvalidInput naming the file, the line (in JSON of more than 8 MB the entry alone) and the field.
    """
    if not path.exists():
        return Estate()
    estate = _read(path, Estate, what="estate", hint="Correct the entry and import it again.")
    if len(estate.keys) + len(estate.datasets) + len(estate.credentials) > _MANY:
        gc.unfreeze()  # an inventory that was replaced may go
        gc.collect()
        gc.freeze()  # a full collection over a million keys stops every thread for seconds
    return estate


def _read(path: Path, model: type[_M], *, what: str, hint: str) -> _M:
    text = _text(path, what=what)
    document = _document(text, file=path)
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        if not document.values and len(text) < _BIG:
            document = load_yaml(text, file=str(path))
        raise InvalidInput(first_mistake(error, document, file=path), hint=hint) from error


def _text(path: Path, *, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the {what} {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the {what} {path} is not text in UTF-8.") from error


def _document(text: str, *, file: Path) -> Document:
    """JSON is read as such, many times faster than as the YAML that it also is; without the line of each value."""
    if text.lstrip().startswith("{"):
        try:
            return Document(json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, file)), {}, {})
        except (json.JSONDecodeError, RecursionError) as error:
            if len(text) >= _BIG:
                raise InvalidInput(f"{file}: this is not JSON: {error}.") from error
    return load_yaml(text, file=str(file))


def _once(pairs: list[tuple[str, Any]], file: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise InvalidInput(f"{file}: {twice[:80]!r} is given twice in one entry.")
    return found
