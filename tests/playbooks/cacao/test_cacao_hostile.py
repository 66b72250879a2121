"""Documents that are broken or mean harm are refused, with the place where they are wrong."""

from __future__ import annotations

import copy
import json
import time
from typing import Any

import pytest
from foreign_cacao import (
    AGENT,
    END,
    OTHER_EXTENSION,
    PERSON,
    PLAIN,
    START,
    action,
    changed,
    foreign,
    manual,
    read,
    uuid,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from playbooks.cacao import MAX_BYTES, import_
from playbooks.cacao.strict_json import MAX_DEPTH, MAX_TOLD, MAX_VALUES
from playbooks.errors import InvalidInput

TEXT = json.dumps(PLAIN)
FIRST = ("workflow", action(1))


def with_text(old: str, new: str) -> bytes:
    """The sound document as text, with one place written differently."""
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new).encode()


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        pytest.param(b"", r"a\.json:1:1: this is not JSON", id="nothing"),
        pytest.param(b"{", r"a\.json:1:2: this is not JSON", id="a beginning"),
        pytest.param(TEXT.encode()[:-1], "this is not JSON", id="cut off"),
        pytest.param(TEXT.encode() + b"{}", "this is not JSON", id="two documents"),
        pytest.param(b"[]", r"\$: expected an object", id="a list"),
        pytest.param(b'"playbook"', r"\$: expected an object", id="a text"),
        pytest.param(b"\xef\xbb\xbf" + TEXT.encode(), "byte order mark", id="a byte order mark"),
        pytest.param(TEXT.encode("utf-16"), "byte order mark", id="UTF-16"),
        pytest.param(TEXT.encode("utf-16-be"), "this is not JSON", id="UTF-16 without a mark"),
        pytest.param(b'{"name": "\xff"}', "not UTF-8 at byte 10", id="not UTF-8"),
        pytest.param(b'{"name": "\\ud800"}', r"\$\.name: holds half a character", id="half a character"),
        pytest.param(b'{"\\udfff": 1}', "half a character", id="half a character in a name"),
        pytest.param(b"[" * 100_000, "nested deeper", id="nested without end"),
        pytest.param(b'{"a":' * 100_000, "nested deeper", id="objects without end"),
        pytest.param(b'"' + b'\\"' * 400_000, "this is not JSON", id="a text that never ends"),
        pytest.param(b" " * (MAX_BYTES + 1), "longer than 1,000,000 bytes", id="too long"),
        pytest.param(b"[" + b"1," * MAX_VALUES + b"1]", f"more than {MAX_VALUES} values", id="too many values"),
        pytest.param(b'{"a": [NaN]}', r"\$\.a\[0\]: NaN", id="NaN"),
        pytest.param(b'{"a": -Infinity}', r"\$\.a: NaN and infinity", id="infinity"),
        pytest.param(b'{"a": 1e999}', r"\$\.a: NaN and infinity", id="a number that becomes infinite"),
        pytest.param(b'{"a": ' + b"9" * 900_000 + b"}", r"\$\.a: a number with more than", id="a number without end"),
        pytest.param(b'{"a": null}', r"\$\.a: null", id="null"),
        pytest.param(b'{"a": {"b": 1, "b": 1}}', r'\$\.a: "b" is given twice', id="a name given twice"),
        pytest.param(
            with_text('"spec_version":', '"name": "x", "spec_version":'),
            r'\$: "name" is given twice',
            id="two names for the playbook",
        ),
        pytest.param(
            with_text('"command": "quarantine"', '"command": "quarantine", "\\u0063ommand": "disable"'),
            r'\.commands\[0\]: "command" is given twice',
            id="a second command, its name written in escapes",
        ),
    ],
)
def test_text_that_is_no_document(raw: bytes, told: str) -> None:
    """Refused within a moment, however it is made."""
    begun = time.perf_counter()
    with pytest.raises(InvalidInput, match=told):
        import_(raw, file="a.json")
    assert time.perf_counter() - begun < 10


def test_the_limits_are_the_limits() -> None:
    """One level less than too deep is read; brackets in a text are no levels."""
    deep = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    for inner in (deep, f'"{"[" * 1000}"', '"\\"[[[["'):
        with pytest.raises(InvalidInput, match="type: this key is required"):
            import_(f'{{"a": {inner}}}'.encode(), file="a.json")
    with pytest.raises(InvalidInput, match="nested deeper"):
        import_(f'{{"a": [{deep}]}}'.encode(), file="a.json")


