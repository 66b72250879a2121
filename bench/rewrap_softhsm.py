"""Rewrap on SoftHSM: our batches against the bare python-pkcs11 loop, AES-GCM both, interleaved in one run.

Both sides run in a process of their own on the same token and are timed from outside, without log-in.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.keys.pkcs11 import Pkcs11Token
from integrations.secrets import read_secret
from playbooks.ports import WrappedKey
from playbooks.refs import KeyRef
from simulations.lab.processes import Processes
from simulations.lab.softhsm import SoftHsm

_OBJECTS = 1_000
_ROUNDS = 15

_BARE = """
import os, sys, time, pkcs11
from pkcs11 import Attribute, GCMParams, Mechanism
module, count = sys.argv[1], int(sys.argv[2])
token = pkcs11.lib(module).get_token(token_label="kek-hsm")
session = token.open(rw=True, user_pin=sys.stdin.readline().strip())
old, new = (session.get_key(label=label) for label in ("old", "new"))
def seal(key, data):
    iv = os.urandom(12)
    return iv + key.encrypt(data, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(iv, None, 128))
def open_(key, blob):
    return key.decrypt(blob[12:], mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(blob[:12], None, 128))
blobs = [seal(old, os.urandom(32)) for _ in range(count)]
for _ in sys.stdin:
    start = time.perf_counter()
    moved = [seal(new, open_(old, blob)) for blob in blobs]
    print(time.perf_counter() - start, flush=True)
"""


def run() -> dict[str, Any]:
    """Pairs a second of both, and their ratio: the medians of interleaved rounds, the ratio round by round."""
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        hsm = SoftHsm.start(processes, Path(folder) / "hsm")
        hsm.generate_aes("old")
        hsm.generate_aes("new")
        token = Pkcs11Token.open("kek-hsm", hsm.connection_options(), clock=lambda: datetime.now(UTC))
        command = [sys.executable, "-c", _BARE, str(hsm.module), str(_OBJECTS)]
        environment = {**os.environ, **hsm.environment}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        ) as bare:
            try:
                mine, theirs = _rounds(token, bare, read_secret(hsm.pin))
            finally:
                token.close()
                bare.kill()
    return {
        "name": "rewrap on SoftHSM, AES-GCM",
        "ours": _OBJECTS / statistics.median(mine),
        "reference": _OBJECTS / statistics.median(theirs),
        "ratio": statistics.median(theirs[turn] / mine[turn] for turn in range(_ROUNDS)),
        "target": 0.8,
        "unit": "data keys/s",
    }


def _rounds(token: Pkcs11Token, bare: subprocess.Popen[str], pin: str) -> tuple[list[float], list[float]]:
    """Seconds of each round, ours and the bare loop's."""
    old, new = (KeyRef("pkcs11", "kek-hsm", label) for label in ("old", "new"))
    data_keys = [os.urandom(32) for _ in range(_OBJECTS)]
    wrapped = [item for item in token.wrap(old, data_keys, contexts=[{}] * _OBJECTS) if isinstance(item, WrappedKey)]
    assert bare.stdin is not None  # noqa: S101 - Popen was given pipes
    assert bare.stdout is not None  # noqa: S101 - Popen was given pipes
    bare.stdin.write(pin + "\n")
    mine, theirs = [], []
    for _ in range(_ROUNDS):
        bare.stdin.write("go\n")
        theirs.append(float(bare.stdout.readline()))
        start = time.perf_counter()
        moved = token.rewrap(wrapped, old=old, new=new)
        mine.append(time.perf_counter() - start)
    if token.unwrap(new, [item for item in moved if isinstance(item, WrappedKey)]) != data_keys:
        raise RuntimeError("the rewrapped data keys differ")
    return mine, theirs


if __name__ == "__main__":
    print(run())
