"""Our extension of CACAO 2.0 (section 8): the playbook itself beside the workflow that was made of it.

The workflow says in words for others what the playbook says in fields.  A digest over the whole document binds the
two: when somebody changed the workflow since, the playbook in the extension is no longer what the document says, and
is refused.  The digest detects change, it proves no origin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from playbooks.cacao.document import ExtensionDefinition
from playbooks.cacao.identifiers import canonical, derive
from playbooks.cacao.workflow import Part
from playbooks.playbook import Playbook

IDENTITY = derive("identity", "keyquell")
EXTENSION = derive("extension-definition", "keyquell playbook")
VERSION = "1.0.0"
DIGEST = "digest"

DEFINITION = ExtensionDefinition(
    type="extension-definition",
    name="keyquell playbook",
    description="The playbook of keyquell that the workflow was made of, so that nothing is lost on the way back.",
    created_by=IDENTITY,
    schema='An object with "playbook", as docs/playbook.schema.json of keyquell says, and "digest": SHA-256 in '
    "lower-case hexadecimal over this document without that digest, as JSON with sorted keys, no spaces, non-ASCII "
    "characters escaped, and whole numbers without a fraction.",
    version=VERSION,
)


class Extension(Part):
    """What stands in ``playbook_extensions`` under our identifier."""

    playbook: Playbook
    digest: str = Field(pattern="^[0-9a-f]{64}$")


def seal(document: Mapping[str, Any], playbook: Playbook) -> dict[str, Any]:
    """The document with the playbook and the digest in it."""
    body = {**document, "playbook_extensions": {EXTENSION: {"playbook": playbook.model_dump(mode="json")}}}
    body["playbook_extensions"][EXTENSION][DIGEST] = digest_of(body)
    return body


def digest_of(document: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of a document, our digest left out."""
    extensions = document["playbook_extensions"]
    own = {name: value for name, value in extensions[EXTENSION].items() if name != DIGEST}
    plain = {**document, "playbook_extensions": {**extensions, EXTENSION: own}}
    return hashlib.sha256(canonical(plain)).hexdigest()
