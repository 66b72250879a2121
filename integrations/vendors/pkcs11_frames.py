"""Messages between a PKCS#11 worker process and its owner: names and numbers as JSON, bytes as they are.

A frame is four bytes of length and a body; a body is the length of its head, the number of its blobs, the head, the
length of each blob, and the blobs (all lengths 32 bits, big endian).  The head is ``[plain values, {name: count}]``:
``count`` blobs in order make the list ``name``, and -1 stands for one blob that is no list.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import Any

_ONE = -1


def pack(message: Mapping[str, Any]) -> bytes:
    """One message, framed; its values are JSON values, bytes, or lists of nothing but bytes."""
    plain: dict[str, Any] = {}
    counts: dict[str, int] = {}
    blobs: list[bytes] = []
    for name, value in message.items():
        if isinstance(value, bytes):
            counts[name] = _ONE
            blobs.append(value)
        elif isinstance(value, list) and value and isinstance(value[0], bytes):
            counts[name] = len(value)
            blobs += value
        else:
            plain[name] = value
    head = json.dumps([plain, counts]).encode()
    sizes = struct.pack(f">{len(blobs)}I", *map(len, blobs))
    body = b"".join((struct.pack(">II", len(head), len(blobs)), head, sizes, *blobs))
    return struct.pack(">I", len(body)) + body


def size_of(length: bytes) -> int:
    """The length of the body that follows a frame's first four bytes."""
    return int(struct.unpack(">I", length)[0])


def unpack(body: bytes) -> dict[str, Any]:
    """The message in a frame's body.  Raises ValueError for anything that ``pack`` did not make."""
    try:
        head_size, number = struct.unpack_from(">II", body)
        sizes = struct.unpack_from(f">{number}I", body, 8 + head_size)
    except struct.error as error:
        raise ValueError("a frame is cut off") from error
    edges = list(accumulate(sizes, initial=8 + head_size + 4 * number))
    if edges[-1] != len(body):
        raise ValueError("a frame has another length than it says")
    message, counts = json.loads(body[8 : 8 + head_size])
    blobs = [body[start:end] for start, end in pairwise(edges)]
    taken = 0
    for name, count in counts.items():
        message[name] = blobs[taken] if count == _ONE else blobs[taken : taken + count]
        taken += 1 if count == _ONE else count
    return dict(message)
