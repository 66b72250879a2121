"""Everything that can go wrong, grouped by what a responder does next.

Adapters translate vendor errors into these with ``raise … from``.  The classes say *what is true*
(the backend refused, the backend was not reached), never whose SDK raised what.
"""

from __future__ import annotations


class KeyquellError(Exception):
    """Base of every error that keyquell raises on purpose.

    ``hint`` is one sentence that tells a person what to do next; it never holds a secret.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


# --- what the person gave us ---------------------------------------------------------------


class InvalidInput(KeyquellError):
    """A file, argument or setting is not what was expected; the message names the field."""


# --- what a backend answered ---------------------------------------------------------------


class BackendError(KeyquellError):
    """A backend did not do what was asked.

    ``subject`` is the URI of what the call was about, ``code`` the backend's own specific code
    (``DisabledException``, ``CKR_PIN_INCORRECT`` …), verbatim, or "" when it gave none.
    """

    #: May the same call succeed when it is simply made again later?
    retryable = False

    def __init__(self, message: str, *, subject: str = "", code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.subject = subject
        self.code = code


class Refused(BackendError):
    """The backend understood and said no: disabled, denied, revoked, wrong PIN.

    The only error that counts as proof in a probe.
    """


class NotFound(BackendError):
    """The key, credential or object does not exist (any more)."""


class Unreachable(BackendError):
    """No answer: connection refused, reset or timed out.  Says nothing about the key."""

    retryable = True


class Throttled(BackendError):
    """The backend asked to come back later.  Says nothing about the key."""

    retryable = True


class Unavailable(BackendError):
    """The backend cannot make this move at all (by kind, by configuration or by permission)."""


class IntegrityFailure(BackendError):
    """A tag, checksum or comparison failed: the data is not what it should be."""


# --- what our own rules forbid --------------------------------------------------------------


class NotApproved(KeyquellError):
    """A gate is not satisfied for the plan digest at hand."""


class RetirementBlocked(KeyquellError):
    """The census does not allow the old key to be retired yet."""


class RecordError(KeyquellError):
    """The record is broken, contradicts itself or cannot be extended."""


class RecordDamaged(RecordError):
    """A row of the record's database is no event any more: somebody altered it, or a disk did."""


class Conflict(RecordError):
    """Another writer extended the record first: read it again and decide again."""
