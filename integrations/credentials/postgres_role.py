"""Database logins: cut (NOLOGIN and every session ended), restored, renewed, probed.

``postgres-role:CONNECTION/ROLE``.  Rights needed by the connection's login: CREATEROLE with admin option on the roles,
and ``pg_signal_backend`` (a superuser's sessions need a superuser).  A cut refuses the role itself; what it owns and
what other roles may do stays as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from integrations.canaries import within_a_second
from integrations.secrets import read_secret, write_secret
from integrations.vendors.postgres import PostgresOptions, check_login, conninfo, session
from playbooks.errors import BackendError, InvalidInput, NotFound, Refused
from playbooks.ports import Clock, Undo
from playbooks.receipts import Outcome, ProbeResult, Receipt
from playbooks.refs import CredentialRef

_LONGEST_NAME = 63  # PostgreSQL's NAMEDATALEN - 1
_ALIVE, _ENDED = "alive", "57P01"
_REFUSALS = {"28000", "42501"}
"""Said to a login whose password was right.  A wrong one (28P01) is refused also while the role may log in."""


class PostgresRoles:
    """The logins of one server; every call opens its own session."""

    def __init__(self, options: PostgresOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._canaries: dict[str, psycopg.Connection[Any]] = {}
        self._ended: dict[str, str] = {}

    @classmethod
    def open(cls, name: str, options: Mapping[str, Any], *, clock: Clock) -> Self:
        """Open with ``dsn`` (a reference); nothing is connected yet.  Raises InvalidInput naming the field."""
        return cls(PostgresOptions.read(name, options), clock=clock)

    def close(self) -> None:
        """Close the canary sessions."""
        for canary in self._canaries.values():
            canary.close()
        self._canaries.clear()

    def cut(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """Forbid the login and end its sessions; first the login, so that none comes back.

        With ``secret`` a session of the role is opened before, for ``probe_sessions``.
        """
        self._open_canary(credential, secret)
        return self._set_login(credential, move="cut", allowed=False)

    def restore(self, credential: CredentialRef, *, undo: Undo) -> Receipt:
        """Allow the login again, unless it could not log in before the cut."""
        if undo.get("could_login") is False:
            now = self._clock()
            return Receipt(subject=str(credential), move="restore", requested_at=now, accepted_at=now, changed=False)
        return self._set_login(credential, move="restore", allowed=True)

    def revoke_sessions(self, credential: CredentialRef, *, secret: str = "") -> Receipt:
        """End every session of the role; a login that is still allowed may come back at once."""
        self._open_canary(credential, secret)
        requested = self._clock()
        with session(self._options, subject=str(credential)) as connection:
            ended = connection.execute(_TERMINATE, [credential.path]).fetchall()
        return self._receipt(credential, "revoke-sessions", requested, changed=bool(ended))

    def issue(self, *, like: CredentialRef, marker: str, deliver_to: str) -> tuple[CredentialRef, Receipt]:
        """Create a login that is a member of what ``like`` is a member of and of ``like`` itself, with a new password.

        The old role's own rights (grants, ownership) reach the successor through the membership.  A second call with
        the same marker sets and delivers a new password for the same role.
        """
        requested = self._clock()
        name = f"{like.path}_{marker.replace('-', '_')}"[-_LONGEST_NAME:]
        if not deliver_to.startswith("file:"):
            raise InvalidInput("a new password can only be delivered to file:PATH")
        password = secrets.token_urlsafe(32)
        with session(self._options, subject=str(like)) as connection:
            self._could_login(connection, like)
            known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
            verifier = connection.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
            verb = sql.SQL("ALTER" if known else "CREATE")
            with connection.transaction():
                connection.execute(
                    sql.SQL("{} ROLE {} LOGIN INHERIT PASSWORD {}").format(
                        verb, sql.Identifier(name), sql.Literal(verifier)
                    )
                )
                connection.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(like.path), sql.Identifier(name)))
                write_secret(deliver_to, password)
        successor = CredentialRef(like.scheme, like.connection, name)
        return successor, self._receipt(successor, "issue", requested, changed=not known)

    def probe_credential(self, credential: CredentialRef, *, secret: str, expected: str) -> ProbeResult:
        """Log in as the role from a fresh connection with the password behind ``secret``.

        A wrong password is inconclusive: whoever has the right one may still get in.
        """
        subject = str(credential)
        dsn = make_conninfo(conninfo(self._options.dsn), user=credential.path, password=read_secret(secret))
        outcome, code, detail = Outcome.WORKED, "", "logged in"
        try:
            check_login(dsn, subject=subject)
        except Refused as error:
            specific = error.code in _REFUSALS
            outcome, code, detail = Outcome.REFUSED if specific else Outcome.INCONCLUSIVE, error.code, error.message
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        return ProbeResult(
            subject=subject,
            operation="login",
            expected="refused" if expected == "refused" else "worked",
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    def probe_sessions(self, credential: CredentialRef, *, secret: str = "", expected: str) -> ProbeResult:
        """Refused when the server lists no session of the role and has ended the one opened before the cut (57P01).

        That session lives in the process that made the cut; elsewhere the server's list alone is the evidence.
        """
        del secret
        canary = self._canary_code(credential.path)
        outcome, code, detail = Outcome.REFUSED, canary or "no-session", "pg_stat_activity lists no session of the role"
        try:
            with session(self._options, subject=str(credential)) as connection:
                left = connection.execute(_SESSIONS, [credential.path]).fetchone()
        except BackendError as error:
            outcome, code, detail = Outcome.INCONCLUSIVE, error.code, error.message
        else:
            if left is None or left[0] or canary == _ALIVE:
                outcome, code = Outcome.WORKED, ""
                detail = f"{left[0] if left else 'unknown'} sessions of the role are open"
            elif canary not in ("", _ENDED):
                outcome, detail = Outcome.INCONCLUSIVE, "the session ended, but not by the server's order"
        return ProbeResult(
            subject=str(credential),
            operation="use of an open session",
            expected="refused" if expected == "refused" else "worked",
            outcome=outcome,
            code=code,
            at=self._clock(),
            detail=detail,
        )

    def _canary_code(self, role: str) -> str:
        """How the session opened before the cut answered: its SQLSTATE, "alive", or "" when there is none."""
        if role not in self._canaries or role in self._ended:
            return self._ended.get(role, "")
        try:
            self._canaries[role].execute("SELECT 1")
        except psycopg.Error as error:
            self._ended[role] = error.sqlstate or "closed"
            return self._ended[role]
        return _ALIVE

    def _open_canary(self, credential: CredentialRef, secret: str) -> None:
        """Best effort, and only while the role may still log in."""
        role = credential.path
        if not secret or (role in self._canaries and role not in self._ended):
            return

        def open_session() -> None:
            dsn = make_conninfo(conninfo(self._options.dsn), user=role, password=read_secret(secret))
            with suppress(psycopg.Error):
                self._canaries[role] = psycopg.connect(dsn, autocommit=True)
                self._ended.pop(role, None)

        within_a_second(open_session)

    def _set_login(self, credential: CredentialRef, *, move: str, allowed: bool) -> Receipt:
        requested = self._clock()
        with session(self._options, subject=str(credential)) as connection:
            can = self._could_login(connection, credential)
            could = can or self._was_cut_by_us(connection, credential)
            if can != allowed:
                with connection.transaction():
                    verb = "LOGIN" if allowed else "NOLOGIN"
                    connection.execute(sql.SQL(f"ALTER ROLE {{}} {verb}").format(sql.Identifier(credential.path)))
                    self._mark(connection, credential, cut=not allowed)
            ended = [] if allowed else connection.execute(_TERMINATE, [credential.path]).fetchall()
        changed = can != allowed or bool(ended)
        return self._receipt(credential, move, requested, changed=changed, could_login=could)

    @staticmethod
    def _was_cut_by_us(connection: Any, credential: CredentialRef) -> bool:
        return _CUT in connection.execute(_COMMENT, [credential.path]).fetchone()[0]

    @staticmethod
    def _mark(connection: Any, credential: CredentialRef, *, cut: bool) -> None:
        """Note in the role's comment that it could log in: the cut may be repeated after its receipt was lost."""
        comment = connection.execute(_COMMENT, [credential.path]).fetchone()[0].replace(_CUT, "").strip()
        text = f"{comment} {_CUT}".strip() if cut else comment
        statement = sql.SQL("COMMENT ON ROLE {} IS {}")
        connection.execute(statement.format(sql.Identifier(credential.path), sql.Literal(text or None)))

    @staticmethod
    def _could_login(connection: Any, credential: CredentialRef) -> bool:
        row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [credential.path]).fetchone()
        if row is None:
            raise NotFound(
                f"{credential} does not exist.", subject=str(credential), code="42704", hint="Check the reference."
            )
        return bool(row[0])

    def _receipt(
        self, credential: CredentialRef, move: str, requested: datetime, *, changed: bool, **undo: bool
    ) -> Receipt:
        return Receipt(
            subject=str(credential),
            move=move,
            requested_at=requested,
            accepted_at=self._clock(),
            changed=changed,
            undo=dict(undo),
        )


_CUT = "[cut by keyquell]"
_COMMENT = "SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = %s"
_SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
_TERMINATE = (
    "SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity WHERE usename = %s AND pid <> pg_backend_pid()"
)
