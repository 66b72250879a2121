"""The manifest: every file of a pack with its size and SHA-256, and who signs for them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from playbooks.errors import RecordError

FORMAT = "keyquell-evidence/1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listed(_Part):
    """One file; ``bytes`` is its size."""

    path: str
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Signer(_Part):
    """The key that signs the manifest; ``public_key`` is SubjectPublicKeyInfo in PEM."""

    key: str
    algorithm: str
    public_key: str


class Manifest(_Part):
    """What the pack holds, of which record, made when and for whom: all of it as the signer says."""

    format: str
    incident: str
    codename: str
    exercise: bool
    head: str = Field(pattern="^[0-9a-f]{64}$")
    events: int = Field(ge=1)
    made_at: AwareDatetime
    made_by: str
    signer: Signer
    files: tuple[Listed, ...]


def listed(files: Mapping[str, bytes]) -> tuple[Listed, ...]:
    """The entries of these files, in order of their paths."""
    return tuple(
        Listed(path=path, bytes=len(files[path]), sha256=hashlib.sha256(files[path]).hexdigest())
        for path in sorted(files)
    )


def manifest_bytes(manifest: Manifest) -> bytes:
    """The one form of a manifest that is signed."""
    made: datetime = manifest.made_at
    values = manifest.model_dump(mode="json") | {"made_at": made.isoformat(timespec="microseconds")}
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"


def read_manifest(content: bytes) -> Manifest:
    """The manifest of these bytes.  Raises RecordError when they are not exactly how one is written."""
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        raise RecordError(f"{MANIFEST} is no manifest of an evidence pack.") from error
    if manifest.format != FORMAT:
        raise RecordError(f"the pack is of the format {manifest.format[:40]}, and this reads {FORMAT}.")
    if manifest_bytes(manifest) != content:
        raise RecordError(f"{MANIFEST} is not in its one form.")
    return manifest
