"""Identifiers and timestamps of CACAO 2.0 (section 10), as strictly as the standard writes them."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, JsonValue

from playbooks.errors import InvalidInput

_IDENTIFIER = re.compile("[a-z][a-z0-9-]+[a-z0-9]--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


def _is_identifier(text: str) -> str:
    if not _IDENTIFIER.fullmatch(text):
        raise ValueError("expected TYPE--UUID with a UUID of version 4 in lower case")
    return text


def _is_timestamp(text: str) -> str:
    if not _TIMESTAMP.fullmatch(text):
        raise ValueError("expected a time in UTC with exactly three digits after the second: 2026-01-31T09:30:00.000Z")
    try:
        datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"there is no such time ({error})") from error
    return text


Identifier = Annotated[str, AfterValidator(_is_identifier)]
"""``TYPE--UUID``, the UUID of version 4 and in lower case, so that one thing has one spelling."""

Timestamp = Annotated[str, AfterValidator(_is_timestamp)]
"""A time in UTC with exactly three digits after the second."""


def canonical(value: JsonValue) -> bytes:
    """JSON with sorted keys and no spaces in UTF-8; a number has one spelling, whether it was written 1 or 1.0."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def derive(kind: str, *content: JsonValue) -> str:
    """An identifier that is the same whenever the content is.

    CACAO asks for UUIDs of version 4.  These have its form, with version and variant bits set as RFC 9562 section 5.4
    says, but the other 122 bits are the first of SHA-256 over the content instead of random ones: an export can be
    made again and compared.  They are names, not secrets.
    """
    digest = hashlib.sha256(canonical(["keyquell cacao", kind, *content])).digest()
    return f"{kind}--{UUID(bytes=digest[:16], version=4)}"


def timestamp(moment: datetime) -> str:
    """A moment as CACAO writes it, cut to milliseconds.  Raises InvalidInput when it has no time zone."""
    if moment.tzinfo is None:
        raise InvalidInput(f"{moment.isoformat()} has no time zone.", hint="Write it with Z or an offset.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def require_identity(text: str) -> None:
    """Raises InvalidInput when a text is no identifier ``identity--UUID``."""
    try:
        known = _is_identifier(text).startswith("identity--")
    except ValueError as error:
        raise InvalidInput(f"{text!r} names no creator: {error}.", hint="Write identity--UUID.") from error
    if not known:
        raise InvalidInput(f"{text!r} names no creator.", hint="Write identity--UUID.")
