"""What Slack refuses in blocks and views: Block Kit's limits, as a list of messages like Slack's own.

Each message ends with a JSON pointer to the element, as ``response_metadata.messages`` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

MESSAGE_BLOCKS, VIEW_BLOCKS, ALL_BLOCKS_CHARACTERS = 50, 100, 13_200
POST_TEXT, UPDATE_TEXT = 40_000, 4_000
_BLOCK_FIELDS = {
    "header": {"text"},
    "section": {"text", "fields", "accessory", "expand"},
    "divider": set(),
    "context": {"elements"},
    "actions": {"elements"},
    "input": {"label", "element", "hint", "optional", "dispatch_action"},
    "image": {"image_url", "slack_file", "alt_text", "title"},
    "rich_text": {"elements"},
}
_OPTIONS = {"options", "option_groups", "initial_option", "placeholder", "confirm", "focus_on_load"}
_MULTI = {
    "options",
    "option_groups",
    "initial_options",
    "placeholder",
    "confirm",
    "max_selected_items",
    "focus_on_load",
}
_TEXT_INPUT = {"initial_value", "placeholder", "dispatch_action_config", "focus_on_load", "min_length", "max_length"}
_ELEMENT_FIELDS = {
    "button": {"text", "value", "url", "style", "confirm", "accessibility_label"},
    "static_select": _OPTIONS,
    "external_select": {"placeholder", "initial_option", "min_query_length", "confirm", "focus_on_load"},
    "multi_static_select": _MULTI,
    "multi_external_select": _MULTI - {"options", "option_groups"} | {"min_query_length"},
    "users_select": {"placeholder", "initial_user", "confirm", "focus_on_load"},
    "multi_users_select": {"placeholder", "initial_users", "confirm", "max_selected_items", "focus_on_load"},
    "conversations_select": {"placeholder", "initial_conversation", "confirm", "filter", "response_url_enabled"},
    "channels_select": {"placeholder", "initial_channel", "confirm", "response_url_enabled"},
    "overflow": {"options", "confirm"},
    "datepicker": {"placeholder", "initial_date", "confirm", "focus_on_load"},
    "timepicker": {"placeholder", "initial_time", "confirm", "focus_on_load", "timezone"},
    "datetimepicker": {"initial_date_time", "confirm", "focus_on_load"},
    "plain_text_input": _TEXT_INPUT | {"multiline"},
    "email_text_input": _TEXT_INPUT,
    "url_text_input": _TEXT_INPUT,
    "number_input": _TEXT_INPUT | {"is_decimal_allowed", "min_value", "max_value"},
    "checkboxes": {"options", "initial_options", "confirm", "focus_on_load"},
    "radio_buttons": {"options", "initial_option", "confirm", "focus_on_load"},
}
_INPUTS = set(_ELEMENT_FIELDS) - {"button", "overflow"}
_ACTIONS = set(_ELEMENT_FIELDS) - {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
_OPTION_COUNT = {"overflow": 5, "checkboxes": 10, "radio_buttons": 10}


def size(blocks: Any) -> int:
    """Characters of all blocks together."""
    return len(json.dumps(blocks, ensure_ascii=False, separators=(",", ":")))


def block_problems(blocks: Any, *, view: bool = False, at: str = "/blocks") -> list[str]:
    """Everything Slack would say against these blocks; empty when it takes them."""
    if not isinstance(blocks, list):
        return [f"[ERROR] must be an array [json-pointer:{at}]"]
    found = list(_all_blocks(blocks, view, at))
    return [f"[ERROR] {message} [json-pointer:{pointer}]" for pointer, message in found]


def view_problems(view: Any) -> list[str]:
    """Everything Slack would say against this modal."""
    if not isinstance(view, dict):
        return ["[ERROR] must be an object [json-pointer:/view]"]
    found = list(_view(view))
    messages = [f"[ERROR] {message} [json-pointer:/view{pointer}]" for pointer, message in found]
    return messages + block_problems(view.get("blocks"), view=True, at="/view/blocks")


def option_problems(options: Any, at: str = "/options") -> list[str]:
    """Everything Slack would say against the answer to a search (external select)."""
    found = _options(options, at, 100, nothing_is_fine=True)
    return [f"[ERROR] {message} [json-pointer:{pointer}]" for pointer, message in found]


_Found = Iterator[tuple[str, str]]


def _view(view: Mapping[str, Any]) -> _Found:
    if view.get("type") != "modal":
        yield "/type", "must be one of: modal"
    known = {"type", "title", "blocks", "close", "submit", "private_metadata", "callback_id", "clear_on_close"}
    yield from _no_others(view, known | {"notify_on_close", "external_id", "submit_disabled"}, "")
    yield from _text(view.get("title"), "/title", 24, plain=True)
    for name in ("submit", "close"):
        if name in view:
            yield from _text(view[name], f"/{name}", 24, plain=True)
    for name, most in (("callback_id", 255), ("private_metadata", 3000), ("external_id", 255)):
        if len(str(view.get(name, ""))) > most:
            yield f"/{name}", f"must be less than {most + 1} characters"
    blocks = view.get("blocks")
    items = [each for each in blocks if isinstance(each, dict)] if isinstance(blocks, list) else []
    if "submit" not in view and any(each.get("type") == "input" for each in items):
        yield "", "missing required field: submit (there are input blocks)"


def _all_blocks(blocks: list[Any], view: bool, at: str) -> _Found:
    most = VIEW_BLOCKS if view else MESSAGE_BLOCKS
    if len(blocks) > most:
        yield at, f"no more than {most} items allowed"
    block_ids: set[str] = set()
    action_ids: set[str] = set()
    for number, block in enumerate(blocks):
        here = f"{at}/{number}"
        if not isinstance(block, dict) or block.get("type") not in _BLOCK_FIELDS:
            kind = block.get("type") if isinstance(block, dict) else type(block).__name__
            yield here, f"unsupported type: {kind}"
            continue
        yield from _block(block, here)
        yield from _unique(block.get("block_id"), block_ids, f"{here}/block_id", "block_id")
        for pointer, element in _elements(block, here):
            if isinstance(element, dict):
                yield from _unique(element.get("action_id"), action_ids, f"{pointer}/action_id", "action_id")


def _unique(value: Any, seen: set[str], at: str, name: str) -> _Found:
    if value is None:
        return
    if not isinstance(value, str) or not 0 < len(value) <= 255:
        yield at, "must be a string of 1 to 255 characters"
        return
    if value in seen:
        yield at, f'`{name}` "{value}" already exists'
    seen.add(value)


def _elements(block: Mapping[str, Any], at: str) -> Iterator[tuple[str, Any]]:
    if block["type"] == "actions" and isinstance(block.get("elements"), list):
        yield from ((f"{at}/elements/{number}", each) for number, each in enumerate(block["elements"]))
    for name in ("accessory", "element"):
        if name in block:
            yield f"{at}/{name}", block[name]


def _block(block: Mapping[str, Any], at: str) -> _Found:
    kind = block["type"]
    yield from _no_others(block, _BLOCK_FIELDS[kind] | {"type", "block_id"}, at)
    match kind:
        case "header":
            yield from _text(block.get("text"), f"{at}/text", 150, plain=True)
        case "section":
            yield from _section(block, at)
        case "context":
            yield from _context(block.get("elements"), f"{at}/elements")
        case "actions":
            yield from _actions(block.get("elements"), f"{at}/elements")
        case "input":
            yield from _text(block.get("label"), f"{at}/label", 2000, plain=True)
            if "hint" in block:
                yield from _text(block["hint"], f"{at}/hint", 2000, plain=True)
            yield from _element(block.get("element"), f"{at}/element", _INPUTS)
        case "image":
            if not block.get("alt_text") or not (block.get("image_url") or block.get("slack_file")):
                yield at, "missing required field: alt_text or image_url"


def _section(block: Mapping[str, Any], at: str) -> _Found:
    fields = block.get("fields")
    if "text" not in block and not fields:
        yield at, "missing required field: text or fields"
    if "text" in block:
        yield from _text(block["text"], f"{at}/text", 3000)
    if fields is not None:
        if not isinstance(fields, list) or not 1 <= len(fields) <= 10:
            yield f"{at}/fields", "must have 1 to 10 items"
        else:
            for number, each in enumerate(fields):
                yield from _text(each, f"{at}/fields/{number}", 2000)
    if "accessory" in block and block["accessory"].get("type") != "image":
        yield from _element(block["accessory"], f"{at}/accessory", _ACTIONS)


def _context(elements: Any, at: str) -> _Found:
    if not isinstance(elements, list) or not 1 <= len(elements) <= 10:
        yield at, "must have 1 to 10 items"
        return
    for number, each in enumerate(elements):
        if not isinstance(each, dict) or each.get("type") != "image":
            yield from _text(each, f"{at}/{number}", 3000)


def _actions(elements: Any, at: str) -> _Found:
    if not isinstance(elements, list) or not 1 <= len(elements) <= 25:
        yield at, "must have 1 to 25 items"
        return
    for number, each in enumerate(elements):
        yield from _element(each, f"{at}/{number}", _ACTIONS)


def _element(element: Any, at: str, allowed: set[str]) -> _Found:
    kind = element.get("type") if isinstance(element, dict) else None
    if kind not in allowed:
        yield at, f"unsupported type: {kind}"
        return
    yield from _no_others(element, _ELEMENT_FIELDS[kind] | {"type", "action_id"}, at)
    if kind == "button":
        yield from _button(element, at)
    if "confirm" in element:
        yield from _confirm(element["confirm"], f"{at}/confirm")
    if "placeholder" in element:
        yield from _text(element["placeholder"], f"{at}/placeholder", 150, plain=True)
    if "options" in _ELEMENT_FIELDS[kind] and "option_groups" not in element:
        yield from _options(element.get("options"), f"{at}/options", _OPTION_COUNT.get(kind, 100))
    yield from _initial(element, at)
    longest = element.get("max_length", 3000)
    if "max_length" in element and not (isinstance(longest, int) and 1 <= longest <= 3000):
        yield f"{at}/max_length", "must be between 1 and 3000"
    elif isinstance(element.get("initial_value"), str) and len(element["initial_value"]) > longest:
        yield f"{at}/initial_value", f"must be less than {longest + 1} characters"


def _initial(element: Mapping[str, Any], at: str) -> _Found:
    chosen = element.get("initial_options", [element["initial_option"]] if "initial_option" in element else [])
    options = element.get("options")
    if options is not None and any(each not in options for each in chosen):
        yield f"{at}/initial_option", "must be one of the provided options"


def _button(element: Mapping[str, Any], at: str) -> _Found:
    yield from _text(element.get("text"), f"{at}/text", 75, plain=True)
    for name, most in (("value", 2000), ("url", 3000)):
        if name in element and not (isinstance(element[name], str) and len(element[name]) <= most):
            yield f"{at}/{name}", f"must be less than {most + 1} characters"
    if element.get("style", "primary") not in ("primary", "danger"):
        yield f"{at}/style", "must be one of: primary, danger"


def _confirm(confirm: Any, at: str) -> _Found:
    if not isinstance(confirm, dict):
        yield at, "must be an object"
        return
    yield from _no_others(confirm, {"title", "text", "confirm", "deny", "style"}, at)
    for name, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
        yield from _text(confirm.get(name), f"{at}/{name}", most, plain=name != "text")


def _options(options: Any, at: str, most: int, *, nothing_is_fine: bool = False) -> _Found:
    if not isinstance(options, list) or not (0 if nothing_is_fine else 1) <= len(options) <= most:
        yield at, f"must have 1 to {most} items"
        return
    values: set[str] = set()
    for number, each in enumerate(options):
        if not isinstance(each, dict):
            yield f"{at}/{number}", "must be an object"
            continue
        yield from _no_others(each, {"text", "value", "description", "url"}, f"{at}/{number}")
        yield from _text(each.get("text"), f"{at}/{number}/text", 75)
        if "description" in each:
            yield from _text(each["description"], f"{at}/{number}/description", 75, plain=True)
        value = each.get("value")
        if not isinstance(value, str) or not 0 < len(value) <= 150:
            yield f"{at}/{number}/value", "must be less than 151 characters"
        elif value in values:
            yield f"{at}/{number}/value", "must be unique"
        else:
            values.add(value)


def _text(text: Any, at: str, most: int, *, plain: bool = False) -> _Found:
    if not isinstance(text, dict) or not isinstance(text.get("text"), str):
        yield at, "missing required field: text"
        return
    if text.get("type") not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
        yield f"{at}/type", "must be plain_text" if plain else "must be one of: plain_text, mrkdwn"
    own = {"emoji"} if text.get("type") == "plain_text" else {"verbatim"}
    yield from _no_others(text, {"type", "text"} | own, at)
    if not text["text"]:
        yield f"{at}/text", "must be more than 0 characters"
    if len(text["text"]) > most:
        yield f"{at}/text", f"must be less than {most + 1} characters"


def _no_others(value: Mapping[str, Any], known: set[str], at: str) -> _Found:
    for name in sorted(set(value) - known):
        yield at, f"invalid additional property: {name}"
