"""What a person can enter into an element of a modal or message, and how Slack tells the app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_FIELD = {
    "users_select": "selected_user",
    "multi_users_select": "selected_users",
    "conversations_select": "selected_conversation",
    "channels_select": "selected_channel",
    "datepicker": "selected_date",
    "timepicker": "selected_time",
    "datetimepicker": "selected_date_time",
}
_INITIAL = {
    "users_select": "initial_user",
    "multi_users_select": "initial_users",
    "conversations_select": "initial_conversation",
    "channels_select": "initial_channel",
    "datepicker": "initial_date",
    "timepicker": "initial_time",
    "datetimepicker": "initial_date_time",
}
_MANY = {"multi_static_select", "multi_external_select", "checkboxes"}
_TEXT = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}


class UnableError(AssertionError):
    """Slack's own window would not let a person do this."""


def answered(element: Mapping[str, Any], value: Any, offered: list[dict[str, Any]]) -> dict[str, Any]:
    """What the app is told of one element; ``value`` None stands for its initial value, or nothing."""
    kind = element["type"]
    if kind == "button":
        return {name: element[name] for name in ("text", "value", "url", "style") if name in element}
    if kind in _TEXT:
        return {"value": _typed(element, element.get("initial_value") if value is None else value)}
    if kind in _FIELD:
        return {_FIELD[kind]: element.get(_INITIAL[kind]) if value is None else value}
    options = offered if kind.endswith("external_select") else _options(element)
    if kind in _MANY:
        chosen = element.get("initial_options", []) if value is None else [_option(options, each) for each in value]
        return {"selected_options": chosen}
    return {"selected_option": element.get("initial_option") if value is None else _option(options, value)}


def state_of(
    blocks: list[dict[str, Any]], values: Mapping[str, Any], offered: Mapping[str, list[dict[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """The state of a filled-in modal; UnableError when a required answer is missing or an answer fits no input."""
    left = dict(values)
    state: dict[str, dict[str, Any]] = {}
    for block in blocks:
        element = block.get("element") if block["type"] == "input" else block.get("accessory")
        if element is None or element["type"] in ("button", "image", "overflow"):
            continue
        name = element["action_id"]
        given = left.pop(name) if name in left else left.pop(block["block_id"], None)
        answer = answered(element, given, list(offered.get(name, [])))
        if block["type"] == "input" and not block.get("optional") and not any(answer.values()):
            raise UnableError(f"{name} must be filled in")
        state[block["block_id"]] = {name: {"type": element["type"]} | answer}
    if left:
        raise UnableError(f"the modal asks for no {sorted(left)[0]}")
    return state


def _typed(element: Mapping[str, Any], value: Any) -> str | None:
    if value is None or value == "":
        return None
    if not element.get("min_length", 0) <= len(value) <= element.get("max_length", 3000):
        raise UnableError(f"{element['action_id']} does not take {len(value)} characters")
    return str(value)


def _options(element: Mapping[str, Any]) -> list[dict[str, Any]]:
    groups = element.get("option_groups")
    return [one for each in groups for one in each["options"]] if groups else list(element.get("options", []))


def _option(options: list[dict[str, Any]], value: str) -> dict[str, Any]:
    for each in options:
        if each["value"] == value:
            return each
    raise UnableError(f"{value} is not among the options")
