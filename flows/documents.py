"""The files beside the settings: inventory and roster, in YAML or JSON; what is wrong is named with its place."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flows.settings import first_mistake
from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.roster import Roster
from playbooks.yaml_lines import Document, load_yaml

_BIG = 8_000_000
"""Characters from which on JSON is read without remembering the line of each value: that would take minutes."""
_MANY = 100_000
"""Entries from which on the collector of garbage must not walk through the inventory again and again."""


def load_roster(path: Path) -> Roster:
    """Read a roster; an absent file is a mistake, because then nobody would know who counts.

    Raises InvalidInput naming the file, the line and the field.
    """
    document = _document(path, what="roster")
    try:
        return Roster.model_validate(document.data)
    except ValidationError as error:
        hint = "Nobody may approve until it is mended: `keyquell roster check`."
        raise InvalidInput(first_mistake(error, document, file=path), hint=hint) from error


def load_estate(path: Path) -> Estate:
    """Read an estate; an absent file is an empty estate.

    Raises InvalidInput naming the file, the line (JSON of more than 8 MB: the entry) and the field.
    """
    if not path.exists():
        return Estate()
    document = _document(path, what="estate")
    try:
        estate = Estate.model_validate(document.data)
    except ValidationError as error:
        message = first_mistake(error, document, file=path)
        raise InvalidInput(message, hint="Correct the entry and import it again.") from error
    if len(estate.keys) + len(estate.datasets) + len(estate.credentials) > _MANY:
        del document
        gc.collect()
        gc.freeze()  # a full collection over a million keys stops every thread for seconds
    return estate


def _document(path: Path, *, what: str) -> Document:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidInput(f"the {what} {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"the {what} {path} is not text in UTF-8.") from error
    if len(text) >= _BIG and text.lstrip().startswith("{"):
        return Document(_big_json(text, file=path), {}, {})
    return load_yaml(text, file=str(path))


def _big_json(text: str, *, file: Path) -> Any:
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, file))
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{file}:{error.lineno}:{error.colno}: this is not JSON: {error.msg}.") from error
    except RecursionError as error:
        raise InvalidInput(f"{file}: this is nested too deeply.") from error


def _once(pairs: list[tuple[str, Any]], file: Path) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for number, (name, _) in enumerate(pairs) if name in dict(pairs[:number]))
        raise InvalidInput(f"{file}: {twice[:80]!r} is given twice in one entry.")
    return found
