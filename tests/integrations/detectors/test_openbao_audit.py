"""What a real OpenBao writes into its audit log becomes signals; refused tries and our own requests do not."""

from __future__ import annotations

import itertools
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from integrations.detectors.openbao_audit import OpenBaoAudit
from playbooks.errors import InvalidInput, Refused, Unavailable
from playbooks.exposures import ExposureKind, Fingerprint, Signal
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import Processes

NUMBERS = itertools.count()
LINE = (
    '{"time":"2026-03-01T10:00:00.123456789Z","type":"response","auth":{"accessor":"ACC","policies":["p"]},'
    '"request":{"id":"ID","path":"transit/export/encryption-key/orders","remote_address":"127.0.0.1"},'
    '"response":{"data":{"keys":{}}}}\n'
)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def key(openbao: OpenBaoServer) -> str:
    name = f"audited-{next(NUMBERS)}"
    openbao.create_transit_key(name, exportable=True)
    return name


def ask(server: OpenBaoServer, token: Path, method: str, path: str, body: dict[str, str] | None = None) -> int:
    headers = {"X-Vault-Token": token.read_text()}
    return httpx.request(
        method, f"{server.url}/v1/{path}", headers=headers, json=body, timeout=10, trust_env=False
    ).status_code


def detector(server: OpenBaoServer, key: str, **options: object) -> OpenBaoAudit:
    settings = {"path": str(server.audit_log), "keys": [key], "connection": server.connection_options(), **options}
    return OpenBaoAudit.open("openbao-audit", settings, clock=now)


def signals(audit: OpenBaoAudit) -> list[Signal]:
    return list(audit.poll(cursor="")[0])


def test_an_export_is_seen_with_the_key_and_the_token(openbao: OpenBaoServer, key: str) -> None:
    """Key material out: the key's URI and the accessor of who took it."""
    openbao.write_policy("exporter", {"transit/export/*": ["read"]})
    accessor, token = openbao.create_token("exporter")
    assert ask(openbao, token, "GET", f"transit/export/encryption-key/{key}") == 200
    (found,) = signals(detector(openbao, key))
    assert found.kind is ExposureKind.KEY_MATERIAL
    assert set(found.fingerprints) == {
        Fingerprint(kind="key-uri", value=f"openbao:vault/transit/{key}"),
        Fingerprint(kind="token-accessor", value=accessor),
    }
    assert found.first_seen is not None
    assert token.read_text() not in found.model_dump_json()


def test_a_hashed_accessor_is_resolved_through_the_server(lab_processes: Processes, tmp_path: Path, key: str) -> None:
    """With the audit device's default the log holds an HMAC; the live accessors are hashed and compared."""
    with Processes(tmp_path) as processes:
        server = OpenBaoServer.start(processes, tmp_path, hmac_accessors="true")
        server.create_transit_key(key, exportable=True)
        server.write_policy("exporter", {"transit/export/*": ["read"]})
        accessor, token = server.create_token("exporter")
        assert ask(server, token, "GET", f"transit/export/encryption-key/{key}") == 200
        assert accessor not in server.audit_log.read_text()
        (found,) = signals(detector(server, key))
        assert Fingerprint(kind="token-accessor", value=accessor) in found.fingerprints
        assert signals(detector(server, key, ignore_accessors=[accessor])) == []
        (blind,) = signals(detector(server, key, connection=None))
        assert [each.kind for each in blind.fingerprints] == ["key-uri"]
        assert "not known" in blind.summary


def test_a_refused_export_is_no_exposure(openbao: OpenBaoServer, key: str) -> None:
    """Neither a denied try nor one on a key that cannot be exported lets anything out."""
    openbao.write_policy("reader", {"transit/decrypt/*": ["update"]})
    openbao.write_policy("exporter", {"transit/export/*": ["read"]})
    _, weak = openbao.create_token("reader")
    assert ask(openbao, weak, "GET", f"transit/export/encryption-key/{key}") == 403
    openbao.create_transit_key(f"{key}-kept")
    _, strong = openbao.create_token("exporter")
    assert ask(openbao, strong, "GET", f"transit/export/encryption-key/{key}-kept") == 400
    assert signals(detector(openbao, key, keys=[key, f"{key}-kept"])) == []


