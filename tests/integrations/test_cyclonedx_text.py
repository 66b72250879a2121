"""CycloneDX as text: what is no document is refused before anything is read from it, however it is hidden."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import Any

import pytest

from integrations import cyclonedx_text
from integrations.cyclonedx_text import parse
from playbooks.errors import InvalidInput

FRAME = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
CANARY = "canary-51c0"


def component(name: str, **more: Any) -> dict[str, Any]:
    """The least that the schema wants."""
    return {"type": "library", "bom-ref": name, "name": name} | more


def many(count: int) -> list[dict[str, Any]]:
    """More than one piece of the check."""
    return [component(f"c{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe{}", "not text in UTF-8"),
        (b'{"bomFormat": "\\ud800"}', "not text in UTF-8"),
        (b"{", "no JSON: line 1"),
        (b"[]", "bomFormat"),
        (b'{"bomFormat": "SPDX", "specVersion": "1.6"}', "bomFormat"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "1.3"}', "specVersion is '1.3'"),
        (b'{"bomFormat": "CycloneDX", "specVersion": ["1.6"]}', "specVersion"),
        (b'{"bomFormat": "CycloneDX", "bomFormat": "CycloneDX"}', "'bomFormat' twice"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": NaN}', "NaN"),
        (b'{"version": ' + b"9" * 5000 + b"}", "a number that is too long"),
        (b'{"a":' * 100_000, "deeper than"),
        (b'{"bomFormat": "CycloneDX", "specVersion": "1.6", "a": ' + b"[" * 80 + b"]" * 80 + b"}", "deeper than"),
    ],
    ids=lambda each: each[:24] if isinstance(each, str) else "given",
)
def test_what_is_no_document_is_refused(content: bytes, reason: str) -> None:
    """Every time with a sentence of ours."""
    with pytest.raises(InvalidInput, match=reason):
        parse(content)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"components": [*many(120), component("x", colour=CANARY)]}, r"components\.120: there is a field"),
        ({"components": [*many(60), component("x", type=CANARY)]}, r"components\.60\.type: must be one of"),
        ({"components": [*many(60), {"type": "library"}]}, r"components\.60: one of type, name is missing"),
        ({"components": [*many(60), component("c3")]}, r"components\.60: the same is listed before"),
        ({"components": CANARY}, "components: does not keep"),
        ({"dependencies": [{"ref": "a", "dependsOn": ["b", "b"]}]}, r"dependencies\.0\.dependsOn: .*uniqueItems"),
        ({"services": [{"bom-ref": "s"}]}, r"services\.0: one of name is missing"),
        ({"metadata": {"timestamp": 5}}, r"metadata\.timestamp"),
        ({"metadata": {"timestamp": CANARY}}, r"metadata\.timestamp: .*format"),
        ({"externalReferences": [{"type": "vcs", "url": f"{CANARY} {CANARY}"}]}, r"externalReferences\.0\.url"),
        ({"secret": CANARY}, "the document: there is a field"),
        ({"serialNumber": CANARY}, "serialNumber: does not keep the schema's rule 'pattern'"),
    ],
)
def test_what_breaks_the_schema_is_named_by_its_place_and_not_repeated(change: dict[str, Any], reason: str) -> None:
    """The number is that of the whole document, although it is checked in pieces."""
    with pytest.raises(InvalidInput, match=reason) as caught:
        parse(json.dumps(FRAME | change).encode())
    assert CANARY not in f"{caught.value} {caught.value.__cause__!r}"


def test_a_document_of_many_pieces_is_accepted() -> None:
    """Nothing is lost by the cutting."""
    assert len(parse(json.dumps(FRAME | {"components": many(250)}).encode())["components"]) == 250


def test_limits_are_on_bytes_and_on_lists_that_would_be_compared_each_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Long lists of components are checked in linear time; others would take the square of their length."""
    monkeypatch.setattr(cyclonedx_text, "MOST_INSIDE", 20)
    assert parse(json.dumps(FRAME | {"components": many(50)}).encode())
    with pytest.raises(InvalidInput, match="a list of 50 things"):
        parse(json.dumps(FRAME | {"components": [component("a", components=many(50))]}).encode())
    properties = [{"name": f"n{number}"} for number in range(50)]
    assert parse(json.dumps(FRAME | {"components": [component("a", properties=properties)]}).encode())
    mixed = [{"ref": "a", "dependsOn": [*range(25), *"abcdefghijklmnopqrstuvwxy"]}]
    with pytest.raises(InvalidInput, match="a list of 50 things"):
        parse(json.dumps(FRAME | {"dependencies": mixed}).encode())
    monkeypatch.setattr(cyclonedx_text, "MOST_PARTS", 40)
    with pytest.raises(InvalidInput, match="a list of 50 things"):
        parse(json.dumps(FRAME | {"components": many(50)}).encode())
    monkeypatch.setattr(cyclonedx_text, "MOST_BYTES", 100)
    with pytest.raises(InvalidInput, match="more than 0 MiB"):
        parse(b" " * 101)


def test_a_reference_may_have_letters_of_any_script() -> None:
    """RFC 3987, and no more than that."""
    address = "https://beispiel.example/schlüssel?für=日本#ß"
    assert parse(json.dumps(FRAME | {"externalReferences": [{"type": "vcs", "url": address}]}).encode())


def test_no_grammar_is_built_in_every_process() -> None:
    """jsonschema, which Prefect imports, takes this package by itself where it is installed, and then needs seconds."""
    assert find_spec("rfc3987_syntax") is None
