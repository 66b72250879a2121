"""``python simulations/lab/evict_hsm_clients.py DIRECTORY``: ends every client session of the lab's network HSM.

``p11-kit server`` serves each client from a child process of its own; ending the children ends the sessions, and the
server goes on taking new clients, who must log in again.  It stands on the path of containment, so it imports nothing
that costs: processes are read from ``/proc`` (proc(5)).
"""

import json
import os
import signal
import sys
import time

_WAIT_SECONDS = 3.0


def evict(directory: str | os.PathLike[str]) -> int:
    """End the per-client processes of the server noted in ``directory``; returns how many there were.

    Raises ProcessLookupError when that server is not running.
    """
    with open(os.path.join(directory, "p11-kit.json"), encoding="utf-8") as stream:  # noqa: PTH118, PTH123
        note = json.load(stream)
    server = _stat(note["pid"])
    if not server or abs(_created(server) - note["created"]) > 1.0:
        raise ProcessLookupError(f"the server of {directory} is not running")
    clients = [pid for pid in _every_process() if _parent(_stat(pid)) == note["pid"]]
    for pid in clients:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _WAIT_SECONDS
    while any(_runs(_stat(pid)) for pid in clients) and time.monotonic() < deadline:
        time.sleep(0.002)
    return len(clients)


def _every_process() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208


def _stat(pid: int) -> list[str]:
    """What /proc/PID/stat says from the state on (the name before it may hold spaces); empty when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            return stream.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _parent(stat: list[str]) -> int:
    return int(stat[1]) if stat else 0


def _runs(stat: list[str]) -> bool:
    return bool(stat) and stat[0] not in "ZX"


def _created(stat: list[str]) -> float:
    """Seconds since the epoch."""
    with open("/proc/stat", encoding="utf-8") as stream:  # noqa: PTH123
        booted = next(float(line.split()[1]) for line in stream if line.startswith("btime"))
    return booted + int(stat[19]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    evict(sys.argv[1])
