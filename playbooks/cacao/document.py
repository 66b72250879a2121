"""A CACAO 2.0 playbook (section 3) in the parts that keyquell reads.

Data markings, signatures and authentication information are refused and not passed over: a marking that limits who
may read, or a signature that nobody checks, would be lost without a word.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from playbooks.cacao.identifiers import Identifier, Timestamp
from playbooks.cacao.workflow import Extensions, Names, Part, References, Step, Variables

Percent = Annotated[int, Field(ge=0, le=100)]
AddressKind = Literal["url", "l2mac", "ipv4", "ipv6", "vlan", "dname"]
Identifiers = Annotated[tuple[Identifier, ...], Field(min_length=1)]


class Contact(Part):
    """How to reach somebody."""

    email: dict[str, str] | None = None
    phone: dict[str, str] | None = None
    contact_details: str | None = None


class _Agent(Part):  # section 7
    name: str
    description: str | None = None
    agent_target_extensions: Extensions | None = None


class People(_Agent):
    """A person, a group or an organisation."""

    type: Literal["group", "individual", "organization"]
    contact: Contact | None = None


class SecurityCategory(_Agent):
    """A kind of security infrastructure."""

    type: Literal["security-category"] = "security-category"
    category: Names


class Sector(_Agent):
    """A sector of industry."""

    type: Literal["sector"]
    sector: str


class Place(_Agent):
    """A place."""

    type: Literal["location"]
    logical: Names | None = None


class Host(_Agent):
    """A machine or a service; it is never called."""

    type: Literal["http-api", "linux", "net-address", "ssh"]
    address: dict[AddressKind, tuple[str | int, ...]]
    port: str | None = None
    category: Names | None = None


Agent = Annotated[People | SecurityCategory | Sector | Place | Host, Field(discriminator="type")]


class ProcessingSummary(Part):
    """Which features the workflow uses (section 10.14)."""

    manual_playbook: bool | None = None
    external_playbooks: bool | None = None
    parallel_processing: bool | None = None
    if_logic: bool | None = None
    while_logic: bool | None = None
    switch_logic: bool | None = None
    temporal_logic: bool | None = None
    data_markings: bool | None = None
    digital_signatures: bool | None = None
    countersigned_signatures: bool | None = None
    extensions: bool | None = None


class ExtensionDefinition(Part):
    """What an extension means (section 8)."""

    type: Literal["extension-definition"]
    name: str
    description: str | None = None
    created_by: Identifier
    schema_: str = Field(alias="schema")
    version: str
    external_references: References | None = None


class Document(Part):
    """A playbook of CACAO 2.0.  ``playbooks.cacao.lint`` checks what no single field can tell."""

    type: Literal["playbook"]
    spec_version: Literal["cacao-2.0"]
    id: Identifier
    name: str
    description: str | None = None
    playbook_types: tuple[str, ...] | None = None
    playbook_activities: Names | None = None
    playbook_processing_summary: ProcessingSummary | None = None
    created_by: Identifier
    created: Timestamp
    modified: Timestamp
    revoked: bool | None = None
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    derived_from: Identifiers | None = None
    related_to: Identifiers | None = None
    priority: Percent | None = None
    severity: Percent | None = None
    impact: Percent | None = None
    industry_sectors: Names | None = None
    labels: Names | None = None
    external_references: References | None = None
    playbook_variables: Variables | None = None
    workflow_start: Identifier
    workflow_exception: Identifier | None = None
    workflow: dict[Identifier, Step]
    playbook_extensions: Extensions | None = None
    agent_definitions: dict[Identifier, Agent] | None = Field(default=None, min_length=1)
    target_definitions: dict[Identifier, Agent] | None = Field(default=None, min_length=1)
    extension_definitions: dict[Identifier, ExtensionDefinition] | None = None
