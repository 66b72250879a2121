"""One request of a service: what it is about, and how to make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from playbooks.errors import BackendError

Operation = Literal["read", "write", "sign", "verify"]


class Corrupt(Exception):
    """The plaintext that came back is not what was written."""


class Rejected(Exception):
    """A relying party refused what is rightful; the text is its code."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request not made yet; ``run`` raises when it fails, and may return the version that it found."""

    operation: Operation
    dataset: str
    object: str
    version: int
    run: Callable[[], int | None]

    @property
    def kind(self) -> tuple[str, str]:
        """What counts as the same kind of request."""
        return (self.dataset, self.operation)


def code_of(error: Exception) -> str:
    """The code under which a failure is counted: the backend's own, ``corrupt``, or the error's name."""
    if isinstance(error, Corrupt):
        return "corrupt"
    if isinstance(error, Rejected):
        return str(error)
    if isinstance(error, BackendError) and error.code:
        return error.code
    return type(error).__name__
