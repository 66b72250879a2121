"""Slack's limits on messages and modals: cut what people wrote to fit, and check everything before it is sent.

Sources: https://docs.slack.dev/reference/block-kit/ and the API methods' pages.  Slack's own answer to a duplicate
``action_id`` or to all blocks together being too long comes late and names nothing, so both are looked for here.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from playbooks.errors import InvalidInput

Json = dict[str, Any]

MESSAGE_BLOCKS, VIEW_BLOCKS = 50, 100
MESSAGE_TEXT = 4_000
"""chat.update takes no more, and one message is posted and updated alike."""
ALL_BLOCKS = 13_200
"""Characters of all blocks of a message as JSON; Slack states no figure."""
SECTION_TEXT = 3_000
CHANNEL_NAME = 80
TOPIC = 250

_TEXTS = {
    ("header", "text"): 150, ("section", "text"): SECTION_TEXT, ("section", "fields"): 2000,
    ("context", "elements"): 2000, ("button", "text"): 75, ("input", "label"): 2000, ("input", "hint"): 2000,
    ("option", "text"): 75, ("option", "description"): 75, ("group", "label"): 75,
    ("confirm", "title"): 100, ("confirm", "text"): 300, ("confirm", "confirm"): 30, ("confirm", "deny"): 30,
    ("modal", "title"): 24, ("modal", "submit"): 24, ("modal", "close"): 24,
}  # fmt: skip
_PLACEHOLDER = 150
_LISTS = {
    ("section", "fields"): 10, ("actions", "elements"): 25, ("context", "elements"): 10, ("overflow", "options"): 5,
    ("checkboxes", "options"): 10, ("radio_buttons", "options"): 10,
}  # fmt: skip
_OPTIONS = 100
_STRINGS = {
    ("button", "value"): 2000, ("button", "url"): 3000, ("option", "value"): 150,
    ("modal", "private_metadata"): 3000, ("modal", "callback_id"): 255, ("modal", "external_id"): 255,
}  # fmt: skip
_ID = 255
_BLOCKS = frozenset({"header", "section", "divider", "context", "actions", "input", "image", "rich_text"})
_KEPT = frozenset({"header", "actions", "input"})
_REST = "… The rest does not fit here: see the record."
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)


def escaped(text: str) -> str:
    """Text as Slack shows it word for word: no mention, link or hidden character of the writer's choosing."""
    plain = _UNSEEN.sub("", text)
    return plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def sentence(text: str) -> str:
    """The same on one line: what a person wrote in between cannot look like a line of ours."""
    return " ".join(escaped(text).split())


def cut(text: str, most: int) -> str:
    """The text in at most so many characters, ending in … when it was cut; no entity is cut in two."""
    if len(text) <= most:
        return text
    kept = re.sub(r"&[a-z]{0,3}$|<[^>]*$", "", text[: most - 1]).rstrip()
    return f"{kept}…"


def split(text: str, most: int) -> list[str]:
    """The text in parts of at most so many characters, cut between lines where that is possible."""
    parts: list[str] = []
    for line in text.split("\n"):
        pieces = [line[start : start + most] for start in range(0, len(line), most)] or [""]
        for piece in pieces:
            if parts and piece is pieces[0] and len(parts[-1]) + 1 + len(piece) <= most:
                parts[-1] = f"{parts[-1]}\n{piece}"
            else:
                parts.append(piece)
    return parts


def code_blocks(text: str, *, most: int = ALL_BLOCKS - 3_000) -> list[Json]:
    """Sections that show the text word for word in a fixed-width font; what exceeds ``most`` characters is left out."""
    shown = cut(escaped(text).replace("```", "'''"), most)
    return [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"```{part or ' '}```"}}
        for part in split(shown, SECTION_TEXT - 10)
    ]


def fit(payload: Mapping[str, Any]) -> Json:
    """A message or modal with every text and list cut to Slack's limits, checked.

    Blocks that do not fit are dropped from the end, headings, inputs and buttons last, and a line says so.  Ids and
    values are never cut: they would mean something else.  Raises InvalidInput for what cannot be cut.
    """
    fitted: Json = copy.deepcopy(dict(payload))
    if isinstance(fitted.get("text"), str):
        fitted["text"] = cut(fitted["text"], MESSAGE_TEXT)
    for kind, node in _nodes(fitted):
        _shorten(kind, node)
    if "blocks" in fitted:
        is_view = fitted.get("type") == "modal"
        fitted["blocks"] = _fewer([each for each in fitted["blocks"] if not _is_empty(each)], is_view=is_view)
    check(fitted)
    return fitted


def check(payload: Mapping[str, Any]) -> None:
    """Raise InvalidInput that names the first element of a message or modal which Slack would refuse."""
    for problem in problems(payload):
        raise InvalidInput(f"Slack would not take this: {problem}.")


