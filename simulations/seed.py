"""Deterministic plaintext: anybody who knows the seed can say what an object must hold.

The first line names dataset, object and version in clear, so that a reader can tell *which* version it found; the rest
is a keyed stream that no other object shares.
"""

from __future__ import annotations

import hashlib

_MARK = b"keyquell-drill"


def object_ids(count: int) -> list[str]:
    """The ids of a dataset's first ``count`` objects, in order: ``000001``, ``000002`` …"""
    return [f"{number:06d}" for number in range(1, count + 1)]


def plaintext(seed: int, dataset: str, object_id: str, version: int = 0, *, size: int = 256) -> bytes:
    """What version ``version`` of an object holds; version 0 is what the harness seeded.

    ``dataset`` is its URI, ``size`` in bytes of the part after the first line.
    """
    head = b" ".join((_MARK, dataset.encode(), object_id.encode(), str(version).encode()))
    stream = hashlib.shake_256(head + b" " + str(seed).encode()).hexdigest((size + 1) // 2)
    return head + b"\n" + stream[:size].encode()


def version_of(content: bytes) -> int | None:
    """The version that the first line of a plaintext names; None when it is not one of ours."""
    parts = content.partition(b"\n")[0].split(b" ")
    if len(parts) != 4 or parts[0] != _MARK or not parts[3].isdigit():
        return None
    return int(parts[3])


def artifact(seed: int, name: str) -> bytes:
    """What a legitimate artifact of a signing service holds."""
    return plaintext(seed, "artifact", name)
