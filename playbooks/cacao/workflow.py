"""Steps and commands of CACAO 2.0 (sections 4 and 5): the whole vocabulary is read, so that a refusal can say why.

An unknown key and an unknown type are refused.  The published JSON schemas cannot refuse them: they declare draft-07
and lean on ``unevaluatedProperties``, which that draft does not know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from playbooks.cacao.identifiers import Identifier, Timestamp

Extensions = Annotated[dict[Identifier, dict[str, JsonValue]], Field(min_length=1)]
VariableName = Annotated[str, Field(pattern="^__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__$")]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Part(BaseModel):
    """A piece of a document; a key that is not declared is refused, and a number is no text."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ExternalReference(Part):
    """Where to read more."""

    name: str
    description: str | None = None
    source: str | None = None
    url: str | None = None
    external_id: str | None = None
    reference_id: str | None = None


class Variable(Part):
    """A variable (section 10.18); keyquell reads it and maps none."""

    type: str
    description: str | None = None
    value: str | None = None
    constant: bool | None = None
    external: bool | None = None


References = Annotated[tuple[ExternalReference, ...], Field(min_length=1)]
Variables = dict[VariableName, Variable]


class _Command(Part):
    description: str | None = None
    version: str | None = None
    playbook_activity: str | None = None
    external_references: References | None = None


class Manual(_Command):
    """What a person, or a system on behalf of one, is to do."""

    type: Literal["manual"] = "manual"
    command: str | None = None
    command_b64: str | None = None


class Script(_Command):
    """Text for a shell or an agent.  It is read so that it can be refused by name; keyquell runs none."""

    type: Literal["bash", "caldera-cmd", "powershell", "ssh"]
    command: str | None = None
    command_b64: str | None = None


class Encoded(_Command):
    """A query, notebook or rule in base64.  Read so that it can be refused by name."""

    type: Literal["elastic", "jupyter", "kestrel", "sigma", "yara"]
    command_b64: str


class Request(_Command):
    """A call over HTTP.  Read so that it can be refused by name; keyquell sends none."""

    type: Literal["http-api", "openc2-http"]
    command: str
    headers: dict[str, tuple[str, ...]] | None = None
    content: str | None = None
    content_b64: str | None = None


Command = Annotated[Manual | Script | Encoded | Request, Field(discriminator="type")]


class _Step(Part):
    name: str | None = None
    description: str | None = None
    external_references: References | None = None
    delay: int | None = Field(default=None, ge=1)
    timeout: int | None = Field(default=None, ge=0)
    step_variables: Variables | None = None
    owner: Identifier | None = None
    on_completion: Identifier | None = None
    on_success: Identifier | None = None
    on_failure: Identifier | None = None
    step_extensions: Extensions | None = None


class Start(_Step):
    """Where the workflow begins."""

    type: Literal["start"] = "start"


class End(_Step):
    """Where a workflow or a branch of it ends."""

    type: Literal["end"] = "end"


class ActionStep(_Step):
    """Commands that one agent carries out."""

    type: Literal["action"] = "action"
    commands: tuple[Command, ...] = Field(min_length=1)
    agent: Identifier
    targets: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    in_args: Names | None = None
    out_args: Names | None = None


class PlaybookAction(_Step):
    """Another playbook, called (section 4.6)."""

    type: Literal["playbook-action"]
    playbook_id: Identifier
    playbook_version: Timestamp | None = None
    in_args: Names | None = None
    out_args: Names | None = None


class Parallel(_Step):
    """Branches side by side (section 4.7)."""

    type: Literal["parallel"]
    next_steps: tuple[Identifier, ...] = Field(min_length=1)


class IfCondition(_Step):
    """One branch or the other (section 4.8)."""

    type: Literal["if-condition"]
    condition: str
    on_true: Identifier
    on_false: Identifier | None = None


class WhileCondition(_Step):
    """A branch again and again (section 4.9)."""

    type: Literal["while-condition"]
    condition: str
    on_true: Identifier


class SwitchCondition(_Step):
    """One branch of many (section 4.10)."""

    type: Literal["switch-condition"]
    switch: str
    cases: dict[str, Identifier] = Field(min_length=1)


AnyStep = Start | End | ActionStep | PlaybookAction | Parallel | IfCondition | WhileCondition | SwitchCondition
Step = Annotated[AnyStep, Field(discriminator="type")]
