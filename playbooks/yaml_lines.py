"""YAML with its line numbers kept, so that a mistake is shown where it stands."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from playbooks.errors import InvalidInput

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it: many times faster."""

Path = tuple[str | int, ...]
Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: its data, and where (line and column, from 1) each value and each name stands."""

    data: Any
    values: Mapping[Path, Position]
    names: Mapping[Path, Position]

    def position(self, path: Path) -> Position:
        """Where a path stands; the nearest part above it when the path itself is missing."""
        if path in self.names:
            return self.names[path]
        while path not in self.values and path:
            path = path[:-1]
        return self.names.get(path) or self.values.get(path, (1, 1))


def load_yaml(text: str, *, file: str) -> Document:
    """Read one YAML document.

    Raises InvalidInput with file, line and column when it is not YAML, names a field twice, or is empty.
    """
    try:
        loader = _LOADER(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else file
        raise InvalidInput(f"{where}: this is not YAML: {error.problem}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidInput(f"{file}: this is not YAML: {str(error).splitlines()[0]}.") from error
    if root is None:
        raise InvalidInput(f"{file}:1:1: the file is empty; expected a mapping.")
    values: dict[Path, Position] = {}
    names: dict[Path, Position] = {}
    for path, name, value in _walk(root, ()):
        values[path] = _at(value)
        if name is not None:
            if path in names:
                line, column = _at(name)
                raise InvalidInput(f"{file}:{line}:{column}: {_shown(path)} is given twice.")
            names[path] = _at(name)
    return Document(data, values, names)


def locate(error: ValidationError, document: Document, *, file: str, schema: Mapping[str, Any]) -> list[str]:
    """One line for each mistake: ``file:line:column: field: what was expected``, in the order of the file."""
    known = sorted(_property_names(schema))
    details = [(_in_document(tuple(each["loc"]), document), each) for each in error.errors(include_url=False)]
    found = []
    for path, detail in details:
        if any(len(other) > len(path) and other[: len(path)] == path for other, _ in details):
            continue  # follows from the mistake inside it
        line, column = document.position(path)
        found.append((line, column, f"{file}:{line}:{column}: {_shown(path)}: {_expected(detail, path, known)}"))
    return [text for _, _, text in sorted(found)]


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, yaml.Node | None, yaml.Node]]:
    if not path:
        yield path, None, node
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            below = (*path, str(name.value))
            yield below, name, value
            yield from _walk(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            below = (*path, number)
            yield below, None, value
            yield from _walk(value, below)


def _at(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _in_document(path: Path, document: Document) -> Path:
    """Pydantic marks a mistake in a mapping's key with an extra ``[key]``."""
    return tuple(part for part in path if part != "[key]") if path not in document.values else path


def _shown(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.lstrip(".") or "the document"


def _expected(detail: ErrorDetails, path: Path, known: list[str]) -> str:
    kind, given = detail["type"], detail.get("input")
    if kind == "extra_forbidden":
        return f"no such field.{_nearest(str(path[-1]), known)}"
    if kind == "missing":
        return "this field is required."
    if kind in ("enum", "literal_error"):
        words = re.findall(r"'([^']+)'", str(detail.get("ctx", {}).get("expected", "")))
        return f"expected one of {', '.join(words)}, got {given!r}.{_nearest(str(given), words)}"
    message = detail["msg"].removeprefix("Value error, ")
    wanted = message.removeprefix("Input should be ")
    if wanted != message:
        return f"expected {wanted}, got {_short(given)}."
    return f"{message}."


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _property_names(schema: object) -> set[str]:
    if isinstance(schema, Mapping):
        own = set(schema["properties"]) if isinstance(schema.get("properties"), Mapping) else set()
        return own.union(*(_property_names(part) for part in schema.values()))
    if isinstance(schema, list):
        return set().union(*(_property_names(part) for part in schema))
    return set()
