"""Findings to a file that a collector follows: one line of JSON each, synced before it counts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import orjson
from pydantic import JsonValue

from integrations.options import read_options
from integrations.receiver_options import ReceiverOptions
from playbooks.errors import Unreachable
from playbooks.ports import Clock


class FileOptions(ReceiverOptions):
    """``path`` is appended to; a collector may rotate it by renaming."""

    path: Path


class LinesFile:
    """Appends to the file of the name, opened anew each time, so that a renamed one is let go."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``path``.  Raises InvalidInput naming the wrong field."""
        return cls(read_options(FileOptions, f"siem.{name}", options).path)

    def send(self, finding: Mapping[str, JsonValue]) -> None:
        """Arrived when it is on disk; a line that broke off earlier is ended first.  Raises Unreachable."""
        line = orjson.dumps(dict(finding), option=orjson.OPT_APPEND_NEWLINE)
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Unreachable(
                f"findings cannot be appended to {self._path} ({error.strerror}).",
                subject=str(self._path),
                hint="Check that the folder is there, writable and not full.",
            ) from error

    def close(self) -> None:
        """Nothing to give back."""


def _write(descriptor: int, line: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        line = b"\n" + line
    while line:
        line = line[os.write(descriptor, line) :]
