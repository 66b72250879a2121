"""Atomic replacement in a folder shared by several writers: write beside, sync, lock, compare, rename."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

BESIDE = ".keyquell-new."
"""Files with this prefix are unfinished copies, never objects."""

LOCK = ".keyquell.lock"
"""The lock file of a folder; whoever replaces a file there holds an exclusive flock on it.

It is empty and stays for good, also in each consumer's settings folder: removing it would let two writers hold a lock
each.
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What identifies one version of a file: inode, mtime, size, and a digest of its first bytes."""

    inode: int
    modified_ns: int
    size: int
    head: bytes

    @classmethod
    def of(cls, stream: BinaryIO, *, head_bytes: int) -> Seen:
        """The version that ``stream`` has open; its position is kept."""
        facts = os.fstat(stream.fileno())
        head = os.pread(stream.fileno(), head_bytes, 0)
        return cls(facts.st_ino, facts.st_mtime_ns, facts.st_size, hashlib.sha256(head).digest())


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the store's exclusive advisory lock; every cooperating writer replaces objects only inside it."""
    descriptor = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def beside(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file in ``folder``, flocked while it is worked on and gone afterwards unless it was renamed."""
    stream, path = _claimed(folder)
    try:
        with stream:
            yield stream, path
    finally:
        path.unlink(missing_ok=True)


def like(stream: BinaryIO, original: BinaryIO) -> None:
    """Give a new file the mode of the one that it will replace, and its owner as far as we may."""
    facts = os.fstat(original.fileno())
    with suppress(PermissionError):
        os.fchown(stream.fileno(), facts.st_uid, facts.st_gid)
    os.fchmod(stream.fileno(), stat.S_IMODE(facts.st_mode))


def clean(folder: Path) -> int:
    """Remove copies whose writer is gone (nobody holds their flock); returns how many."""
    removed = 0
    for path in folder.rglob(f"{BESIDE}*"):
        with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def sync(stream: BinaryIO) -> None:
    """Make what was written durable."""
    stream.flush()
    os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _claimed(folder: Path) -> tuple[BinaryIO, Path]:
    """A flocked new file; made again when a cleaner removed it between creation and lock."""
    while True:
        descriptor, name = tempfile.mkstemp(prefix=BESIDE, dir=folder)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.fstat(descriptor).st_nlink:
            return os.fdopen(descriptor, "w+b"), Path(name)
        os.close(descriptor)
