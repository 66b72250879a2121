"""What OpenBao's answers mean, and what its options accept."""

from __future__ import annotations

from pathlib import Path

import pytest

from integrations.vendors.openbao import (
    OpenBaoConnection,
    OpenBaoSession,
    check_connection,
    meaning,
    mount_and_name,
)
from playbooks.errors import (
    BackendError,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    Refused,
    Throttled,
    Unavailable,
    Unreachable,
)
from playbooks.refs import KeyRef
from simulations.lab.openbao import OpenBaoServer


@pytest.mark.parametrize(
    ("text", "status", "kind", "code"),
    [
        ("refusing to use soft-deleted key", 400, Refused, "refusing to use soft-deleted key"),
        (
            "1 error occurred:\n\t* refusing to use soft-deleted key\n\n",
            500,
            Refused,
            "refusing to use soft-deleted key",
        ),
        ("1 error occurred:\n\t* permission denied\n\n", 403, Refused, "permission denied"),
        ("encryption key not found", 400, NotFound, "encryption key not found"),
        ("", 404, NotFound, "404"),
        ("cipher: message authentication failed", 0, IntegrityFailure, "message authentication failed"),
        ("invalid ciphertext: no prefix", 0, IntegrityFailure, "invalid ciphertext"),
        ("private key material is not exportable", 400, Unavailable, "private key material is not exportable"),
        ("Vault is sealed", 503, Unreachable, "is sealed"),
        ("", 503, Unreachable, "503"),
        ('request path "x": rate limit quota exceeded', 429, Throttled, "429"),
        ("something new", 400, BackendError, "400"),
        ("internal error", 500, BackendError, "500"),
    ],
)
def test_an_answer_is_classified_by_status_and_text(
    text: str, status: int, kind: type[BackendError], code: str
) -> None:
    """Only a specific refusal is Refused; an unknown text never counts as proof."""
    error = meaning(text, status=status, subject="openbao:vault/transit/orders")
    assert (type(error), error.code) == (kind, code)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "http://127.0.0.1:1"}, "token"),
        ({"url": "127.0.0.1:1", "token": "file:/t"}, "url"),
        ({"url": "http://127.0.0.1:1", "token": "s.pastedsecret"}, "token"),
        ({"url": "http://127.0.0.1:1", "token": "file:/t", "tokn": "x"}, "tokn"),
    ],
)
def test_a_wrong_option_is_named_with_its_connection(options: dict[str, str], field: str) -> None:
    """A person finds the line; a token pasted in clear is not repeated."""
    with pytest.raises(InvalidInput, match=f"connection vault: {field}") as raised:
        OpenBaoConnection.read("vault", options)
    assert "pastedsecret" not in f"{raised.value}{raised.value!r}"
    assert raised.value.__cause__ is None


def test_neither_options_nor_session_show_the_token(openbao: OpenBaoServer) -> None:
    """The token is nowhere but in the request."""
    connection = OpenBaoConnection.read("vault", openbao.connection_options())
    with OpenBaoSession("vault", connection) as session:
        shown = repr(session) + repr(connection) + repr(session.call("GET", "auth/token/lookup-self"))
    assert openbao.root_token_file.read_text() not in shown


def test_an_unknown_mount_is_not_found(openbao: OpenBaoServer) -> None:
    """A mistyped mount is never taken for a dead key."""
    connection = OpenBaoConnection.read("vault", openbao.connection_options())
    with OpenBaoSession("vault", connection) as session, pytest.raises(NotFound, match="no handler for route"):
        session.call("POST", "nowhere/encrypt/x", subject="openbao:vault/nowhere/x", body={})


def test_a_missing_token_file_is_named(openbao: OpenBaoServer, tmp_path: Path) -> None:
    """The reference is shown, since it is no secret."""
    options = {**openbao.connection_options(), "token": f"file:{tmp_path / 'gone'}"}
    with pytest.raises(InvalidInput, match="gone"):
        OpenBaoSession("vault", OpenBaoConnection.read("vault", options))


def test_a_path_splits_into_mount_and_name() -> None:
    """Mounts may be nested; a path without a mount is an error."""
    assert mount_and_name(KeyRef.parse("openbao:vault/team/a/orders")) == ("team/a", "orders")
    with pytest.raises(InvalidInput, match="name a mount"):
        mount_and_name(KeyRef.parse("openbao:vault/orders"))


def test_a_reference_of_another_connection_is_refused() -> None:
    """A key of one server is never looked for on another."""
    with pytest.raises(InvalidInput, match="belongs to the connection other"):
        check_connection(KeyRef.parse("openbao:other/transit/orders"), "vault")
