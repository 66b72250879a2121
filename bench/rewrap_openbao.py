"""Rewrap on OpenBao against the bare client's batch loop: same client library, batch size, key and data, interleaved.

Run with ``python -m bench.rewrap_openbao``.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from integrations.keys.openbao import OpenBaoTransit
from integrations.vendors.openbao_transit import BATCH
from playbooks.ports import WrappedKey
from playbooks.refs import KeyRef
from simulations.lab.openbao import OpenBaoServer
from simulations.lab.processes import Processes

KEYS = 2_000
ROUNDS = 7


def run() -> dict[str, Any]:
    """Rewrap 2,000 data keys to a new version, ours and bare in turns; the ratio is of the medians (1 is as fast)."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        server = OpenBaoServer.start(processes, Path(folder))
        key = KeyRef.parse(f"openbao:vault/{server.create_transit_key('bench')}")
        backend = OpenBaoTransit.open("vault", server.connection_options(), clock=lambda: datetime.now(UTC))
        wrapped = backend.wrap(key, [number.to_bytes(32, "big") for number in range(KEYS)], contexts=[{}] * KEYS)
        blobs = [item for item in wrapped if isinstance(item, WrappedKey)]
        backend.rotate(key, marker="bench")
        headers = {"X-Vault-Token": server.root_token_file.read_text(encoding="utf-8"), "X-Vault-Request": "true"}
        ours, bare = [], []
        with httpx.Client(base_url=f"{server.url}/v1/", headers=headers, trust_env=False, timeout=10) as client:
            ciphertexts = [item.blob.decode() for item in blobs]
            _bare(client, ciphertexts)
            _ours(backend, key, blobs)
            for _ in range(ROUNDS):
                bare.append(_bare(client, ciphertexts))
                ours.append(_ours(backend, key, blobs))
        backend.close()
    mine, reference = (KEYS / statistics.median(times) for times in (ours, bare))
    return {
        "name": "rewrap on OpenBao",
        "ours": mine,
        "reference": reference,
        "ratio": mine / reference,
        "target": 0.80,
        "unit": "data keys/s",
    }


def _ours(backend: OpenBaoTransit, key: KeyRef, blobs: list[WrappedKey]) -> float:
    started = time.perf_counter()
    moved = backend.rewrap(blobs, old=key, new=key)
    seconds = time.perf_counter() - started
    failed = [item for item in moved if isinstance(item, Exception)]
    if failed or len(moved) != len(blobs):
        raise RuntimeError(f"{len(failed)} of {len(blobs)} data keys were not moved")
    return seconds


def _bare(client: httpx.Client, ciphertexts: list[str]) -> float:
    started = time.perf_counter()
    moved: list[str] = []
    for start in range(0, len(ciphertexts), BATCH):
        body = {"batch_input": [{"ciphertext": each} for each in ciphertexts[start : start + BATCH]]}
        answer = client.post("transit/rewrap/bench", json=body).json()
        moved += [each["ciphertext"] for each in answer["data"]["batch_results"]]
    return time.perf_counter() - started


if __name__ == "__main__":
    result = run()
    print(
        f"{result['name']}: ours {result['ours']:,.0f}, bare {result['reference']:,.0f} {result['unit']}, "
        f"ratio {result['ratio']:.2f} (target {result['target']:.2f})"
    )
