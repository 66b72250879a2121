"""What the readers of findings share: their options, whole reports in files, and text that may be shown.

A report is read again, whole, whenever its file has changed; whoever takes the findings in recognises the known ones.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from integrations.fingerprints import installation_key
from integrations.options import first_mistake
from playbooks.errors import InvalidInput
from playbooks.exposures import Signal
from playbooks.ports import Clock

MAX_REPORT_BYTES = 64 * 1024 * 1024
"""The largest report that is read."""

_log = logging.getLogger(__name__)
_LATEST_UNIX_TIME = 253_402_300_799

Model = TypeVar("Model", bound=BaseModel)


class ReportOptions(BaseModel):
    """Options of a detector that reads reports: a ``file``, a ``folder``, or neither for ``keyquell ingest``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = ""
    name: str = ""
    file: Path | None = None
    folder: Path | None = Field(default=None, description="Files whose names begin with a dot are left out.")
    key_file: Path | None = Field(
        default=None,
        description="The installation's key; without it passwords and PINs are reported but not recognised.",
    )

    @property
    def has_place(self) -> bool:
        """Is there anything to poll?"""
        return self.file is not None or self.folder is not None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.file is not None and self.folder is not None:
            raise ValueError("give either file or folder")
        return self


def read_options(model: type[Model], name: str, options: Mapping[str, Any]) -> Model:
    """Validate a detector's options.  Raises InvalidInput naming the detector and the field, not the value."""
    try:
        return model.model_validate(dict(options))
    except ValidationError as error:
        field, message = first_mistake(error)
        raise InvalidInput(f"detector {name!r}, field {field or 'options'!r}: {message}") from None


class ReportReader:
    """Base of a detector that reads reports; nothing is held open between calls."""

    def __init__(self, name: str, options: ReportOptions, *, clock: Clock) -> None:
        self._name = name
        self._options = options
        self._clock = clock
        self._key = installation_key(options.key_file) if options.key_file else None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Validate ``ReportOptions``; reports may appear later.  Raises InvalidInput naming the field."""
        return cls(name, read_options(ReportOptions, name, options), clock=clock)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name!r})"

    def close(self) -> None:
        """Nothing is held open."""


def poll_reports(
    options: ReportOptions, read: Callable[[bytes], Sequence[Signal]], *, cursor: str, pattern: str = "*"
) -> tuple[Sequence[Signal], str]:
    """The findings of every report that changed since the cursor ("": of all), and the next cursor.

    One that cannot be read is logged and left until it changes: it may still be being written, and the others go on.
    Raises InvalidInput when the options name no place.
    """
    if not options.has_place:
        raise InvalidInput("there is nothing to poll: the detector has neither file nor folder")
    known: dict[str, list[int]] = json.loads(cursor) if cursor else {}
    seen: dict[str, list[int]] = {}
    signals: dict[str, Signal] = {}
    for path in _files(options, pattern):
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        mark = [status.st_ino, status.st_size, status.st_mtime_ns]
        seen[path.name] = mark
        if known.get(path.name) == mark:
            continue
        try:
            if status.st_size > MAX_REPORT_BYTES:
                raise InvalidInput(f"it has more than {MAX_REPORT_BYTES} bytes")
            found = read(path.read_bytes())
        except (InvalidInput, OSError) as error:
            reason = error.message if isinstance(error, InvalidInput) else type(error).__name__
            _log.warning("%s cannot be read: %s", path.name, reason)
            continue
        signals.update({signal.external_id: signal for signal in found})
    return list(signals.values()), json.dumps(seen)


def shown(value: Any, *, hide: Iterable[str] = (), limit: int = 200) -> str:
    """A value as one short line, without what is to be hidden, logins in addresses and control characters."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    for secret in sorted(filter(None, hide), key=len, reverse=True):
        text = text.replace(secret, "…")
    text = re.sub(r"//[^/@\s]*@", "//", text)
    return re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+", " ", text).strip()[:limit]


def moment(value: Any) -> datetime | None:
    """A time as findings write it: ISO 8601, RFC 5322, ``2026-01-05 09:12:44 +0000``, ``… (UTC)`` or Unix seconds.

    In UTC, which is also assumed when no zone is given; None when it is not a time.
    """
    try:
        found = _parsed(value)
        if found is None:
            return None
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _parsed(value: Any) -> datetime | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC) if 0 <= value <= _LATEST_UNIX_TIME else None
    if not isinstance(value, str) or not value or len(value) > 60:
        return None
    text = value.strip().removesuffix(" UTC").removesuffix(" (UTC)")
    if re.fullmatch(r"[0-9]{9,11}", text):
        return datetime.fromtimestamp(int(text), UTC)
    try:
        return datetime.fromisoformat(re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", text))
    except ValueError:
        return parsedate_to_datetime(text)


def _files(options: ReportOptions, pattern: str) -> list[Path]:
    if options.file is not None:
        return [options.file] if options.file.is_file() else []
    folder = options.folder
    found = folder.glob(pattern) if folder is not None and folder.is_dir() else ()
    return sorted(path for path in found if path.is_file() and not path.name.startswith("."))
