"""views.* of the fake Slack, and what it does with the answer to a submission."""

from __future__ import annotations

import secrets
from typing import Any

from fakes.slack_limits import view_problems
from fakes.slack_workspace import Args, SlackError, Workspace, decoded, method, with_block_ids


def _checked(view: Any) -> dict[str, Any]:
    found: dict[str, Any] = decoded(view, dict)
    if problems := view_problems(found):
        raise SlackError("invalid_arguments", response_metadata={"messages": problems})
    return found


def _store(space: Workspace, view: dict[str, Any], user: str, *, under: str = "") -> dict[str, Any]:
    name = "V" + secrets.token_hex(5).upper()
    root = space.views[under]["root_view_id"] if under else name
    stored = view | {
        "id": name,
        "team_id": space.team,
        "app_id": space.app,
        "bot_id": space.bot,
        "blocks": with_block_ids(view["blocks"]),
        "private_metadata": view.get("private_metadata", ""),
        "callback_id": view.get("callback_id", ""),
        "external_id": view.get("external_id", ""),
        "state": {"values": {}},
        "hash": secrets.token_hex(8),
        "root_view_id": root,
        "previous_view_id": under or None,
    }
    external = stored["external_id"]
    if external and any(each["external_id"] == external for each in space.views.values()):
        raise SlackError("duplicate_external_id")
    space.views[name] = stored
    space.stacks.setdefault(user, []).append(name)
    return stored


def replace(space: Workspace, old: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
    """Put new content into an open view; its id stays, answers in blocks of the same id stay."""
    stored = old | view | {"blocks": with_block_ids(view["blocks"]), "hash": secrets.token_hex(8)}
    for name in ("private_metadata", "callback_id"):
        stored[name] = view.get(name, "")
    space.views[old["id"]] = stored
    return stored


@method("views.open", needs=("trigger_id", "view"), per_minute=100)
def open_view(space: Workspace, args: Args) -> dict[str, Any]:
    view = _checked(args["view"])
    trigger = space.use_trigger(args["trigger_id"])
    for name in space.stacks.pop(trigger.user, []):
        space.views.pop(name, None)
    return {"view": _store(space, view, trigger.user)}


@method("views.push", needs=("trigger_id", "view"), per_minute=100)
def push_view(space: Workspace, args: Args) -> dict[str, Any]:
    view = _checked(args["view"])
    trigger = space.use_trigger(args["trigger_id"])
    stack = space.stacks.get(trigger.user, [])
    if not stack:
        raise SlackError("not_found")
    if len(stack) >= 3:
        raise SlackError("push_limit_reached")
    return {"view": _store(space, view, trigger.user, under=stack[-1])}


@method("views.update", needs=("view",), per_minute=100)
def update_view(space: Workspace, args: Args) -> dict[str, Any]:
    if bool(args.get("view_id")) == bool(args.get("external_id")):
        raise SlackError("invalid_arguments")
    view = _checked(args["view"])
    wanted = args.get("view_id") or args.get("external_id")
    found = [each for each in space.views.values() if wanted in (each["id"], each["external_id"] or None)]
    if not found:
        raise SlackError("not_found")
    if args.get("hash") and args["hash"] != found[0]["hash"]:
        raise SlackError("hash_conflict")
    return {"view": replace(space, found[0], view)}


def answer_submission(space: Workspace, view: dict[str, Any], user: str, body: dict[str, Any]) -> None:
    """Do what the answer to a submission says; SlackError when Slack would show the user that something went wrong."""
    stack = space.stacks.get(user, [])
    match body.get("response_action"):
        case None:
            _close(space, stack, [view["id"]])
        case "clear":
            _close(space, stack, list(stack))
        case "errors":
            known = {each["block_id"] for each in view["blocks"] if each["type"] == "input"}
            errors = body.get("errors")
            if not isinstance(errors, dict) or not errors or not set(errors) <= known:
                raise SlackError("invalid_response_action_errors")
        case "update":
            replace(space, view, _checked(body.get("view")))
        case "push":
            if len(stack) >= 3:
                raise SlackError("push_limit_reached")
            _store(space, _checked(body.get("view")), user, under=view["id"])
        case other:
            raise SlackError(f"unknown_response_action_{other}")


def _close(space: Workspace, stack: list[str], names: list[str]) -> None:
    for name in names:
        space.views.pop(name, None)
        if name in stack:
            stack.remove(name)
