"""A playbook of ours as a CACAO 2.0 document: one straight workflow, which every executor can follow.

Everything is a ``manual`` command: what people decide, they decide; what keyquell does, a system does on their behalf
(section 5).  No command of a foreign program is written, and no key is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from playbooks.cacao.document import Agent, Document, People, ProcessingSummary, SecurityCategory
from playbooks.cacao.extension import DEFINITION, EXTENSION, IDENTITY, seal
from playbooks.cacao.identifiers import derive, require_identity, timestamp
from playbooks.cacao.steps import Written, steps_of
from playbooks.cacao.words import KIND_LABEL, SCHEME_LABEL
from playbooks.cacao.workflow import ActionStep, AnyStep, End, Manual, Start
from playbooks.errors import InvalidInput
from playbooks.playbook import Playbook

KEYQUELL = SecurityCategory(
    name="keyquell", description="Runs the step once its gate is satisfied.", category=("orchestrator",)
)
APPROVERS = People(type="group", name="Approvers", description="People of the roster who did not ask for it.")
EXPOSED = SecurityCategory(
    name="What is exposed",
    description="The key, credential, certificate or data of the case, found in keyquell's estate when the case is.",
    category=("aaa",),
)


@dataclass(frozen=True, slots=True)
class _Workflow:
    steps: dict[str, AnyStep]
    agents: dict[str, Agent]
    targets: dict[str, Agent]
    activities: tuple[str, ...]


def export(playbook: Playbook, *, created: datetime, modified: datetime, created_by: str = IDENTITY) -> dict[str, Any]:
    """The playbook as a CACAO 2.0 document, as JSON data.

    Equal arguments give equal documents: identifiers are derived from the content (``identifiers.derive``), the
    playbook's own from its name and ``created_by``, an identifier ``identity--UUID``, so that all its versions share
    it.  Times are cut to milliseconds.  Raises InvalidInput for a time without a zone, for ``modified`` before
    ``created``, and for a ``created_by`` that is none.
    """
    require_identity(created_by)
    if timestamp(modified) < timestamp(created):
        raise InvalidInput("modified is earlier than created.", hint="Give the time of this version as modified.")
    name = derive("playbook", created_by, playbook.name)
    made = _workflow(name, playbook)
    start = next(iter(made.steps))
    document = Document(
        type="playbook",
        spec_version="cacao-2.0",
        id=name,
        name=playbook.title,
        description=f"Playbook {playbook.name}, version {playbook.version}, of keyquell: what a team decided "
        "beforehand about a key compromise. Which steps a case needs, and on what, keyquell plans from its estate.",
        playbook_types=("mitigation", "remediation", *(("notification",) if playbook.notify else ())),
        playbook_activities=made.activities,
        playbook_processing_summary=ProcessingSummary(manual_playbook=True, extensions=True),
        created_by=created_by,
        created=timestamp(created),
        modified=timestamp(modified),
        labels=("keyquell", *_labels(playbook)),
        workflow_start=start,
        workflow=made.steps,
        agent_definitions=made.agents,
        target_definitions=made.targets,
        extension_definitions={EXTENSION: DEFINITION},
    )
    return seal(document.model_dump(mode="json", by_alias=True, exclude_none=True), playbook)


def _labels(playbook: Playbook) -> Iterator[str]:
    yield from (f"{KIND_LABEL}{kind.value}" for kind in playbook.applies_to.kinds)
    yield from (f"{SCHEME_LABEL}{scheme}" for scheme in playbook.applies_to.schemes)


def _workflow(playbook_id: str, playbook: Playbook) -> _Workflow:
    written = list(steps_of(playbook))
    names = list(_identifiers(playbook_id, written))
    end = derive("end", playbook_id)
    start = derive("start", playbook_id)
    after = dict(zip(names, [*names[1:], end], strict=True))
    targets: dict[str, Agent] = {}
    agents: dict[str, Agent] = {}
    steps: dict[str, AnyStep] = {start: Start(name="Start", on_completion=names[0])}
    for name, each in zip(names, written, strict=True):
        agent = APPROVERS if each.decides else KEYQUELL
        target = People(type="group", name=each.audience) if each.audience else EXPOSED
        agent_id, target_id = (_agent(playbook_id, who) for who in (agent, target))
        agents[agent_id], targets[target_id] = agent, target
        steps[name] = _action(each, agent_id, target_id, after[name])
    activities = tuple(dict.fromkeys(each.activity for each in written if each.activity))
    return _Workflow({**steps, end: End(name="End")}, agents, targets, activities)


def _identifiers(playbook_id: str, written: list[Written]) -> Iterator[str]:
    seen: dict[Written, int] = {}
    for each in written:
        seen[each] = seen.get(each, 0) + 1
        yield derive("action", playbook_id, each.command, each.name, each.description, seen[each])


def _agent(playbook_id: str, agent: People | SecurityCategory) -> str:
    return derive(agent.type, playbook_id, agent.model_dump(mode="json"))


def _action(each: Written, agent: str, target: str, after: str) -> ActionStep:
    return ActionStep(
        name=each.name,
        description=each.description or None,
        commands=(
            Manual(command=each.command, description=each.does or None, playbook_activity=each.activity or None),
        ),
        agent=agent,
        targets=(target,),
        on_completion=after,
    )
