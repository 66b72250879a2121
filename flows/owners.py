"""Who holds a step, and whether that process still lives: what lets a restarted response take over at once."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timedelta

import psutil

FOREIGN_LEASE = timedelta(minutes=2)
"""A holder on another host cannot be looked up; it is believed for this long after it started."""


def this_owner() -> str:
    """``host/pid/start`` of this process; the start time tells a recycled pid from the real holder."""
    pid = os.getpid()
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.2f}"


def alive(owner: str, *, since: datetime, now: datetime) -> bool:
    """Does the holder of a step, which started it at ``since``, still live?"""
    host, _, rest = owner.partition("/")
    pid, _, started = rest.partition("/")
    if host != socket.gethostname():
        return now - since < FOREIGN_LEASE
    try:
        process = psutil.Process(int(pid))
        return abs(process.create_time() - float(started)) < 0.1 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
