"""What no single field of a CACAO 2.0 document can tell: references, pointers, branches, times.

The published JSON schemas check none of this.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping

from playbooks.cacao.document import Document
from playbooks.cacao.graph import Pointer, cycle, pointers, reached, reaching_an_end
from playbooks.cacao.strict_json import JsonPath, short
from playbooks.cacao.workflow import ActionStep, AnyStep, End, Manual, Start

Mistake = tuple[JsonPath, str]


def mistakes_of(document: Document) -> list[Mistake]:
    """Everything that is wrong with a document whose fields are right, each with its JSON path; empty: sound."""
    found = [*_times(document), *_names(document), *_references(document)]
    for step_id, step in document.workflow.items():
        found += [(("workflow", step_id, *path), what) for path, what in _step(step)]
    return found or [*_starts(document), *_flow(document)]


def text_of(command: Manual) -> str:
    """What a manual command says.  Raises ValueError when ``command_b64`` is no base64 of UTF-8."""
    if command.command is not None:
        return command.command
    try:
        return base64.b64decode(command.command_b64 or "", validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("is not base64 of UTF-8 text") from error


def _times(document: Document) -> Iterator[Mistake]:
    if document.modified < document.created:
        yield ("modified",), "is earlier than created"
    if document.valid_from and document.valid_until and document.valid_until <= document.valid_from:
        yield ("valid_until",), "is not later than valid_from"
    if document.revoked:
        yield ("revoked",), "its maker has withdrawn this playbook"


def _names(document: Document) -> Iterator[Mistake]:
    """An identifier begins with the type of what it names (section 10.10)."""
    yield from _kind((), "id", document.id, "playbook")
    yield from _kind((), "created_by", document.created_by, "identity")
    for place in ("workflow", "agent_definitions", "target_definitions", "extension_definitions"):
        for name, each in (getattr(document, place) or {}).items():
            if name.partition("--")[0] != each.type:
                yield (place, name), f"holds something of type {short(each.type)}, which its identifier does not say"


def _kind(path: JsonPath, field: str, identifier: str, wanted: str) -> Iterator[Mistake]:
    if identifier.partition("--")[0] != wanted:
        yield (*path, field), f"expected an identifier {wanted}--…, got {short(identifier)}"


def _references(document: Document) -> Iterator[Mistake]:
    steps, extensions = document.workflow, document.extension_definitions or {}
    agents, targets = document.agent_definitions or {}, document.target_definitions or {}
    yield from _dangling([(("workflow_start",), document.workflow_start)], steps, "workflow")
    if document.workflow_exception:
        yield from _dangling([(("workflow_exception",), document.workflow_exception)], steps, "workflow")
    for name in document.playbook_extensions or {}:
        yield from _dangling([(("playbook_extensions", name), name)], extensions, "extension_definitions")
    for step_id, step in steps.items():
        here: JsonPath = ("workflow", step_id)
        yield from _dangling([((*here, *path), to) for path, to in pointers(step)], steps, "workflow")
        used = [((*here, "step_extensions", name), name) for name in step.step_extensions or {}]
        yield from _dangling(used, extensions, "extension_definitions")
        if isinstance(step, ActionStep):
            yield from _dangling([((*here, "agent"), step.agent)], agents, "agent_definitions")
            aimed = [((*here, "targets", number), name) for number, name in enumerate(step.targets or ())]
            yield from _dangling(aimed, targets, "target_definitions")
    for place, group in (("agent_definitions", agents), ("target_definitions", targets)):
        for agent_id, agent in group.items():
            within: JsonPath = (place, agent_id, "agent_target_extensions")
            worn = [((*within, name), name) for name in agent.agent_target_extensions or {}]
            yield from _dangling(worn, extensions, "extension_definitions")


def _dangling(used: Iterable[Pointer], known: Mapping[str, object], place: str) -> Iterator[Mistake]:
    for path, name in used:
        if name not in known:
            yield path, f"{short(name)} is not in {place}"


def _step(step: AnyStep) -> Iterator[Mistake]:
    """Next pointers exclude one another (section 4.1), and a manual command says one thing in one way."""
    after = step.on_completion is not None, step.on_success is not None, step.on_failure is not None
    if isinstance(step, End) and any(after):
        yield (), "an end step has no next step"
    elif isinstance(step, Start) and any(after[1:]):
        yield (), "a start step has on_completion alone"
    elif after[0] and any(after[1:]):
        yield (), "on_completion excludes on_success and on_failure"
    elif not isinstance(step, End) and not any(after[:2]):
        yield (), "has no next step: on_completion or on_success is missing, so this branch never reaches an end"
    for number, command in enumerate(step.commands if isinstance(step, ActionStep) else ()):
        if isinstance(command, Manual):
            yield from _manual(command, ("commands", number))


def _manual(command: Manual, path: JsonPath) -> Iterator[Mistake]:
    if (command.command is None) == (command.command_b64 is None):
        yield path, "expected either command or command_b64"
        return
    try:
        text_of(command)
    except ValueError as error:
        yield (*path, "command_b64"), str(error)


def _starts(document: Document) -> Iterator[Mistake]:
    starts = [name for name, step in document.workflow.items() if isinstance(step, Start)]
    if starts != [document.workflow_start]:
        yield ("workflow_start",), f"expected the one start step of the workflow, which has {len(starts)}"
    for step_id, step in document.workflow.items():
        for path, to in pointers(step):
            if to in starts:
                yield ("workflow", step_id, *path), "leads back to a start step"


def _flow(document: Document) -> Iterator[Mistake]:
    steps = document.workflow
    if not any(isinstance(step, ActionStep) or step.type == "playbook-action" for step in steps.values()):
        yield ("workflow",), "has no action: a playbook has a start, an action and an end at least"
    for step_id in cycle(steps):
        yield ("workflow", step_id), "is in a circle that no while-condition leads"
    ending = reaching_an_end(steps)
    roots = [document.workflow_start, *([document.workflow_exception] if document.workflow_exception else [])]
    known = reached(steps, roots)
    for step_id in steps:
        if step_id not in ending:
            yield ("workflow", step_id), "no end step can be reached from here"
        if step_id not in known:
            yield ("workflow", step_id), "no step leads here"