def problems(payload: Mapping[str, Any]) -> Iterator[str]:
    """Everything that Slack would refuse, in words that name the element."""
    is_view = payload.get("type") == "modal"
    if not is_view and len(str(payload.get("text") or "")) > MESSAGE_TEXT:
        yield f"text has more than {MESSAGE_TEXT} characters"
    blocks = payload.get("blocks") or []
    if len(blocks) > (VIEW_BLOCKS if is_view else MESSAGE_BLOCKS):
        yield f"there are {len(blocks)} blocks"
    if not is_view and _size(blocks) > ALL_BLOCKS:
        yield f"all blocks together have {_size(blocks)} characters"
    if is_view and "submit" not in payload and any(each.get("type") == "input" for each in blocks):
        yield "a modal with inputs has no submit"
    for number, block in enumerate(blocks):
        if block.get("type") not in _BLOCKS:
            yield f"blocks/{number} has the type {block.get('type')!r}"
        elif _is_empty(block):
            yield f"blocks/{number} ({block['type']}) is empty"
    for kind, node in _nodes(payload):
        yield from _too_long(kind, node)
    for name in ("block_id", "action_id"):
        yield from _repeated(name, _nodes({"blocks": blocks}))


def _repeated(name: str, nodes: Iterator[tuple[str, Json]]) -> Iterator[str]:
    seen: set[str] = set()
    for kind, node in nodes:
        if name not in node:
            continue
        if not 0 < len(str(node[name])) <= _ID:
            yield f"the {name} of a {kind} has {len(str(node[name]))} characters"
        if node[name] in seen:
            yield f"the {name} {node[name]!r} stands there twice"
        seen.add(node[name])


def _nodes(value: Any, kind: str = "message") -> Iterator[tuple[str, Json]]:
    """Every object with its kind: its type, or what it is to the object around it."""
    if isinstance(value, Mapping):
        own = str(value.get("type", kind))
        if own not in ("plain_text", "mrkdwn"):
            yield own, value  # type: ignore[misc]
        for name, each in value.items():
            if name in ("state", "metadata", "event_payload"):
                continue
            yield from _nodes(each, _MEMBERS.get(str(name), str(name)))
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for each in value:
            yield from _nodes(each, kind)


_MEMBERS = {
    "options": "option", "initial_option": "option", "initial_options": "option", "option_groups": "group",
}  # fmt: skip


def _texts(kind: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Json, int]]:
    for name, value in node.items():
        most = _PLACEHOLDER if name == "placeholder" else _TEXTS.get((kind, name), 0)
        for each in value if isinstance(value, list) else [value]:
            if most and isinstance(each, dict) and isinstance(each.get("text"), str):
                yield name, each, most


def _most_items(kind: str, name: str) -> int:
    return _LISTS.get((kind, name), _OPTIONS if name in ("options", "option_groups") else 0)


def _shorten(kind: str, node: Json) -> None:
    for _, text, most in _texts(kind, node):
        text["text"] = cut(text["text"], most)
    for name, value in node.items():
        if isinstance(value, list) and (most := _most_items(kind, name)):
            del value[most:]


def _too_long(kind: str, node: Mapping[str, Any]) -> Iterator[str]:
    for name, text, most in _texts(kind, node):
        if not 0 < len(text["text"]) <= most:
            yield f"{name} of a {kind} has {len(text['text'])} characters, not 1 to {most}"
    for name, value in node.items():
        allowed = _STRINGS.get((kind, name), 0)
        if allowed and len(str(value)) > allowed:
            yield f"{name} of a {kind} has more than {allowed} characters"
        if isinstance(value, list) and (most := _most_items(kind, name)) and not 0 < len(value) <= most:
            yield f"{name} of a {kind} has {len(value)} items, not 1 to {most}"


def _is_empty(block: Mapping[str, Any]) -> bool:
    match block.get("type"):
        case "actions" | "context":
            return not block.get("elements")
        case "section":
            return not (block.get("text") or {}).get("text") and not block.get("fields")
        case "header":
            return not (block.get("text") or {}).get("text")
    return False


def _fewer(blocks: list[Json], *, is_view: bool) -> list[Json]:
    most = VIEW_BLOCKS if is_view else MESSAGE_BLOCKS
    note: Json = {"type": "context", "elements": [{"type": "mrkdwn", "text": _REST}]}
    left, dropped = list(blocks), False
    while len(left) + dropped > most or (not is_view and _size([*left, note] if dropped else left) > ALL_BLOCKS):
        loose = [number for number, each in enumerate(left) if each.get("type") not in _KEPT]
        if not loose:
            break
        del left[loose[-1]]
        dropped = True
    return [*left, note] if dropped else left


def _size(blocks: Sequence[Any]) -> int:
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))
