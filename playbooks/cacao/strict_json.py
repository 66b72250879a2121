"""JSON from strangers: bounded before it is parsed, and nothing in it that two programs would read differently.

RFC 8259 leaves open what a name given twice means (section 4), allows a reader to set limits (section 9), and knows
neither NaN nor a byte order mark (sections 6 and 8.1).
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from playbooks.errors import InvalidInput

MAX_BYTES = 1_000_000
MAX_DEPTH = 24
MAX_VALUES = 20_000
MAX_DIGITS = 300
MAX_TOLD = 20
"""So many mistakes are told one by one; the rest is counted."""

JsonPath = tuple[str | int, ...]

# Possessive, and with an optional end: every quote begins exactly one match, so that the scan stays linear.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+\\?"?|[\[{]|[\]}]', flags=re.DOTALL)


class _Twice(dict[str, Any]):
    """An object in which a name was given more than once; ``name`` is the one given most often."""

    name: str


class _TooLong:
    """Stands for a number with too many digits."""


def parse(raw: bytes, *, file: str) -> dict[str, Any]:
    """The object that a JSON text holds.

    ``file`` is the name shown in errors.  Raises InvalidInput naming the JSON path: more than MAX_BYTES, MAX_DEPTH,
    MAX_VALUES or MAX_DIGITS; not UTF-8; a byte order mark; a name given twice; NaN or infinity; null; half a character.
    """
    text = _text(raw, file)
    if _depth(text) > MAX_DEPTH:
        raise InvalidInput(f"{file}: nested deeper than {MAX_DEPTH} levels.", hint="No playbook needs so many.")
    try:
        data = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{file}:{error.lineno}:{error.colno}: this is not JSON: {error.msg}.") from error
    for number, (path, value) in enumerate(_walk(data, ())):
        if number >= MAX_VALUES:
            raise InvalidInput(f"{file}: more than {MAX_VALUES} values.", hint="No playbook needs so many.")
        if wrong := _wrong(value) or _empty(path, value):
            raise InvalidInput(f"{file}: {shown(path)}: {wrong}.")
    if not isinstance(data, dict):
        raise InvalidInput(f"{file}: $: expected an object.", hint="A CACAO playbook is one JSON object.")
    return data


def shown(path: JsonPath) -> str:
    """A place as a JSONPath (RFC 9535): ``$.workflow['start--…'].on_completion``."""
    return "$" + "".join(_segment(part) for part in path)


def told(file: str, mistakes: list[tuple[JsonPath, str]]) -> str:
    """One line for each mistake, ``file: path: what``; of very many the first, and how many more."""
    lines = [f"{file}: {shown(path)}: {what}" for path, what in mistakes[:MAX_TOLD]]
    more = len(mistakes) - len(lines)
    return "\n".join([*lines, f"{file}: and {more} more."] if more else lines)


def short(value: object) -> str:
    """A value for a message: quoted, and cut where it would fill the line; identifiers of the standard's types fit."""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
    return text if len(text) <= 100 else f"{text[:99]}…"


def _segment(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,59}", part) else f"[{short(part)}]"


def _text(raw: bytes, file: str) -> str:
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"{file}: longer than {MAX_BYTES:,} bytes.", hint="No playbook is so long.")
    if raw.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise InvalidInput(f"{file}: begins with a byte order mark.", hint="Write it as UTF-8 without one.")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{file}: not UTF-8 at byte {error.start}.", hint="JSON is UTF-8.") from error


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        depth += (first in "[{") - (first in "]}")
        deepest = max(deepest, depth)
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = _Twice(found)
    twice.name = Counter(name for name, _ in pairs).most_common(1)[0][0]
    return twice


def _integer(digits: str) -> int | _TooLong:
    return int(digits) if len(digits) <= MAX_DIGITS else _TooLong()


def _walk(value: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, each in value.items():
            yield (*path, name), name
            yield from _walk(each, (*path, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _walk(each, (*path, number))


def _empty(path: JsonPath, value: object) -> str:
    """CACAO knows null only as the value of a variable (section 10.18)."""
    return "null says nothing; leave the key out" if value is None and path[-1:] != ("value",) else ""


def _wrong(value: object) -> str:
    if isinstance(value, _Twice):
        return f"{short(value.name)} is given twice"
    if isinstance(value, _TooLong):
        return f"a number with more than {MAX_DIGITS} digits"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN and infinity are no numbers in JSON"
    if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
        return "holds half a character (a lone surrogate)"
    return ""
