"""Database logins on a real PostgreSQL: cut, restored, renewed and probed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from integrations.credentials.postgres_role import PostgresRoles
from playbooks.errors import InvalidInput, NotFound
from playbooks.ports import CutsCredential, IssuesCredential, ProbesCredential, ProbesSessions, RevokesSessions
from playbooks.receipts import Outcome
from playbooks.refs import CredentialRef
from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes

REPORT = CredentialRef.parse("postgres-role:shop/report")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    directory = tmp_path_factory.mktemp("lab")
    with Processes(directory) as processes:
        yield PostgresServer.start(processes, directory / "postgres")


@pytest.fixture
def roles(server: PostgresServer, tmp_path: Path) -> Iterator[PostgresRoles]:
    server.create_role("report", password_file=tmp_path / "password")
    yield PostgresRoles.open("shop", server.connection_options(), clock=lambda: datetime.now(UTC))
    with server.connect() as admin:
        for (name,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'report%'").fetchall():
            admin.execute(f'DROP ROLE "{name}"')  # type: ignore[arg-type]


def probed(roles: PostgresRoles, tmp_path: Path, expected: str) -> tuple[Outcome, str]:
    result = roles.probe_credential(REPORT, secret=f"file:{tmp_path / 'password'}", expected=expected)
    return result.outcome, result.code


def test_it_is_what_the_flows_expect(roles: PostgresRoles) -> None:
    """The adapter implements its four ports."""
    for port in (CutsCredential, IssuesCredential, ProbesCredential, ProbesSessions, RevokesSessions):
        assert isinstance(roles, port)


def test_a_cut_ends_sessions_and_refuses_logins_until_restored(
    roles: PostgresRoles, server: PostgresServer, tmp_path: Path
) -> None:
    """An open session dies, a fresh login is refused with 28000, and both are possible again after the restore."""
    assert probed(roles, tmp_path, "worked") == (Outcome.WORKED, "")
    stolen = psycopg.connect(server.dsn("report", password_file=tmp_path / "password"))
    receipt = roles.cut(REPORT)
    assert (receipt.changed, receipt.undo) == (True, {"could_login": True})
    with pytest.raises(psycopg.OperationalError):
        stolen.execute("SELECT 1")
    assert probed(roles, tmp_path, "refused") == (Outcome.REFUSED, "28000")
    assert not roles.cut(REPORT).changed
    assert roles.restore(REPORT, undo=receipt.undo).changed
    assert probed(roles, tmp_path, "worked") == (Outcome.WORKED, "")


def test_a_wrong_password_shows_nothing_of_the_role(roles: PostgresRoles, tmp_path: Path) -> None:
    """Whoever has the right one may still get in; and the password is repeated nowhere."""
    (tmp_path / "password").write_text("canary")
    result = roles.probe_credential(REPORT, secret=f"file:{tmp_path / 'password'}", expected="refused")
    assert (result.outcome, result.code) == (Outcome.INCONCLUSIVE, "28P01")
    assert "canary" not in result.model_dump_json()


def test_ending_sessions_leaves_the_login_alone(roles: PostgresRoles, server: PostgresServer, tmp_path: Path) -> None:
    """The session is gone, the role may log in again."""
    with psycopg.connect(server.dsn("report", password_file=tmp_path / "password")) as stolen:
        assert roles.revoke_sessions(REPORT).changed
        with pytest.raises(psycopg.OperationalError):
            stolen.execute("SELECT 1")
    assert probed(roles, tmp_path, "worked") == (Outcome.WORKED, "")


def test_the_successor_inherits_rights_and_outlives_the_cut(
    roles: PostgresRoles, server: PostgresServer, tmp_path: Path
) -> None:
    """A second issue with the same marker is the same role; its delivered password works."""
    with server.connect() as admin:
        admin.execute("CREATE TABLE IF NOT EXISTS sales (id int)")
        admin.execute("GRANT SELECT ON sales TO report")
    place = tmp_path / "next"
    successor, receipt = roles.issue(like=REPORT, marker="inc-1-renew", deliver_to=f"file:{place}")
    again, second = roles.issue(like=REPORT, marker="inc-1-renew", deliver_to=f"file:{place}")
    assert successor == again
    assert (receipt.changed, second.changed) == (True, False)
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.read_text() not in receipt.model_dump_json()
    roles.cut(REPORT)
    with psycopg.connect(server.dsn(successor.path, password_file=place)) as connection:
        assert connection.execute("SELECT count(*) FROM sales").fetchone() == (0,)
    with server.connect() as admin:
        admin.execute("DROP TABLE sales")


def test_what_cannot_be_is_said(roles: PostgresRoles) -> None:
    """An unknown role is NotFound, a secret without a file is InvalidInput, a dead server proves nothing."""
    with pytest.raises(NotFound):
        roles.cut(CredentialRef.parse("postgres-role:shop/nobody"))
    with pytest.raises(InvalidInput):
        roles.issue(like=REPORT, marker="m", deliver_to="env:PASSWORD")


def test_a_dead_server_proves_nothing(tmp_path: Path) -> None:
    """A refused connection is inconclusive, never a refusal."""
    (tmp_path / "dsn").write_text("host=127.0.0.1 port=1 user=nobody dbname=x")
    (tmp_path / "password").write_text("x")
    roles = PostgresRoles.open("shop", {"dsn": f"file:{tmp_path / 'dsn'}"}, clock=lambda: datetime.now(UTC))
    assert probed(roles, tmp_path, "refused") == (Outcome.INCONCLUSIVE, "")


def test_a_session_from_before_the_cut_is_shown_to_be_ended(
    roles: PostgresRoles, server: PostgresServer, tmp_path: Path
) -> None:
    """It was ended by the server's order (57P01); another process has the server's list of sessions alone."""
    secret = f"file:{tmp_path / 'password'}"
    roles.cut(REPORT, secret=secret)
    roles.revoke_sessions(REPORT, secret=secret)
    for _ in range(2):
        result = roles.probe_sessions(REPORT, secret=secret, expected="refused")
        assert (result.outcome, result.code) == (Outcome.REFUSED, "57P01")
    other = PostgresRoles.open("shop", server.connection_options(), clock=lambda: datetime.now(UTC))
    result = other.probe_sessions(REPORT, secret=secret, expected="refused")
    assert (result.outcome, result.code) == (Outcome.REFUSED, "no-session")
    roles.close()


def test_a_session_that_is_open_is_not_called_dead(
    roles: PostgresRoles, server: PostgresServer, tmp_path: Path
) -> None:
    """Whoever is still connected is seen in the server's list."""
    with psycopg.connect(server.dsn("report", password_file=tmp_path / "password")):
        assert roles.probe_sessions(REPORT, expected="refused").outcome is Outcome.WORKED


def test_a_cut_repeated_after_a_lost_receipt_can_be_taken_back(
    roles: PostgresRoles, server: PostgresServer, tmp_path: Path
) -> None:
    """That the role could log in is noted in its comment with the cut, and taken out with the restore."""
    with server.connect() as admin:
        admin.execute("COMMENT ON ROLE report IS 'monthly figures'")
    roles.cut(REPORT)
    second = roles.cut(REPORT)
    assert (second.changed, second.undo) == (False, {"could_login": True})
    roles.restore(REPORT, undo=second.undo)
    assert probed(roles, tmp_path, "worked") == (Outcome.WORKED, "")
    with server.connect() as admin:
        comment = admin.execute(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'report'"
        ).fetchone()
    assert comment == ("monthly figures",)
