"""Changing a user PIN so that a crash at any point never loses it, and ending the sessions that outlive the change.

Beside the PIN's file lie, all of mode 0600:

``PIN.pending``   the next PIN, written and synced before the token is asked; gone once it is in place
``PIN.previous``  the PIN before the last change, kept so that any later process can show that it is refused
``PIN.cut``       empty; the present PIN has been given to nobody but this connection
``PIN.lock``      held while the PIN changes
"""

from __future__ import annotations

import fcntl
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from integrations.secrets import read_secret, write_secret
from integrations.vendors.pkcs11_client import Connection, Pkcs11Options, Worker, WorkerError
from playbooks.errors import BackendError, Unavailable, Unreachable

_EVICT_SECONDS = 10.0
_LOST_AT_MOST = 5


class UserPin:
    """The user PIN of one connection; ``log_in`` is the connection's way to log in."""

    def __init__(self, options: Pkcs11Options) -> None:
        self._options = options
        self._reference = options.pin
        self._held = False

    @property
    def changeable(self) -> bool:
        """Is there a file to keep a new PIN in?"""
        return self._reference.startswith("file:") and "#" not in self._reference

    @property
    def previous(self) -> str:
        """Reference to the PIN before the last change."""
        return f"{self._reference}.previous"

    @property
    def cut(self) -> bool:
        """Was the PIN changed and not yet given to anybody?"""
        return self.changeable and self._beside("cut").exists()

    def log_in(self, connection: Connection, worker: Worker) -> None:
        """Log in; after an interrupted change, with the pending PIN when the token refuses the present one.

        Each PIN is tried once, never again.
        """
        present = read_secret(self._reference)
        pending = self._read("pending")
        try:
            connection.log_in(worker, present)
        except WorkerError as error:
            if error.code != "CKR_PIN_INCORRECT" or not pending or pending == present:
                raise
            connection.log_in(worker, pending)
        else:
            if pending != present:
                return
        with self._lock():
            self._put_in_place(pending)

    def change(self, connection: Connection, *, subject: str) -> bool:
        """Give the token a fresh random PIN; says False when the present one is still this connection's alone.

        Raises Unavailable without a file to keep it in, Refused when the present PIN is wrong.
        """
        self._require_file(subject)
        connection.call("labels", subject=subject)
        with self._lock():
            before = self.cut
            if not before:
                self._set(connection, self._read("pending") or self._fresh(), subject)
            self._change_again_if_lost(connection)
        return not before

    def bring_back(self, connection: Connection, *, subject: str) -> bool:
        """Make the previous PIN valid again: the exact reverse of ``change``, for a false alarm.

        Raises Unavailable when the new PIN was given to a consumer in the meantime.
        """
        self._require_file(subject)
        connection.call("labels", subject=subject)
        with self._lock():
            previous = self._read("previous")
            if not self.cut:
                if previous:
                    raise Unavailable("the new PIN is in use already.", subject=subject, hint="Keep the new PIN.")
                return False
            self._set(connection, previous, subject)
        return True

    def deliver(self, deliver_to: str) -> None:
        """Write the present PIN to a consumer's file; from then on it counts as given out."""
        write_secret(deliver_to, read_secret(self._reference))
        if self.changeable:
            self._beside("cut").unlink(missing_ok=True)

    def prove_previous_refused(self, connection: Connection, *, subject: str) -> None:
        """Raise Unavailable unless the token refuses the previous PIN to a new process."""
        try:
            connection.fresh(read_secret(self.previous))
        except WorkerError as error:
            if error.code in ("CKR_PIN_INCORRECT", "CKR_PIN_LOCKED"):
                return
            raise Unreachable("the old PIN could not be tried.", subject=subject, code=error.code) from error
        raise Unavailable("the token still takes the old PIN.", subject=subject, hint="Destroy its keys instead.")

    def _set(self, connection: Connection, new: str, subject: str) -> None:
        write_secret(f"{self._reference}.pending", new)
        try:
            connection.call("change_pin", subject=subject, old=read_secret(self._reference), new=new)
        except BackendError:
            # The answer may have been lost after the token took the new PIN: ask it.
            try:
                connection.fresh(new)
            except (WorkerError, BackendError):
                connection.drop()
            else:
                self._put_in_place(new)
                return
            raise
        self._put_in_place(new)

    def _change_again_if_lost(self, connection: Connection) -> None:
        """Change it again when the token has gone back to the previous PIN.

        A software token is a file that every process writes whole: a login somewhere else, at the same moment, can
        write the old PIN over the new one (seen with SoftHSM 2.6).
        """
        present, previous = read_secret(self._reference), self._read("previous")
        for _ in range(_LOST_AT_MOST):
            if not previous or _takes(connection, present) or not _takes(connection, previous):
                return
            connection.drop()
            with suppress(WorkerError):  # lost once more, or changed meanwhile: looked at again
                connection.fresh(previous, "change_pin", old=previous, new=present)

    def _put_in_place(self, new: str) -> None:
        present = read_secret(self._reference)
        bringing_back = new == self._read("previous")
        if present != new and not bringing_back:
            write_secret(self.previous, present)
        write_secret(self._reference, new)
        if bringing_back:
            self._beside("cut").unlink(missing_ok=True)
            self._beside("previous").unlink(missing_ok=True)
        else:
            self._beside("cut").touch(mode=0o600)
        self._beside("pending").unlink(missing_ok=True)

    def _fresh(self) -> str:
        alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
        return "".join(secrets.choice(alphabet) for _ in range(self._options.pin_length))

    def _require_file(self, subject: str) -> None:
        if not self.changeable:
            raise Unavailable(
                "a new PIN could not be kept.", subject=subject, hint="Give the connection's pin as file:PATH."
            )

    def _beside(self, suffix: str) -> Path:
        return Path(f"{self._reference.partition(':')[2]}.{suffix}")

    def _read(self, suffix: str) -> str:
        if not self.changeable or not self._beside(suffix).exists():
            return ""
        return read_secret(f"{self._reference}.{suffix}")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        if self._held or not self.changeable:
            yield
            return
        descriptor = os.open(self._beside("lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            self._held = True
            yield
        finally:
            self._held = False
            os.close(descriptor)


def evict(connection: Connection, *, subject: str) -> str:
    """End every client session, our own included, by the connection's ``evict_command``; returns its exit code.

    Raises Unavailable when there is no such command or it fails, Unreachable when it does not end.
    """
    command = connection.options.evict_command
    if not command:
        raise Unavailable("logged-in clients stay", subject=subject, hint="Restart the clients, or set evict_command.")
    connection.drop()
    try:
        done = subprocess.run(list(command), capture_output=True, timeout=_EVICT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unreachable("the evict command did not end.", subject=subject, code="TIMEOUT") from error
    except OSError as error:
        raise Unavailable("the evict command cannot be run.", subject=subject, code=str(error.errno)) from error
    if done.returncode:
        raise Unavailable(
            "the evict command failed.",
            subject=subject,
            code=f"exit {done.returncode}",
            hint="Restart the HSM's clients by hand.",
        )
    return f"exit {done.returncode}"


def _takes(connection: Connection, pin: str) -> bool:
    """Does the token let a new process in with this PIN?"""
    try:
        connection.fresh(pin)
    except WorkerError:
        return False
    return True
