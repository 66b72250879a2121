"""From an estate to a CycloneDX document: deterministic, in linear time, without anything that nobody has read."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cyclonedx.model.component import ComponentType

from playbooks.cbom.components import Spec, algorithm_component, algorithm_ref, component
from playbooks.cbom.edges import Nodes, bom_ref, edges
from playbooks.cbom.properties import CONTACT, KINDS, identity, property_of
from playbooks.errors import InvalidInput
from playbooks.estate import Estate
from playbooks.keys import KeyFacts

_SPACE = uuid.UUID("5d0c3b0e-6f0a-5c2f-9a44-0d6a6b6f2a11")
"""Namespace of our serial numbers (RFC 9562 §5.5); chosen once."""


def write(
    estate: Estate, facts: Mapping[str, KeyFacts], *, at: datetime, version: str = "", spec: Spec = "1.6"
) -> dict[str, Any]:
    """The document as plain data.

    ``facts`` are what was read, by URI; ``at`` is the time with its zone; ``version`` is the program's.  The serial
    number follows from content and time.  Raises InvalidInput when two entries have one URI or name, or when a field
    for a reference to a secret holds something else.
    """
    moment = at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    nodes = _nodes(estate)
    known = {uri: fact for uri, fact in facts.items() if bom_ref("key", uri) in nodes}
    algorithms = {algorithm_ref(fact): fact for fact in known.values()}
    made = [component(name, kind, entry, known.get(identity(entry))) for name, (kind, entry) in nodes.items()]
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{spec}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": spec,
        "serialNumber": f"urn:uuid:{_serial(estate, known, moment, spec)}",
        "version": 1,
        "metadata": _metadata(estate, moment, version),
        "components": [each for each in made if "type" in each]
        + [algorithm_component(name, algorithms[name], spec) for name in sorted(algorithms)],
        "services": [each for each in made if "type" not in each],
        "dependencies": edges(nodes, known) + [{"ref": name} for name in sorted(algorithms)],
    }


def _nodes(estate: Estate) -> Nodes:
    found: Nodes = {}
    for kind in KINDS:
        for entry in getattr(estate, f"{kind}s"):
            name = bom_ref(kind, identity(entry))
            if name in found:
                raise InvalidInput(
                    f"{kind}s: {identity(entry)} is listed twice, and a bill of materials names everything once.",
                    hint="Make one entry of the two in the estate. Nothing was written.",
                )
            found[name] = (kind, entry)
    return found


def _metadata(estate: Estate, moment: str, version: str) -> dict[str, Any]:
    tool = {"type": ComponentType.APPLICATION.value, "name": "keyquell"} | ({"version": version} if version else {})
    found: dict[str, Any] = {"timestamp": moment, "tools": {"components": [tool]}}
    if estate.contacts:
        found["properties"] = [property_of(CONTACT + audience, who) for audience, who in estate.contacts.items()]
    return found


def _serial(estate: Estate, known: Mapping[str, KeyFacts], moment: str, spec: Spec) -> uuid.UUID:
    content = hashlib.sha256(f"{spec} {moment} {estate.model_dump_json()}".encode())
    for uri in sorted(known):
        fact = known[uri]
        content.update(f"\n{uri} {fact.algorithm} {fact.state} {fact.version} {fact.read_at.isoformat()}".encode())
    return uuid.uuid5(_SPACE, content.hexdigest())
