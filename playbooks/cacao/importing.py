"""A CACAO 2.0 document as a playbook of ours, or every reason why not.  Nothing in it is run, fetched or believed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from playbooks.cacao.document import Document
from playbooks.cacao.extension import EXTENSION, VERSION, Extension, digest_of
from playbooks.cacao.lint import Mistake, mistakes_of
from playbooks.cacao.mapping import map_document, not_kept
from playbooks.cacao.strict_json import JsonPath, parse, short, shown, told
from playbooks.errors import InvalidInput
from playbooks.playbook import Playbook

_OUR_PLACE: JsonPath = ("playbook_extensions", EXTENSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a document became.

    ``source`` says of what: of our extension, which loses nothing, or of the steps, one by one.  ``not_kept`` holds
    the JSON paths of what a playbook of ours has no place for.
    """

    playbook: Playbook
    source: Literal["extension", "steps"]
    not_kept: tuple[str, ...] = ()


def import_(raw: bytes, *, file: str) -> Imported:
    """Read a CACAO 2.0 document.

    ``file`` is the name shown in errors.  Raises InvalidInput, a line for each mistake with its JSON path: bounds and
    text (``strict_json.parse``), then fields, then references and flow (``lint``), then steps that are nothing that
    keyquell does (``mapping``).
    """
    data = parse(raw, file=file)
    document = _document(data, file)
    if mistakes := mistakes_of(document):
        raise InvalidInput(told(file, mistakes), hint="CACAO 2.0 asks for this; see docs/cacao.md.")
    if EXTENSION in (document.playbook_extensions or {}):
        return Imported(playbook=_sealed(data, document, file), source="extension")
    playbook, mistakes = map_document(document)
    if playbook is None:
        hint = "Nothing was imported. docs/cacao.md lists the words that a step may say."
        raise InvalidInput(told(file, mistakes), hint=hint)
    return Imported(playbook=playbook, source="steps", not_kept=tuple(shown(each) for each in not_kept(document)))


def _document(data: dict[str, Any], file: str) -> Document:
    """The typed document; from JSON text, because only there a list is what a tuple is written as."""
    try:
        return Document.model_validate_json(json.dumps(data), strict=True)
    except ValidationError as error:
        mistakes = _mistakes(error, data)
        raise InvalidInput(told(file, mistakes), hint="See docs/cacao.md for what is read.") from error


def _sealed(data: dict[str, Any], document: Document, file: str) -> Playbook:
    """The playbook in our extension, when the document is still the one that was written with it."""
    definition = (document.extension_definitions or {})[EXTENSION]
    given = data["playbook_extensions"][EXTENSION]
    if definition.version != VERSION:
        path: JsonPath = ("extension_definitions", EXTENSION, "version")
        what = f"expected {VERSION}, got {short(definition.version)}"
        raise InvalidInput(told(file, [(path, what)]), hint="Another version of keyquell wrote it.")
    try:
        found = Extension.model_validate_json(json.dumps(given), strict=True)
    except ValidationError as error:
        mistakes = [((*_OUR_PLACE, *path), what) for path, what in _mistakes(error, given)]
        raise InvalidInput(told(file, mistakes), hint="See docs/playbook.schema.json.") from error
    if found.digest != digest_of(data):
        what = "the document was changed after keyquell wrote it, so the playbook in it may be another than its steps"
        hint = "Take the extension out to have the steps mapped one by one, or export the playbook anew."
        raise InvalidInput(told(file, [((*_OUR_PLACE, "digest"), what)]), hint=hint)
    return found.playbook


def _mistakes(error: ValidationError, data: Any) -> list[Mistake]:
    """Each mistake with its JSON path; what only follows from a mistake inside it is left out."""
    found = [(_in_data(tuple(each["loc"]), data), _expected(each)) for each in error.errors(include_url=False)]
    inner = {path[:length] for path, _ in found for length in range(len(path))}
    return [each for each in found if each[0] not in inner]


def _in_data(loc: tuple[str | int, ...], data: Any) -> JsonPath:
    """Pydantic's place as the document's: without the names of union members and without ``[key]``."""
    path: list[str | int] = []
    for number, part in enumerate(loc):
        missing_here = number == len(loc) - 1 and part != "[key]" and isinstance(data, dict)
        if _holds(data, part):
            data = data[part]
        elif not missing_here:
            continue
        path.append(part)
    return tuple(path)


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, list):
        return isinstance(part, int) and part < len(data)
    return isinstance(data, dict) and part in data


def _expected(detail: ErrorDetails) -> str:
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "extra_forbidden":
        return "no such key, or a part of CACAO that keyquell does not read"
    if kind == "missing":
        return "this key is required"
    if kind == "too_short":
        return f"expected at least {context['min_length']}, got {context['actual_length']}"
    if kind == "union_tag_not_found":
        return "has no type"
    if kind == "union_tag_invalid":
        known = context["expected_tags"].replace("'", "")
        return f"unknown type {short(context['tag'])}; expected one of {known}"
    if kind in ("enum", "literal_error"):
        words = re.sub(r"<[\w.]+: ([\w-]+)>", r"\1", context["expected"].replace("'", ""))
        return f"expected {words}, got {short(given)}"
    return detail["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
