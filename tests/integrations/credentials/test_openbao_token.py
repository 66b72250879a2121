"""Tokens of a real OpenBao: cut, probed, issued again."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from integrations.credentials.openbao_token import OpenBaoTokens
from playbooks.errors import InvalidInput, NotFound, Refused, Unavailable, Unreachable
from playbooks.receipts import Outcome
from playbooks.refs import CredentialRef
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import free_port


@pytest.fixture
def tokens(openbao: OpenBaoServer) -> Iterator[OpenBaoTokens]:
    openbao.write_policy("reader", {"transit/decrypt/*": ["update"]})
    opened = OpenBaoTokens.open("vault", openbao.connection_options(), clock=lambda: datetime.now(UTC))
    yield opened
    opened.close()


def ref(accessor: str) -> CredentialRef:
    return CredentialRef("openbao-token", "vault", accessor)


def probe(tokens: OpenBaoTokens, accessor: str, token: Path, expected: str = "refused") -> Outcome:
    return tokens.probe_credential(ref(accessor), secret=f"file:{token}", expected=expected).outcome


def test_a_cut_token_is_refused_with_its_specific_code(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """Before the cut the token works; afterwards the refusal names permission denied."""
    accessor, token = openbao.create_token("reader")
    assert probe(tokens, accessor, token) is Outcome.WORKED
    assert tokens.cut(ref(accessor)).changed
    result = tokens.probe_credential(ref(accessor), secret=f"file:{token}", expected="refused")
    assert (result.outcome, result.code, result.as_expected) == (Outcome.REFUSED, "permission denied", True)


def test_cutting_twice_changes_once(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """A token that is gone stays gone, and that is no error."""
    accessor, _ = openbao.create_token("reader")
    assert [tokens.cut(ref(accessor)).changed for _ in range(2)] == [True, False]


def test_a_live_token_without_the_right_to_look_itself_up_is_inconclusive(
    openbao: OpenBaoServer, tokens: OpenBaoTokens, tmp_path: Path
) -> None:
    """The same words from a live token prove nothing: the accessor is still there."""
    answer = openbao.call("POST", "auth/token/create-orphan", {"policies": ["reader"], "no_default_policy": True})
    token = tmp_path / "token"
    token.write_text(answer["auth"]["client_token"])
    assert probe(tokens, answer["auth"]["accessor"], token) is Outcome.INCONCLUSIVE


def test_the_secret_of_another_token_proves_nothing(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """Neither working nor refused when the secret belongs to somebody else."""
    accessor, _ = openbao.create_token("reader")
    _, other = openbao.create_token("reader")
    assert probe(tokens, accessor, other) is Outcome.INCONCLUSIVE


def test_children_die_with_their_parent(openbao: OpenBaoServer, tokens: OpenBaoTokens, tmp_path: Path) -> None:
    """Tokens minted from a leaked one end with it."""
    openbao.write_policy("minter", {"auth/token/create": ["update", "sudo"]})
    accessor, parent = openbao.create_token("minter")
    made = httpx.post(
        f"{openbao.url}/v1/auth/token/create", json={}, headers={"X-Vault-Token": parent.read_text()}, trust_env=False
    ).json()["auth"]
    child = tmp_path / "child"
    child.write_text(made["client_token"])
    assert probe(tokens, made["accessor"], child) is Outcome.WORKED
    tokens.revoke_sessions(ref(accessor))
    assert probe(tokens, made["accessor"], child) is Outcome.REFUSED


def test_a_batch_token_cannot_be_revoked_and_says_why(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """It has no accessor; the hint names what can be done instead."""
    _, token = openbao.create_token("reader", kind="batch")
    with pytest.raises(Unavailable, match="no accessor") as raised:
        tokens.cut(ref("batch/report"))
    assert "disable the key" in raised.value.hint
    assert probe(tokens, "batch/report", token) is Outcome.WORKED


def test_a_batch_token_is_never_taken_for_dead_while_it_lives(
    openbao: OpenBaoServer, tokens: OpenBaoTokens, tmp_path: Path
) -> None:
    """A live batch token without the default policy is inconclusive, a made-up one refused."""
    answer = openbao.call(
        "POST", "auth/token/create-orphan", {"policies": ["reader"], "no_default_policy": True, "type": "batch"}
    )
    token = tmp_path / "token"
    token.write_text(answer["auth"]["client_token"])
    assert probe(tokens, "batch/report", token) is Outcome.INCONCLUSIVE
    token.write_text("b.AAAAmadeup")
    assert probe(tokens, "batch/report", token) is Outcome.REFUSED


def test_restore_is_unavailable(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """A revoked token cannot come back, and the message says so before anybody hopes."""
    accessor, _ = openbao.create_token("reader")
    receipt = tokens.cut(ref(accessor))
    with pytest.raises(Unavailable, match="cannot bring a token back"):
        tokens.restore(ref(accessor), undo=receipt.undo)


def test_the_recovery_identity_does_not_cut_itself(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """Cutting the connection's own token would end the response."""
    own = openbao.call("GET", "auth/token/lookup-self")["data"]["accessor"]
    with pytest.raises(Unavailable, match="recovery identity"):
        tokens.cut(ref(own))


