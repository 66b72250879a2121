"""What every user of a PKCS#11 token shares: options, the worker process and its watchdog, log-in, error translation.

``Connection.call`` runs one call in the token's own worker process; ``Connection.fresh`` runs one in a new process that
has never been logged in, which is what a probe needs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from integrations.options import read_options
from integrations.secrets import read_secret
from integrations.vendors.pkcs11_processes import Worker, WorkerError, start_template
from playbooks.errors import (
    BackendError,
    IntegrityFailure,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)

CALL_SECONDS = 5.0
GENERATE_SECONDS = 30.0
_START_SECONDS = 10.0

#: The session or the device is gone, nothing was executed: open a new worker and make the call again, once.
LOST_SESSION = {
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_SESSION_CLOSED",
    "CKR_USER_NOT_LOGGED_IN",
    "CKR_DEVICE_ERROR",
    "CKR_DEVICE_REMOVED",
    "CKR_CRYPTOKI_NOT_INITIALIZED",
    "CKR_0x190",
}
_PIN = {
    "CKR_PIN_INCORRECT": "Check the connection's pin reference; it is not tried again.",
    "CKR_PIN_LOCKED": "The user PIN is locked: the security officer must set a new one.",
    "CKR_PIN_EXPIRED": "The user PIN has expired: set a new one.",
    "CKR_PIN_LEN_RANGE": "The token wants another length: set pin_length.",
    "CKR_PIN_INVALID": "The token does not take these characters in a PIN.",
    "CKR_USER_PIN_NOT_INITIALIZED": "The security officer must set a user PIN first.",
}
#: A specific no to this key, this user or this use.
REFUSALS = {
    *_PIN,
    "CKR_KEY_FUNCTION_NOT_PERMITTED",
    "CKR_ACTION_PROHIBITED",
    "CKR_ATTRIBUTE_READ_ONLY",
    "CKR_SESSION_READ_ONLY",
    "CKR_KEY_UNEXTRACTABLE",
    "CKR_TOKEN_WRITE_PROTECTED",
}
_CANNOT = {
    "CKR_MECHANISM_INVALID",
    "CKR_MECHANISM_PARAM_INVALID",
    "CKR_ARGUMENTS_BAD",
    "CKR_FUNCTION_NOT_SUPPORTED",
    "CKR_KEY_TYPE_INCONSISTENT",
    "CKR_KEY_SIZE_RANGE",
    "CKR_CURVE_NOT_SUPPORTED",
    "CKR_TEMPLATE_INCONSISTENT",
    "CKR_ATTRIBUTE_TYPE_INVALID",
    "NO_PUBLIC_KEY",
    "CKF_USER_PIN_FINAL_TRY",
}
_GONE = {"NO_SUCH_OBJECT", "CKR_NO_SUCH_KEY", "CKR_OBJECT_HANDLE_INVALID", "CKR_KEY_HANDLE_INVALID"}


class Pkcs11Options(BaseModel):
    """Options of a connection of type ``pkcs11``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    type: str = "pkcs11"
    module: Path = Field(description="The module's shared object.")
    token: str = Field(default="", description="Token label; the connection's name when empty.")
    pin: str = Field(description="Reference to the user PIN; file: when the PIN is to be changed.")
    so_pin: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    evict_command: tuple[str, ...] = Field(default=(), description="Ends other clients' sessions of a network HSM.")
    pin_length: int = Field(default=24, ge=4, le=64, description="Characters of a new PIN.")

    @classmethod
    def read(cls, name: str, options: Mapping[str, Any]) -> Self:
        """Validate; raises InvalidInput naming the connection and the field."""
        found = read_options(cls, f"connection {name}", options)
        return found.model_copy(update={"token": found.token or name})


class Connection:
    """One token: its own logged-in worker, made when first needed and replaced when it crashed, hung or was cut off.

    ``login`` opens a session with whatever PIN is right at the moment (see ``pkcs11_pins``).
    """

    def __init__(self, name: str, options: Pkcs11Options, *, login: Callable[[Connection, Worker], None]) -> None:
        self.name = name
        self.options = options
        self._login = login
        self._worker: Worker | None = None
        self._lock = threading.RLock()
        start_template()

    def call(self, call: str, *, subject: str = "", seconds: float = CALL_SECONDS, **arguments: Any) -> Any:
        """One call in the token's worker; raises the errors of ``playbooks.errors``."""
        with self._lock:
            try:
                return self._once(call, arguments, seconds)
            except WorkerError as error:
                if error.code not in LOST_SESSION:
                    raise translated(error, subject, call) from error
            self.drop()
            try:
                return self._once(call, arguments, seconds)
            except WorkerError as error:
                raise translated(error, subject, call) from error

    def fresh(self, pin: str, call: str = "", **arguments: Any) -> Any:
        """Log in from a new process and make one call there; raises WorkerError with the token's own code.

        Gives up before a try that could lock the PIN.
        """
        worker = Worker(self.options.environment)
        try:
            self.log_in(worker, pin, cautious=True)
            return worker.call(call, arguments, seconds=CALL_SECONDS) if call else None
        finally:
            worker.end()

    def log_in(self, worker: Worker, pin: str, *, cautious: bool = False, seconds: float = _START_SECONDS) -> None:
        """Log a worker in with this PIN."""
        arguments = {"module": str(self.options.module), "token": self.options.token, "pin": pin, "cautious": cautious}
        worker.call("login", arguments, seconds=seconds)

    def drop(self) -> None:
        """End the worker; the next call makes a new one."""
        with self._lock:
            if self._worker is not None:
                self._worker.end()
                self._worker = None

    def _once(self, call: str, arguments: Mapping[str, Any], seconds: float) -> Any:
        if self._worker is None:
            worker = Worker(self.options.environment)
            try:
                self._login(self, worker)
            except BaseException:
                worker.end()
                raise
            self._worker = worker
        try:
            return self._worker.call(call, arguments, seconds=seconds)
        except Unreachable:
            self._worker = None
            raise


def log_in_with_pin(connection: Connection, worker: Worker) -> None:
    """The plain log-in: the PIN that the connection's reference holds, once."""
    connection.log_in(worker, read_secret(connection.options.pin))


def translated(error: WorkerError, subject: str, call: str) -> BackendError:
    """A worker's error as one of ours.

    GeneralError is SoftHSM 2.6's answer to anything unexpected, so it says nothing about the key.
    """
    code = error.code
    if code in _PIN:
        return Refused("the token refused the PIN.", subject=subject, code=code, hint=_PIN[code])
    if code in REFUSALS:
        return Refused(f"the token does not permit {call}.", subject=subject, code=code)
    if code in _GONE:
        return NotFound("there is no such key on the token.", subject=subject, code=code)
    if code == "AMBIGUOUS_LABEL":
        return Unavailable(
            "several keys carry this label.", subject=subject, code=code, hint="Give each key a label of its own."
        )
    if code == "WRAPPED_KEY_BROKEN":
        return IntegrityFailure("the wrapped key, its context and the key do not match.", subject=subject, code=code)
    if code in _CANNOT:
        return Unavailable(f"the token cannot {call} with this key.", subject=subject, code=code)
    if code:
        return Unreachable(f"the token failed in {call}.", subject=subject, code=code)
    return Unavailable(f"the PKCS#11 module cannot {call} ({error.detail}).", subject=subject, code=error.detail)


__all__ = [
    "CALL_SECONDS",
    "GENERATE_SECONDS",
    "LOST_SESSION",
    "REFUSALS",
    "Connection",
    "Pkcs11Options",
    "Worker",
    "WorkerError",
    "log_in_with_pin",
    "translated",
]
