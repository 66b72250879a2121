"""One ZIP file that exists in exactly one form: stored entries in order of their names, fixed times, nothing beside.

Entries are stored, not deflated: compressors differ between machines, and a stored entry cannot swell when it is read.
Reading writes the archive anew from what it read and compares every byte, so nothing can hide between the entries.
Layout: PKWARE APPNOTE 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping

from playbooks.errors import RecordError

LARGEST = 512 * 1024 * 1024
"""Bytes; a pack that is larger is refused unread."""
MOST_FILES = 1000

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}(/[a-z0-9][a-z0-9.-]{0,60})?")
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_VERSION, _UNIX = 20, 3 << 8
_DATE = (1 << 5) | 1  # 1980-01-01, the earliest a ZIP can say
_MODE = 0o100644 << 16


def write_archive(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files; the same files give the same bytes on every machine.

    Raises RecordError for a name that is no plain lower-case path, too many files, or too much.
    """
    if len(files) > MOST_FILES or sum(map(len, files.values())) > LARGEST - 1024 * MOST_FILES:
        raise RecordError("this is more than an evidence pack may hold.")
    body, directory = bytearray(), bytearray()
    for name in sorted(files):
        if not _NAME.fullmatch(name):
            raise RecordError(f"{name[:80]!r} is no name for a file of a pack.")
        content, offset, raw = files[name], len(body), name.encode()
        common = (_VERSION, 0, 0, 0, _DATE, zlib.crc32(content), len(content), len(content), len(raw), 0)
        body += _LOCAL.pack(b"PK\x03\x04", *common) + raw + content
        directory += _CENTRAL.pack(b"PK\x01\x02", _UNIX | _VERSION, *common, 0, 0, 0, _MODE, offset) + raw
    return bytes(body + directory + _END.pack(b"PK\x05\x06", 0, 0, *[len(files)] * 2, len(directory), len(body), 0))


def read_archive(data: bytes) -> dict[str, bytes]:
    """The files of an archive that ``write_archive`` made.  Raises RecordError when any byte is not as it writes it."""
    if len(data) > LARGEST:
        raise RecordError(f"the pack is larger than {LARGEST // 1024**2} MiB and was not read.")
    try:
        files = _read(data)
    except (struct.error, ValueError, UnicodeDecodeError) as error:
        raise RecordError("this is no evidence pack, or it is cut off or altered.") from error
    if write_archive(files) != data:
        raise RecordError("the archive holds something besides its files, or its headers were altered.")
    return files


def _read(data: bytes) -> dict[str, bytes]:
    _, _, _, _, count, size, start, _ = _END.unpack(data[-_END.size :])
    if count > MOST_FILES or start + size + _END.size != len(data):
        raise ValueError
    files: dict[str, bytes] = {}
    place = start
    for _ in range(count):
        entry = _CENTRAL.unpack(data[place : place + _CENTRAL.size])
        length, name_length, offset = entry[8], entry[10], entry[16]
        name = data[place + _CENTRAL.size : place + _CENTRAL.size + name_length].decode("ascii")
        begin = offset + _LOCAL.size + name_length
        if name in files or begin + length > start:
            raise ValueError
        files[name] = data[begin : begin + length]
        place += _CENTRAL.size + name_length
    return files
