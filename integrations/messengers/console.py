"""Messages on the terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import IO, Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from integrations.options import read_options
from playbooks.ports import Clock, Message
from playbooks.timings import rfc3339


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: Literal["stdout", "stderr"] = "stderr"


class Console:
    """Prints each message once per process; drill messages are marked EXERCISE.

    Control characters are shown as ``?``: a message quotes what detectors found, and that is the attacker's to choose.
    """

    def __init__(self, stream: IO[str], *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._shown: set[str] = set()
        self._lock = threading.Lock()

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Options: ``stream`` (``stderr``, the default, or ``stdout``).  Raises InvalidInput naming the wrong field."""
        checked = read_options(_Options, f"messengers.{name}", options)
        return cls(sys.stdout if checked.stream == "stdout" else sys.stderr, clock=clock)

    def deliver(self, message: Message) -> None:
        """Print the message unless this process has already printed it."""
        with self._lock:
            if message.id in self._shown:
                return
            mark = "[EXERCISE] " if message.exercise else ""
            title = f"{rfc3339(self._clock())} to {message.audience}: {mark}{message.subject}"
            body = "".join(f"    {line}\n" for line in message.body.splitlines())
            self._stream.write(_harmless(f"{title}\n{body}"))
            self._stream.flush()
            self._shown.add(message.id)

    def close(self) -> None:
        """Nothing to give back: the stream belongs to the process."""


def _harmless(text: str) -> str:
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)
