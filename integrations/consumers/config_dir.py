"""Consumers that are told by a file: one folder each, holding ``settings.json``, replaced atomically and synced."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from integrations.options import read_options
from integrations.vendors import folders
from playbooks.errors import InvalidInput, NotFound, Unreachable
from playbooks.ports import Clock, Health
from playbooks.receipts import Receipt

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_FILE = "settings.json"


class ConfigDirOptions(BaseModel):
    """Settings of a ``config-dir`` connection."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: Path


class ConfigDir:
    """Publishes names of keys and credentials, never secrets, to services that watch their folder."""

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open with ``root`` alone.  Raises InvalidInput naming connection and field."""
        root = read_options(ConfigDirOptions, f"connection {name}", options).root
        if not root.is_dir():
            raise InvalidInput(f"connection {name}: root: {root} is not a folder")
        return cls(root, clock=clock)

    def close(self) -> None:
        """Nothing is kept open between calls."""

    def publish(self, consumer: str, *, values: Mapping[str, str]) -> Receipt:
        """Merge ``values`` into the consumer's settings; a reader sees the old or the new file, never half of one.

        Raises InvalidInput for a name that is not a folder's, Unreachable when the file cannot be written.
        """
        requested = self._clock()
        place = self._place(consumer)
        try:
            place.parent.mkdir(exist_ok=True)
            folders.clean(place.parent)
            with folders.locked(place.parent):
                before = self._read(place)
                after = {**before, **values}
                if after != before:
                    _replace(place, after)
        except OSError as error:
            raise Unreachable(
                f"{consumer} could not be told ({error.strerror}).", subject=consumer, hint="Check the folder's rights."
            ) from error
        return Receipt(
            subject=consumer,
            move="publish",
            requested_at=requested,
            accepted_at=self._clock(),
            changed=after != before,
            undo={"values": {name: before[name] for name in values if name in before}},
        )

    def published(self, consumer: str) -> Mapping[str, str]:
        """What the consumer's file says now.  Raises NotFound when it was never told anything."""
        place = self._place(consumer)
        if not place.exists():
            raise NotFound(f"{consumer} has no {_FILE}.", subject=consumer, hint="Publish its settings first.")
        return self._read(place)

    def health(self, consumer: str) -> Health | None:
        """What the consumer last wrote to its ``health.json``; None when it is absent or not readable as such."""
        place = self._place(consumer).with_name("health.json")
        try:
            said = json.loads(place.read_text(encoding="utf-8"))
            return Health(datetime.fromisoformat(said["at"]), said["ok"] is True, str(said.get("detail", "")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _place(self, consumer: str) -> Path:
        if not _NAME.fullmatch(consumer):
            raise InvalidInput(f"{consumer!r} is not a consumer's name (letters, digits, '.', '_', '-')")
        return self._root / consumer / _FILE

    @staticmethod
    def _read(place: Path) -> dict[str, str]:
        try:
            values = json.loads(place.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise InvalidInput(f"{place} is not JSON", hint="Repair or remove it; it was left alone.") from error
        if not isinstance(values, dict):
            raise InvalidInput(f"{place} does not hold a JSON object", hint="Repair or remove it; it was left alone.")
        return {str(name): str(value) for name, value in values.items()}


def _replace(place: Path, values: Mapping[str, str]) -> None:
    with folders.beside(place.parent) as (stream, path):
        if place.exists():
            with place.open("rb") as original:
                folders.like(stream, original)
        else:
            os.fchmod(stream.fileno(), 0o644)
        stream.write(json.dumps(dict(values), indent=2, sort_keys=True).encode() + b"\n")
        folders.sync(stream)
        path.replace(place)
    folders.sync_folder(place.parent)