def test_our_own_requests_and_ignored_tokens_are_skipped(openbao: OpenBaoServer, key: str) -> None:
    """The recovery identity's own export raises no alarm."""
    openbao.call("GET", f"transit/export/encryption-key/{key}")
    assert signals(detector(openbao, key)) == []
    assert len(signals(detector(openbao, key, connection=None))) == 1


@pytest.mark.parametrize(("approved", "count"), [(["shop"], 0), (["billing"], 1), ([], 0)])
def test_use_by_those_who_are_not_approved_is_seen(
    openbao: OpenBaoServer, key: str, approved: list[str], count: int
) -> None:
    """A credential that nobody approved used the key; many uses are one finding."""
    openbao.write_policy("shop", {"transit/encrypt/*": ["update"]})
    accessor, token = openbao.create_token("shop")
    for _ in range(3):
        body = {"plaintext": b64encode(b"x").decode()}
        assert ask(openbao, token, "POST", f"transit/encrypt/{key}", body) == 200
    found = signals(detector(openbao, key, approved=approved))
    assert len(found) == count
    for each in found:
        assert each.kind is ExposureKind.CREDENTIAL
        assert each.fingerprints == (Fingerprint(kind="token-accessor", value=accessor),)


# --- the cursor ------------------------------------------------------------------------------------


def test_the_check_looks_at_the_file_and_at_the_token(openbao: OpenBaoServer, key: str, tmp_path: Path) -> None:
    """Each fault is told by itself."""
    assert "token works" in detector(openbao, key).check()
    assert "stay unknown" in detector(openbao, key, connection=None).check()
    with pytest.raises(Unavailable, match="cannot be read"):
        detector(openbao, key, path=str(tmp_path / "nowhere.log")).check()
    (tmp_path / "token").write_text("hvs.wrong")
    wrong = {**openbao.connection_options(), "token": f"file:{tmp_path}/token"}
    with pytest.raises(Refused):
        detector(openbao, key, connection=wrong).check()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def read(log: Path) -> Callable[[str], tuple[list[str], str]]:
    audit = OpenBaoAudit.open("audit", {"path": str(log)}, clock=now)

    def poll(cursor: str) -> tuple[list[str], str]:
        found, after = audit.poll(cursor=cursor)
        return [signal.external_id for signal in found], after

    return poll


def line(number: int) -> str:
    return LINE.replace('"ID"', f'"{number}"')


Poll = Callable[[str], tuple[list[str], str]]


def test_nothing_is_seen_twice(log: Path, read: Poll) -> None:
    """The cursor moves past what was read."""
    log.write_text(line(1))
    first, cursor = read("")
    log.open("a").write(line(2))
    second, cursor = read(cursor)
    assert (first, second, read(cursor)[0]) == (["1"], ["2"], [])


def test_a_torn_last_line_waits(log: Path, read: Poll) -> None:
    """Half a line is read when its other half has come."""
    log.write_text(line(1) + line(2)[:60])
    first, cursor = read("")
    log.open("a").write(line(2)[60:])
    assert (first, read(cursor)[0]) == (["1"], ["2"])


def test_a_rotated_log_loses_no_line(log: Path, read: Poll) -> None:
    """What was written before the rename is read under the new name, then the new file from its start."""
    log.write_text(line(1))
    _, cursor = read("")
    log.open("a").write(line(2))
    log.rename(log.with_name("audit.log.1"))
    log.write_text(line(3))
    found, cursor = read(cursor)
    assert (found, read(cursor)[0]) == (["2", "3"], [])


def test_a_truncated_log_is_read_from_its_start(log: Path, read: Poll) -> None:
    """copytruncate leaves a shorter file."""
    log.write_text(line(1) + line(2))
    _, cursor = read("")
    log.write_text(line(3))
    assert read(cursor)[0] == ["3"]


def test_a_missing_log_and_a_broken_line_are_no_failure(log: Path, read: Poll) -> None:
    """The detector waits for its file and skips what is no JSON."""
    assert read("") == ([], "")
    log.write_text('{"type":"response", "transit/ torn\n' + line(1))
    assert read("")[0] == ["1"]


def test_a_foreign_cursor_is_refused(log: Path, read: Poll) -> None:
    """A cursor of another detector would skip or repeat findings."""
    log.write_text(line(1))
    with pytest.raises(InvalidInput, match="cursor"):
        read("17")