@pytest.mark.parametrize(
    ("document", "told"),
    [
        pytest.param(
            changed(("spec_version",), "cacao-1.1"), r"\$\.spec_version: expected cacao-2\.0", id="version 1.1"
        ),
        pytest.param(changed(("spec_version",), None), "spec_version: this key is required", id="no version"),
        pytest.param(changed(("type",), "bundle"), r"\$\.type: expected playbook", id="another type"),
        pytest.param(changed(("surprise",), 1), r"\$\.surprise: no such key", id="an unknown key"),
        pytest.param(changed(("na me",), 1), r'\$\["na me"\]: no such key', id="an unknown key with a space"),
        pytest.param(
            changed((*FIRST, "surprise"), 1), r"0001\"\]\.surprise: no such key", id="an unknown key of a step"
        ),
        pytest.param(
            changed((*FIRST, "commands", 0, "shell"), "sh"),
            r"\.commands\[0\]\.shell: no such key",
            id="an unknown key of a command",
        ),
        pytest.param(
            changed(("signatures",), [{}]), r"\$\.signatures: no such key", id="a signature nobody would check"
        ),
        pytest.param(changed(("markings",), []), r"\$\.markings: no such key", id="a marking that would be lost"),
        pytest.param(
            changed((*FIRST, "commands", 0, "type"), "wish"),
            r'\.commands\[0\]: unknown type "wish"; expected one of manual',
            id="an unknown command",
        ),
        pytest.param(
            changed((*FIRST, "commands", 0, "type"), None), r"\.commands\[0\]: has no type", id="no command type"
        ),
        pytest.param(changed((*FIRST, "commands"), []), r"\.commands: expected at least 1, got 0", id="no commands"),
        pytest.param(changed((*FIRST, "type"), "loop"), r'0001"\]: unknown type "loop"', id="an unknown step"),
        pytest.param(changed(("priority",), "1"), r"\$\.priority: expected a valid integer", id="a number as text"),
        pytest.param(changed(("priority",), 101), r"\$\.priority: ", id="a number out of range"),
        pytest.param(changed(("id",), "playbook--1"), r"\$\.id: expected TYPE--UUID", id="no UUID"),
        pytest.param(
            changed(("id",), "playbook--2ed6657d-e927-568b-95e1-2665a8aea6a2"),
            r"\$\.id: .*version 4",
            id="UUID version 5",
        ),
        pytest.param(
            changed(("id",), f"playbook--{uuid(1)}\n"), r"\$\.id: expected", id="a line break behind the UUID"
        ),
        pytest.param(
            changed(("id",), f"action--{uuid(1)}"), r"\$\.id: expected an identifier playbook--", id="other kind"
        ),
        pytest.param(changed(("created_by",), f"group--{uuid(1)}"), r"\$\.created_by: .*identity--", id="no identity"),
        pytest.param(
            changed(("created",), "2026-01-31T09:30:00Z"), r"\$\.created: .*three digits", id="no milliseconds"
        ),
        pytest.param(changed(("created",), "2026-01-31T09:30:00.000000Z"), r"\$\.created: ", id="microseconds"),
        pytest.param(changed(("created",), "2026-01-31T09:30:00.000+01:00"), r"\$\.created: ", id="an offset"),
        pytest.param(
            changed(("created",), "2026-02-30T09:30:00.000Z"), r"\$\.created: there is no such", id="no such day"
        ),
        pytest.param(
            changed(("modified",), "2025-01-31T09:30:00.000Z"), r"\$\.modified: is earlier", id="modified first"
        ),
        pytest.param(changed(("revoked",), True), r"\$\.revoked: .*withdrawn", id="withdrawn"),
        pytest.param(
            {**PLAIN, "valid_from": PLAIN["modified"], "valid_until": PLAIN["created"]},
            r"\$\.valid_until: ",
            id="never valid",
        ),
        pytest.param(
            changed(("workflow_start",), f"start--{uuid(7)}"),
            r"\$\.workflow_start: .* is not in workflow",
            id="no start",
        ),
        pytest.param(
            changed(("workflow_start",), action(1)), r"\$\.workflow_start: expected the one start", id="no start step"
        ),
        pytest.param(
            changed(("workflow", f"start--{uuid(7)}"), {"type": "start", "on_completion": END}),
            r"\$\.workflow_start: .* which has 2",
            id="two starts",
        ),
        pytest.param(
            changed(("workflow", f"start--{uuid(7)}"), {"type": "end"}),
            "holds something of type",
            id="an end named start",
        ),
        pytest.param(
            changed((*FIRST, "on_completion"), action(7)),
            r'0001"\]\.on_completion: .* is not in workflow',
            id="dangling",
        ),
        pytest.param(changed((*FIRST, "on_completion"), START), "leads back to a start step", id="back to the start"),
        pytest.param(
            changed((*FIRST, "agent"), PERSON), r"\.agent: .* is not in agent_definitions", id="no such agent"
        ),
        pytest.param(
            changed((*FIRST, "targets"), [AGENT]), r"\.targets\[0\]: .* not in target_definitions", id="no target"
        ),
        pytest.param(
            changed(("playbook_extensions",), {OTHER_EXTENSION: {}}),
            "not in extension_definitions",
            id="no such extension",
        ),
        pytest.param(
            changed((*FIRST, "step_extensions"), {OTHER_EXTENSION: {}}),
            r"\.step_extensions\[.* not in extension_definitions",
            id="no such extension of a step",
        ),
        pytest.param(
            changed(("agent_definitions", AGENT, "agent_target_extensions"), {OTHER_EXTENSION: {}}),
            r"\.agent_target_extensions\[.* not in extension_definitions",
            id="no such extension of an agent",
        ),
        pytest.param(
            changed(("agent_definitions", f"group--{uuid(9)}"), {"type": "sector", "name": "", "sector": ""}),
            "holds something of type",
            id="a sector named group",
        ),
        pytest.param(
            changed((*FIRST, "on_success"), END),
            r'0001"\]: on_completion excludes',
            id="two next steps that exclude each other",
        ),
        pytest.param(changed((*FIRST, "on_completion"), None), "never reaches an end", id="no next step"),
        pytest.param(
            changed(("workflow", action(2)), manual("disable", on_failure=END)),
            "never reaches an end",
            id="only a failing way",
        ),
        pytest.param(
            changed(("workflow", END, "on_completion"), action(1)), "an end step has no next", id="on after the end"
        ),
        pytest.param(
            changed(("workflow", START), {"type": "start", "on_success": action(1)}),
            "start step has on_completion alone",
            id="a start that may fail",
        ),
        pytest.param(
            changed(("workflow", action(2), "on_completion"), action(1)), "is in a circle", id="a circle without an end"
        ),
        pytest.param(
            changed(("workflow", action(2)), manual("disable", on_success=END, on_failure=action(1))),
            "is in a circle",
            id="again and again until it works",
        ),
        pytest.param(
            changed(("workflow", action(3)), manual("disable", on_completion=END)), "no step leads", id="an island"
        ),
        pytest.param(foreign(), "has no action", id="nothing to do"),
        pytest.param(
            changed((*FIRST, "commands", 0, "command_b64"), "eA=="),
            "expected either command or command_b64",
            id="two texts",
        ),
        pytest.param(
            changed((*FIRST, "commands", 0), {"type": "manual"}), "expected either command or command_b64", id="no text"
        ),
        pytest.param(
            changed((*FIRST, "commands", 0), {"type": "manual", "command_b64": "?"}),
            r"\.command_b64: is not base64",
            id="no base64",
        ),
    ],
)
def test_a_document_that_is_wrong(document: dict[str, Any], told: str) -> None:
    """Each refusal names the JSON path and what was expected there."""
    with pytest.raises(InvalidInput, match=told) as caught:
        read(document)
    assert all(line.startswith("theirs.json: $") for line in caught.value.message.splitlines())
    assert caught.value.hint


