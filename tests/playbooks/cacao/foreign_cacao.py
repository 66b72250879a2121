"""A CACAO 2.0 playbook of somebody else, written by hand, and ways to change it."""

from __future__ import annotations

import copy
import json
from typing import Any

from playbooks.cacao import Imported, import_


def uuid(number: int) -> str:
    """A UUID of version 4 that is easy to read."""
    return f"00000000-0000-4000-8000-{number:012d}"


START, END = f"start--{uuid(0)}", f"end--{uuid(99)}"
AGENT, PERSON = f"group--{uuid(50)}", f"individual--{uuid(51)}"
OTHER_EXTENSION = f"extension-definition--{uuid(60)}"


def action(number: int) -> str:
    """The identifier of an action."""
    return f"action--{uuid(number)}"


def manual(text: str, **more: Any) -> dict[str, Any]:
    """An action with one manual command."""
    return {"type": "action", "agent": AGENT, "commands": [{"type": "manual", "command": text}], **more}


def foreign(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A playbook in which the steps follow one another as ``action(1)``, ``action(2)`` …"""
    names = [action(number) for number in range(1, len(steps) + 1)]
    workflow: dict[str, Any] = {START: {"type": "start", "on_completion": names[0] if names else END}}
    for name, after, step in zip(names, [*names[1:], END], steps, strict=False):
        own = {} if "on_success" in step or "on_completion" in step else {"on_completion": after}
        workflow[name] = {**step, **own}
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": f"playbook--{uuid(1)}",
        "name": "Leaked token: 1st response",
        "created_by": f"identity--{uuid(2)}",
        "created": "2026-01-31T09:30:00.000Z",
        "modified": "2026-02-28T09:30:00.123Z",
        "labels": ["exposure:credential"],
        "workflow_start": START,
        "workflow": {**workflow, END: {"type": "end"}},
        "agent_definitions": {AGENT: {"type": "group", "name": "Security"}},
        **more,
    }


PLAIN = foreign(manual("cut-credential"), manual("quarantine"))


def changed(path: tuple[str | int, ...], value: Any, base: dict[str, Any] = PLAIN) -> dict[str, Any]:
    """A copy in which one place holds something else; None takes the key away."""
    document = copy.deepcopy(base)
    place: Any = document
    for part in path[:-1]:
        place = place[part]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


def read(document: dict[str, Any]) -> Imported:
    """Import a document as a file would be."""
    return import_(json.dumps(document).encode(), file="theirs.json")
