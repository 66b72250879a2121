"""One-time codes of an authenticator app (TOTP, RFC 6238: SHA-1, six digits, 30 seconds), each accepted once.

A code is good for its own step and the one before and after.  The last step that was accepted is remembered on disk,
synced, before the code counts: the library itself takes a code as often as it is given.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import fasteners
import pyotp
from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError
from pyotp.exceptions import OTPVerificationError

from integrations.secrets import read_secret, write_secret
from playbooks.errors import InvalidInput, NotApproved
from playbooks.ports import Clock

WRONG_IN_A_ROW = 5
"""After so many wrong codes one more is tried only every ``PAUSE``, so that a million codes cannot be."""
PAUSE = timedelta(minutes=5)

_IN_TURN = threading.Lock()


class _Memory(BaseModel):
    """What is remembered of one person."""

    model_config = ConfigDict(extra="forbid")

    step: int = -1
    wrong: int = 0
    wrong_at: AwareDatetime | None = None


_MEMORIES = TypeAdapter(dict[str, _Memory])


class OneTimeCodes:
    """The codes of everybody; ``place`` is the file that remembers which were used."""

    def __init__(self, place: Path, *, clock: Clock) -> None:
        self._place = place
        self._clock = clock

    def accept(self, person: str, code: str, *, secret: str) -> None:
        """Return when the code is this person's, of this moment, and new; ``secret`` is a reference to their secret.

        Raises NotApproved saying why it is not, InvalidInput when the secret is no base-32 text.
        """
        now = self._clock()
        generator = _generator(person, secret)
        with self._alone():
            memories = self._read()
            memory = memories.setdefault(person, _Memory())
            _not_too_often(memory, now)
            try:
                step = generator.verify_and_get_timecode(code.strip().replace(" ", ""), for_time=now, valid_window=1)
            except (OTPVerificationError, ValueError) as error:
                memory.wrong, memory.wrong_at = memory.wrong + 1, now
                self._write(memories)
                raise NotApproved("the one-time code is not right.", hint="Wait for the next one.") from error
            if step <= memory.step:
                raise NotApproved("the one-time code was used already.", hint="Wait for the next one.")
            memories[person] = _Memory(step=step)
            self._write(memories)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """A file lock tells processes apart, not threads of one process."""
        with _IN_TURN, fasteners.InterProcessLock(self._place.with_suffix(".lock")):
            yield

    def _read(self) -> dict[str, _Memory]:
        try:
            return _MEMORIES.validate_json(self._place.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValidationError) as error:
            raise NotApproved(
                f"which one-time codes were used cannot be read from {self._place}, so none counts.",
                hint="Use a passkey; delete the file when nobody has used a code for two minutes.",
            ) from error

    def _write(self, memories: dict[str, _Memory]) -> None:
        content: dict[str, Any] = _MEMORIES.dump_python(memories, mode="json")
        write_secret(f"file:{self._place}", json.dumps(content))


def _generator(person: str, secret: str) -> pyotp.TOTP:
    try:
        generator = pyotp.TOTP(read_secret(secret).replace(" ", ""))
        generator.at(0)
    except ValueError as error:
        raise InvalidInput(f"the one-time secret of {person} is no base-32 text.", hint="Write it anew.") from error
    return generator


def _not_too_often(memory: _Memory, now: datetime) -> None:
    if memory.wrong >= WRONG_IN_A_ROW and memory.wrong_at is not None and now < memory.wrong_at + PAUSE:
        minutes = PAUSE.total_seconds() / 60
        raise NotApproved(
            f"there were {memory.wrong} wrong one-time codes in a row.",
            hint=f"Wait {minutes:g} minutes, or use a passkey.",
        )
