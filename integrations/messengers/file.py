"""Messages as files: one JSON object a message, for mail gateways, tests and places without a network."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import BaseModel, ConfigDict

from integrations.options import read_options
from playbooks.errors import InvalidInput, Unreachable
from playbooks.ports import Clock, Message
from playbooks.timings import rfc3339

_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    root: Path


class Folder:
    """Writes ``ROOT/ID.json`` once per message id: complete or not at all, synced before ``deliver`` returns.

    Drill messages have ``"exercise": true`` and EXERCISE in the subject.
    """

    def __init__(self, root: Path, *, clock: Clock) -> None:
        self._root = root
        self._clock = clock

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``root``, made when it is missing.  Raises InvalidInput naming the wrong field."""
        root = read_options(_Options, f"messengers.{name}", options).root
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"messengers.{name}: root: {root} cannot be made ({error.strerror})") from error
        return cls(root, clock=clock)

    def deliver(self, message: Message) -> None:
        """Write the message unless its file is there; Unreachable when the folder does not take it."""
        target = self._root / f"{_file_name(message.id)}.json"
        if target.exists():
            return
        content = {
            "id": message.id,
            "audience": message.audience,
            "subject": f"[EXERCISE] {message.subject}" if message.exercise else message.subject,
            "body": message.body,
            "exercise": message.exercise,
            "delivered_at": rfc3339(self._clock()),
        }
        try:
            _write_once(target, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            raise Unreachable(
                f"the message cannot be written to {self._root} ({error.strerror}).",
                subject=str(self._root),
                code=errno.errorcode.get(error.errno or 0, ""),
                hint="Check that the folder is there, writable and not full.",
            ) from error

    def close(self) -> None:
        """Nothing to give back."""


def _file_name(message_id: str) -> str:
    """The id itself where it is a plain name, else its digest: an id never chooses another folder."""
    return message_id if _PLAIN_ID.fullmatch(message_id) else hashlib.sha256(message_id.encode()).hexdigest()


def _write_once(target: Path, content: bytes) -> None:
    descriptor, beside = tempfile.mkstemp(dir=target.parent, prefix=".message-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, target)
    finally:
        Path(beside).unlink()
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
