"""Column sweep (rewrap with compare-and-swap, two processes) against a bare UPDATE of the same column, in the same run.

The keys are in memory, so that the database and our own code are measured, not a backend.  ``ratio`` is of wall time;
``ratio_cpu`` is the same from CPU time (ours of client and server, on two cores), which other work on the machine does
not lower.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from integrations.data.postgres import PostgresColumns
from integrations.envelopes import tink
from playbooks.errors import Refused
from playbooks.ports import Shard, WrappedKey
from playbooks.refs import DatasetRef, KeyRef
from simulations.lab.postgres import PostgresServer
from simulations.lab.processes import Processes

ROWS = 150_000
VALUE_BYTES = 256
ROUNDS = 5
_CARDS = DatasetRef.parse("postgres:bench/public.cards.value")
_KEYS = (KeyRef.parse("openbao:bench/transit/a"), KeyRef.parse("openbao:bench/transit/b"))


@dataclass
class _Memory:
    """Two AES-GCM keys that wrap, unwrap and rewrap in memory."""

    material: dict[KeyRef, bytes]

    def wrap(
        self, key: KeyRef, data_keys: Sequence[bytes], *, contexts: Sequence[Mapping[str, str]]
    ) -> list[WrappedKey | Exception]:
        """Wrap a batch."""
        cipher = AESGCM(self.material[key])
        nonces = _nonces(len(data_keys))
        return [WrappedKey(n + cipher.encrypt(n, d, b"")) for n, d in zip(nonces, data_keys, strict=True)]

    def unwrap(self, key: KeyRef, wrapped: Sequence[WrappedKey]) -> list[bytes | Exception]:
        """Unwrap a batch."""
        cipher = AESGCM(self.material[key])
        found: list[bytes | Exception] = []
        for item in wrapped:
            try:
                found.append(cipher.decrypt(item.blob[:12], item.blob[12:], b""))
            except InvalidTag:
                found.append(Refused("another key"))
        return found

    def rewrap(self, wrapped: Sequence[WrappedKey], *, old: KeyRef, new: KeyRef) -> list[WrappedKey | Exception]:
        """Unwrap and wrap inside."""
        opened, cipher, at = AESGCM(self.material[old]), AESGCM(self.material[new]), iter(_nonces(len(wrapped)))
        try:
            return [
                WrappedKey(
                    (nonce := next(at))
                    + cipher.encrypt(nonce, opened.decrypt(item.blob[:12], item.blob[12:], b""), b""),
                    item.context,
                )
                for item in wrapped
            ]
        except InvalidTag:
            return [Refused("another key") for _ in wrapped]


def _nonces(count: int) -> list[bytes]:
    random = os.urandom(12 * count)
    return [random[at : at + 12] for at in range(0, len(random), 12)]


@dataclass(frozen=True, slots=True)
class _Cost:
    """Seconds."""

    wall: float
    cpu: float


def run() -> dict[str, Any]:
    """Rows per second of wall time, medians over interleaved rounds, and the ratio of CPU times."""
    memory = _Memory({key: os.urandom(32) for key in _KEYS})
    with tempfile.TemporaryDirectory() as directory, Processes(Path(directory)) as processes:
        server = PostgresServer.start(processes, Path(directory) / "postgres")
        _seed(server, memory)
        columns = PostgresColumns.open("bench", server.connection_options(), clock=lambda: datetime.now(UTC))
        shards = columns.shards(_CARDS, count=2)
        rounds: list[tuple[_Cost, _Cost]] = []
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(_idle, range(2)))
            for turn in range(ROUNDS):
                old, new = _KEYS[turn % 2], _KEYS[1 - turn % 2]
                bare = _bare(server)
                before, started = _server_cpu(server), time.perf_counter()
                jobs = [pool.submit(_sweep, server.connection_options(), shard, old, new, memory) for shard in shards]
                done = [job.result() for job in jobs]
                wall = time.perf_counter() - started
                client = sum(cpu for _, cpu in done)
                rounds.append((_Cost(wall, client + _server_cpu(server) - before), bare))
                if (moved := sum(rows for rows, _ in done)) != ROWS:
                    raise RuntimeError(f"only {moved} of {ROWS} rows were moved")
    return {
        "name": "PostgreSQL column sweep, 256 B values, 2 processes",
        "ours": ROWS / statistics.median(mine.wall for mine, _ in rounds),
        "reference": ROWS / statistics.median(bare.wall for _, bare in rounds),
        "ratio": statistics.median(bare.wall / mine.wall for mine, bare in rounds),
        "ratio_cpu": statistics.median(bare.cpu / (mine.cpu / 2) for mine, bare in rounds),
        "target": 0.45,
        "unit": "rows/s",
    }


def _idle(_turn: int) -> None:
    time.sleep(0.05)


def _sweep(options: dict[str, str], shard: Shard, old: KeyRef, new: KeyRef, memory: _Memory) -> tuple[int, float]:
    """Rows moved, and the client's CPU seconds."""
    started = time.process_time()
    columns = PostgresColumns.open("bench", options, clock=lambda: datetime.now(UTC))
    rows = columns.rewrap(shard, old=old, new=new, keys=lambda _key: memory).rewritten
    return rows, time.process_time() - started


def _bare(server: PostgresServer) -> _Cost:
    _vacuum(server)
    before = _server_cpu(server)
    with server.connect() as connection:
        started = time.perf_counter()
        connection.execute("UPDATE cards SET value = value || ''::bytea")
        wall = time.perf_counter() - started
    cost = _Cost(wall, _server_cpu(server) - before)
    _vacuum(server)
    return cost


def _vacuum(server: PostgresServer) -> None:
    with server.connect() as connection:
        connection.execute("VACUUM cards")


def _server_cpu(server: PostgresServer) -> float:
    """CPU seconds of all sessions that have ended, as the postmaster has reaped them."""
    time.sleep(0.2)
    postmaster = (server.directory / "data" / "postmaster.pid").read_text().split()[0]
    fields = Path(f"/proc/{postmaster}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _seed(server: PostgresServer, memory: _Memory) -> None:
    with server.connect() as connection:
        connection.execute("CREATE TABLE cards (id bigint PRIMARY KEY, value bytea)")
        copy = "COPY cards FROM STDIN (FORMAT BINARY)"
        with connection.cursor() as cursor, cursor.copy(copy) as stream:
            stream.set_types(["int8", "bytea"])
            for row in range(ROWS):
                data_key = tink.new_data_key()
                [wrapped] = memory.wrap(_KEYS[0], [data_key], contexts=[{}])
                payload = tink.encrypt(os.urandom(VALUE_BYTES), data_key, associated_data=str(row).encode())
                if isinstance(wrapped, WrappedKey):
                    stream.write_row((row, tink.join(wrapped.blob, payload)))


if __name__ == "__main__":
    print(run())
