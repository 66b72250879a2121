"""Secrets by reference: ``env:NAME``, ``file:/path`` and ``file:/path#field`` (a field of a JSON object).

A secret is read at the moment of use, handed to the vendor's SDK, and kept nowhere.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from playbooks.errors import InvalidInput


def read_secret(reference: str) -> str:
    """The secret a reference points at, without a trailing newline.

    Raises InvalidInput when the reference has another form or points at nothing; the message never holds the secret.
    """
    scheme, _, place = reference.partition(":")
    if scheme == "env" and place:
        if place not in os.environ:
            raise InvalidInput(f"the environment variable {place} is not set", hint="Set it, or use file:PATH.")
        return os.environ[place]
    if scheme == "file" and place:
        path, _, field = place.partition("#")
        try:
            text = Path(path).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise InvalidInput(f"the secret file {path} cannot be read ({error.strerror})") from error
        return _field(text, path, field) if field else text
    raise InvalidInput("a secret must be given as env:NAME or file:PATH, never in clear")


def write_secret(reference: str, value: str | Mapping[str, str]) -> None:
    """Replace a ``file:`` secret atomically, mode 0600, synced to disk before this returns.

    A mapping is stored as a JSON object.  Raises InvalidInput when the reference is not ``file:``.
    """
    scheme, _, place = reference.partition(":")
    if scheme != "file" or not place or "#" in place:
        raise InvalidInput("a secret can only be delivered to file:PATH")
    path = Path(place)
    text = value if isinstance(value, str) else json.dumps(dict(value))
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(beside).replace(path)
    except OSError:
        Path(beside).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _field(text: str, path: str, field: str) -> str:
    try:
        value = json.loads(text)[field]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"the secret file {path} has no field {field!r}") from error
    return str(value)