def test_a_mistake_is_told_once() -> None:
    """A list whose one entry is wrong is not told to be empty as well."""
    with pytest.raises(InvalidInput) as caught:
        read({**PLAIN, "external_references": [{"description": "Theirs"}]})
    assert caught.value.message == "theirs.json: $.external_references[0].name: this key is required"


def test_very_many_mistakes_are_counted() -> None:
    """Nobody reads a thousand lines."""
    document = PLAIN | {f"surprise_{number}": 1 for number in range(1000)}
    with pytest.raises(InvalidInput) as caught:
        read(document)
    lines = caught.value.message.splitlines()
    assert len(lines) == MAX_TOLD + 1
    assert lines[-1] == f"theirs.json: and {1000 - MAX_TOLD} more."


def test_a_key_cannot_fill_the_screen() -> None:
    """A long name is cut, and a line break in it starts no line."""
    with pytest.raises(InvalidInput) as caught:
        read({**PLAIN, "x\nkeyquell: all is well" + "!" * 10_000: 1})
    assert len(caught.value.message.splitlines()) == 1
    assert len(caught.value.message) < 300


def test_a_long_chain_is_followed() -> None:
    """Some thousand steps take no recursion, and one circle among them is found."""
    count = 1_000
    long = foreign(*(manual("review") for _ in range(count)))
    with pytest.raises(InvalidInput, match="is there already"):
        read(long)
    with pytest.raises(InvalidInput, match=f"and {count - MAX_TOLD} more"):
        read(changed(("workflow", action(count)), manual("review", on_success=END, on_failure=action(1)), long))


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_any_change_is_read_or_refused_in_words(data: st.DataObject) -> None:
    """A value anywhere in the document replaced by another: a playbook or InvalidInput, never anything else."""
    document = copy.deepcopy(PLAIN)
    place: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 4)) == 0:
            break
        place = place[key]
    junk = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([START, END, action(1)])
    )
    place[key] = data.draw(
        st.recursive(junk, lambda each: st.lists(each) | st.dictionaries(st.text(), each), max_leaves=8)
    )
    message = refused(document)
    assert not message or "theirs.json: $" in message


def refused(document: dict[str, Any]) -> str:
    """Why a document is refused; "" when it is read."""
    try:
        read(document)
    except InvalidInput as error:
        return error.message
    return ""


@given(st.binary(max_size=200) | st.text(alphabet='[]{}",:\\\\ 1e-nulNaN\\ufeff', max_size=200).map(str.encode))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_refused_in_words(raw: bytes) -> None:
    """Whatever a file holds: InvalidInput that names the file, never anything else."""
    with pytest.raises(InvalidInput, match=r"^a\.json:"):
        import_(raw, file="a.json")