@pytest.mark.parametrize("order", ["issued before the cut", "issued after the cut"])
def test_the_successor_has_the_same_rights_and_is_made_once(
    openbao: OpenBaoServer, tokens: OpenBaoTokens, tmp_path: Path, order: str
) -> None:
    """The same policies and lifetime, delivered to a 0600 file, once for each marker."""
    accessor, _ = openbao.create_token("reader")
    if order == "issued after the cut":
        tokens.cut(ref(accessor))
    place = tmp_path / "delivered"
    new, first = tokens.issue(like=ref(accessor), marker="step-1", deliver_to=f"file:{place}")
    same, second = tokens.issue(like=ref(accessor), marker="step-1", deliver_to=f"file:{place}")
    assert (new, first.changed, second.changed) == (same, True, False)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    facts = openbao.call("POST", "auth/token/lookup-accessor", {"accessor": new.path})["data"]
    assert (facts["policies"], facts["creation_ttl"]) == (["default", "reader"], 3600)
    assert probe(tokens, new.path, place, "worked") is Outcome.WORKED
    assert place.read_text() not in first.model_dump_json()


def test_another_marker_issues_another_token(openbao: OpenBaoServer, tokens: OpenBaoTokens, tmp_path: Path) -> None:
    """Two incidents never share a successor."""
    accessor, _ = openbao.create_token("reader")
    place = f"file:{tmp_path / 'delivered'}"
    one, _ = tokens.issue(like=ref(accessor), marker="step-1", deliver_to=place)
    two, _ = tokens.issue(like=ref(accessor), marker="step-2", deliver_to=place)
    assert one != two


def test_a_successor_of_an_unknown_token_is_not_found(tokens: OpenBaoTokens, tmp_path: Path) -> None:
    """Nobody knows what it was allowed to do."""
    with pytest.raises(NotFound, match="not known"):
        tokens.issue(like=ref("nobody"), marker="step-1", deliver_to=f"file:{tmp_path / 'delivered'}")


def test_a_connection_without_rights_is_refused(openbao: OpenBaoServer) -> None:
    """The recovery identity needs rights; without them nothing is claimed."""
    accessor, _ = openbao.create_token("reader")
    _, weak = openbao.create_token("reader")
    options = {**openbao.connection_options(), "token": f"file:{weak}"}
    with pytest.raises(Refused, match="permission denied"):
        OpenBaoTokens.open("vault", options, clock=lambda: datetime.now(UTC)).cut(ref(accessor))


def test_a_closed_port_is_unreachable_and_a_probe_inconclusive(openbao: OpenBaoServer, tmp_path: Path) -> None:
    """Silence is never containment."""
    options = {**openbao.connection_options(), "url": f"http://127.0.0.1:{free_port()}"}
    tokens = OpenBaoTokens.open("vault", options, clock=lambda: datetime.now(UTC))
    with pytest.raises(Unreachable):
        tokens.cut(ref("any"))
    assert probe(tokens, "any", openbao.root_token_file) is Outcome.INCONCLUSIVE


def test_a_token_in_place_of_an_accessor_is_refused_unread(tokens: OpenBaoTokens) -> None:
    """A pasted secret never travels as an accessor."""
    with pytest.raises(InvalidInput, match="never a token"):
        tokens.cut(ref("b.AAAAsecret"))


def test_a_child_made_before_the_cut_is_shown_to_die(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """Where the token may make children, one of them is tried; where not, the accessor's end is told as such."""
    openbao.write_policy("minter", {"auth/token/create": ["update"]})
    accessor, token = openbao.create_token("minter")
    tokens._make_child(ref(accessor), f"file:{token}")
    assert tokens.probe_sessions(ref(accessor), secret=f"file:{token}", expected="refused").outcome is Outcome.WORKED
    tokens.cut(ref(accessor), secret=f"file:{token}")
    tokens.cut(ref(accessor), secret=f"file:{token}")
    result = tokens.probe_sessions(ref(accessor), secret=f"file:{token}", expected="refused")
    assert (result.outcome, result.code) == (Outcome.REFUSED, "permission denied")
    assert result.operation == "lookup-self of a child"


def test_without_a_child_the_accessor_alone_tells(openbao: OpenBaoServer, tokens: OpenBaoTokens) -> None:
    """Alive before, gone after; the result says that no child was tried."""
    accessor, token = openbao.create_token("reader")
    assert tokens.probe_sessions(ref(accessor), secret=f"file:{token}", expected="refused").outcome is Outcome.WORKED
    tokens.cut(ref(accessor), secret=f"file:{token}")
    result = tokens.probe_sessions(ref(accessor), secret=f"file:{token}", expected="refused")
    assert (result.outcome, result.operation) == (Outcome.REFUSED, "lookup-accessor")
    assert "no child could be made" in result.detail
