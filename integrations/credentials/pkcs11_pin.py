"""The user PIN of a PKCS#11 token: ``pkcs11-pin:TOKEN/user``.

A token has one user PIN, so cutting it cuts every consumer, and the successor keeps the reference.  Changing the PIN
does not log anybody out: ``revoke_sessions`` does, through the connection's ``evict_command``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal, Self, cast

from integrations import canaries
from integrations.secrets import read_secret
from integrations.vendors.pkcs11_client import (
    CALL_SECONDS,
    LOST_SESSION,
    Connection,
    Pkcs11Options,
    Worker,
    WorkerError,
)
from integrations.vendors.pkcs11_pins import UserPin, evict
from playbooks.errors import BackendError, InvalidInput, Unavailable
from playbooks.ports import Clock, Undo
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CredentialRef

_REFUSED = ("CKR_PIN_INCORRECT", "CKR_PIN_LOCKED")


class Pkcs11Pin:
    """Cuts, issues and probes a token's user PIN, and ends the sessions opened with it."""

    def __init__(self, name: str, options: Pkcs11Options, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._pin = UserPin(options)
        self._connection = Connection(name, options, login=self._pin.log_in)
        self._canary: Worker | None = None

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open a connection of type ``pkcs11``; the token is not touched before the first call."""
        return cls(name, Pkcs11Options.read(name, options), clock=clock)

    def close(self) -> None:
        """End the worker processes."""
        self._connection.drop()
        self._end_canary()

    def cut(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """Change the PIN to a random one that only this connection has, and see that the old one is refused.

        The old PIN stays beside the connection's PIN file as ``.previous`` for later probes.  With ``secret``, a client
        is logged in with the old PIN first, where clients can be cut off: ``probe_sessions`` tries it.
        """
        requested = self._clock()
        subject = _subject(credential)
        self._log_canary_in(secret)
        changed = self._pin.change(self._connection, subject=subject)
        self._pin.prove_previous_refused(self._connection, subject=subject)
        return self._receipt(subject, "cut", requested, changed=changed)

    def restore(self, credential: CredentialRef, *, undo: Undo) -> Receipt:
        """Always Unavailable: a PIN that was out is not made valid again."""
        del undo
        raise Unavailable(
            "a PIN that was cut is not brought back.",
            subject=_subject(credential),
            hint="Issue the new PIN to its consumer.",
        )

    def revoke_sessions(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """End every client's session by the ``evict_command``; Unavailable without one."""
        del secret
        requested = self._clock()
        subject = _subject(credential)
        code = evict(self._connection, subject=subject)
        return self._receipt(subject, "revoke-sessions", requested, changed=True, request_id=code)

    def issue(self, *, like: CredentialRef, marker: str, deliver_to: str) -> tuple[CredentialRef, Receipt]:
        """Deliver the present PIN, which only this connection has after ``cut``; the reference stays the same.

        Raises Unavailable when the PIN was not cut before and the consumer does not have it already.
        """
        requested = self._clock()
        subject = _subject(like)
        has_it = _delivered(deliver_to) == read_secret(self._options.pin)
        if not has_it and not self._pin.cut:
            raise Unavailable("the present PIN is not a fresh one.", subject=subject, hint="Cut the credential first.")
        self._connection.call("labels", subject=subject)
        self._pin.deliver(deliver_to)
        return like, self._receipt(subject, "issue", requested, changed=not has_it, request_id=marker)

    def probe_credential(self, credential: CredentialRef, *, secret: str, expected: str) -> ProbeResult:
        """Log in from a new process with the PIN that ``secret`` refers to; refused is CKR_PIN_INCORRECT or LOCKED."""
        outcome, code, detail = Outcome.WORKED, "", ""
        try:
            self._connection.fresh(read_secret(secret))
        except WorkerError as error:
            code = error.code or error.detail
            outcome = Outcome.REFUSED if code in _REFUSED else Outcome.INCONCLUSIVE
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return self._probed(_subject(credential), "login", expected, outcome, code, detail)

    def _probed(
        self, subject: str, operation: str, expected: str, outcome: Outcome, code: str, detail: str
    ) -> ProbeResult:
        return ProbeResult(
            subject=subject,
            operation=operation,
            expected=cast("Literal['refused', 'worked']", expected),
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    def probe_sessions(self, credential: CredentialRef, *, secret: str = "", expected: str) -> ProbeResult:
        """Try the session of the client that logged in before the cut; when it has ended, log in anew as it would.

        Refused when the session is gone and the token does not take the client's PIN.  Raises Unavailable when there
        is no such client: it lives in the process that made the cut, and only where there is an ``evict_command``.
        """
        subject = _subject(credential)
        if self._canary is None:
            raise Unavailable("no client of this process was logged in before the cut.", subject=subject)
        try:
            self._canary.call("labels", {}, seconds=CALL_SECONDS)
        except WorkerError as error:
            ended = error.code
        except BackendError as error:
            ended = error.code
            self._end_canary()
        else:
            return self._probed(subject, "use of an open session", expected, Outcome.WORKED, "", "")
        again = self.probe_credential(credential, secret=secret or self._pin.previous, expected=expected)
        known = ended in LOST_SESSION
        outcome = again.outcome if known or again.outcome is Outcome.WORKED else Outcome.INCONCLUSIVE
        detail = f"the open session ended ({ended})" if known else f"the open session answered {ended}"
        return self._probed(subject, "use of an open session, login", expected, outcome, again.code, detail)

    def _log_canary_in(self, secret: str) -> None:
        """Best effort, once: after the cut its PIN is not taken any more."""
        if not secret or not self._options.evict_command or self._canary is not None or self._pin.cut:
            return
        canary = None
        with suppress(WorkerError, BackendError, InvalidInput):
            pin = read_secret(secret)
            canary = Worker(self._options.environment)
            self._connection.log_in(canary, pin, cautious=True, seconds=canaries.MINT_SECONDS)
            self._canary, canary = canary, None
        if canary is not None:
            canary.end()

    def _end_canary(self) -> None:
        if self._canary is not None:
            self._canary.end()
            self._canary = None

    def _receipt(self, subject: str, move: str, requested: datetime, *, changed: bool, request_id: str = "") -> Receipt:
        return Receipt(
            subject=subject,
            move=move,
            requested_at=requested,
            accepted_at=self._clock(),
            changed=changed,
            request_id=request_id,
        )


def _subject(credential: CredentialRef) -> str:
    if credential.path != "user":
        raise InvalidInput(f"{credential} names no PIN", hint="Write it as pkcs11-pin:TOKEN/user.")
    return str(credential)


def _delivered(deliver_to: str) -> str:
    try:
        return read_secret(deliver_to)
    except InvalidInput:
        return ""
