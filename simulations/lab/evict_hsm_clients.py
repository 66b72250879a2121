"""``python -m simulations.lab.evict_hsm_clients DIRECTORY``: ends every client session of the lab's network HSM.

``p11-kit server`` serves each client from a child process of its own; ending the children ends the sessions, and the
server goes on taking new clients, who must log in again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil


def evict(directory: Path) -> int:
    """End the per-client processes of the server noted in ``directory``; returns how many there were.

    Raises ProcessLookupError when that server is not running.
    """
    note = json.loads((directory / "p11-kit.json").read_text(encoding="utf-8"))
    try:
        server = psutil.Process(note["pid"])
        if abs(server.create_time() - note["created"]) > 1.0:
            raise psutil.NoSuchProcess(note["pid"])
        children = server.children(recursive=True)
    except psutil.NoSuchProcess as error:
        raise ProcessLookupError(f"the server of {directory} is not running") from error
    for child in children:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(children, timeout=3)
    return len(children)


if __name__ == "__main__":
    evict(Path(sys.argv[1]))
