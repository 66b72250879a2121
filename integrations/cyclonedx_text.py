"""CycloneDX JSON as text: strict reading, and the check against the official schema, offline.

The schemas come with cyclonedx-python-lib.  A document is checked in pieces, because a validator compares every
component with every other one to see that none is repeated; here that is seen by hash, in linear time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from jsonschema.validators import Draft7Validator
from rfc3986_validator import validate_rfc3986

from playbooks.errors import InvalidInput

MOST_BYTES = 256 * 1024 * 1024
MOST_PARTS = 1_000_000
MOST_INSIDE = 2_000
"""Things in any other list of one document; beyond, comparing each with each would take minutes."""
DEEPEST = 64
VERSIONS = {
    "1.4": SchemaVersion.V1_4,
    "1.5": SchemaVersion.V1_5,
    "1.6": SchemaVersion.V1_6,
    "1.7": SchemaVersion.V1_7,
}
_LONG = ("components", "services", "dependencies")
_MAY_REPEAT = ("properties",)
"""Lists that no schema wants without repetition."""
_PIECE = 50
_ASCII = "".join(map(chr, range(128)))
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""Half a character, which only counts together with its other half."""
_HINT = "The document must be CycloneDX JSON of version 1.4 to 1.7. Nothing was read from it."


def _is_iri_reference(value: object) -> bool:
    """By its mapping to a URI (RFC 3987 §3.1).

    The package that jsonschema would use builds a grammar when jsonschema is imported: two seconds of every process
    that knows Prefect.
    """
    return not isinstance(value, str) or bool(validate_rfc3986(quote(value, safe=_ASCII), rule="URI_reference"))


Draft7Validator.FORMAT_CHECKER.checks("iri-reference")(_is_iri_reference)


def parse(content: bytes) -> dict[str, Any]:
    """Read and check a document.

    Raises InvalidInput: too big or too deep, no JSON, a name given twice in one object, something listed twice, no
    CycloneDX of a known version, or not as its schema says (the place is named, the value is not repeated).
    """
    if len(content) > MOST_BYTES:
        raise InvalidInput(f"the document has more than {MOST_BYTES >> 20} MiB.", hint=_HINT)
    try:
        written = content.decode("utf-8")
        document = json.loads(written, object_pairs_hook=_once, parse_constant=_no_constant)
        if _HALF.search(written):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeError as error:
        raise InvalidInput("the document is not text in UTF-8.", hint=_HINT) from error
    except json.JSONDecodeError as error:
        raise InvalidInput(f"the document is no JSON: line {error.lineno}: {error.msg}.", hint=_HINT) from error
    except ValueError as error:
        raise InvalidInput("the document holds a number that is too long.", hint=_HINT) from error
    except RecursionError as error:
        raise InvalidInput(f"the document is deeper than {DEEPEST} levels.", hint=_HINT) from error
    if not isinstance(document, dict) or document.get("bomFormat") != "CycloneDX":
        raise InvalidInput("the document says not that it is CycloneDX (bomFormat).", hint=_HINT)
    if not isinstance(version := document.get("specVersion"), str) or version not in VERSIONS:
        raise InvalidInput(f"specVersion is {str(version)[:20]!r}.", hint=_HINT)
    _check_sizes(document)
    check(document)
    return document


def text(document: Mapping[str, Any]) -> str:
    """The document as JSON in ASCII, with a line end; what a terminal may take for a command is escaped."""
    return json.dumps(document, indent=1).replace("\x7f", "\\u007f") + "\n"


def check(document: Mapping[str, Any]) -> None:
    """Check a document against the schema of its own version.

    Raises InvalidInput naming the first place that is not as it should be, never its value.
    """
    validator = JsonStrictValidator(VERSIONS[document["specVersion"]])
    for begin, piece in _pieces(document):
        found = validator.validate_str(json.dumps(piece))
        if found is not None:
            raise InvalidInput(f"{_where(list(found.data.absolute_path), begin)}: {_why(found.data)}", hint=_HINT)


def _pieces(document: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The document without its long lists, then those, a few at a time; each with the number of its first."""
    head = {name: value for name, value in document.items() if name not in _LONG or not isinstance(value, list)}
    yield 0, head
    frame = {name: document[name] for name in ("bomFormat", "specVersion", "version") if name in document}
    for name in _LONG:
        if isinstance(every := document.get(name), list):
            _check_unlike(name, every)
            for begin in range(0, len(every), _PIECE):
                yield begin, frame | {name: every[begin : begin + _PIECE]}


def _check_unlike(name: str, every: list[Any]) -> None:
    if len({hash(json.dumps(each, sort_keys=True)) for each in every}) == len(every):
        return
    seen: set[str] = set()
    for number, each in enumerate(every):
        if (shown := json.dumps(each, sort_keys=True)) in seen:
            raise InvalidInput(f"{name}.{number}: the same is listed before.", hint=_HINT)
        seen.add(shown)


def _where(path: list[Any], begin: int) -> str:
    if len(path) > 1 and path[0] in _LONG and isinstance(path[1], int):
        path[1] += begin
    return ".".join(str(each) for each in path)[:200] or "the document"


def _why(error: Any) -> str:
    """What the schema wanted; never what was given, which may be a secret."""
    if error.validator == "additionalProperties":
        return "there is a field that this version of CycloneDX does not know."
    if error.validator == "required":
        return f"one of {', '.join(error.validator_value)} is missing."
    if error.validator == "enum":
        return f"must be one of {', '.join(str(each) for each in error.validator_value[:30])}."
    return f"does not keep the schema's rule {error.validator!r}."


def _check_sizes(document: Mapping[str, Any]) -> None:
    waiting: list[tuple[str, Any, int]] = [("", document, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if depth > DEEPEST:
            raise InvalidInput(f"the document is deeper than {DEEPEST} levels.", hint=_HINT)
        if isinstance(value, dict):
            waiting += [(inner, each, depth + 1) for inner, each in value.items() if isinstance(each, dict | list)]
            continue
        if len(value) > MOST_INSIDE and name not in _MAY_REPEAT:
            _check_long(document, value)
        waiting += [("", each, depth + 1) for each in value if isinstance(each, dict | list)]


def _check_long(document: Mapping[str, Any], found: list[Any]) -> None:
    if all(isinstance(each, str) for each in found):  # sorted to be compared; what is mixed cannot be sorted
        return
    if len(found) > MOST_PARTS or not any(found is document.get(name) for name in _LONG):
        raise InvalidInput(f"the document has a list of {len(found)} things.", hint=_HINT)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InvalidInput(f"the document gives {twice[:80]!r} twice in one object.", hint=_HINT)
    return found


def _no_constant(name: str) -> None:
    raise InvalidInput(f"the document holds {name}, which is no JSON.", hint=_HINT)
