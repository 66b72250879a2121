"""``python -m integrations.vendors.pkcs11_template FD``: has imported what a worker needs, and copies itself on demand.

Starting an interpreter and importing python-pkcs11 costs 0.2 s, a copy of this process some milliseconds.  It loads no
PKCS#11 module itself, so a copy is as fresh as a new process: there is no session and no log-in to inherit.

On the socket ``FD`` (SOCK_SEQPACKET) a request is the JSON object of environment variables to add, with two
descriptors: where the worker reads requests and where it answers.  The answer is the worker's pid, with a pidfd of it,
so that its owner never signals another process that got the same number.  The template ends with its owner.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from typing import Any

from integrations.vendors.pkcs11_worker import serve

_LARGEST = 1 << 16


def _reap(_number: int, _frame: Any) -> None:
    """Forget workers that ended; SIGCHLD is blocked while one is being made."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _become_worker(control: socket.socket, environment: dict[str, str], requests: int, answers: int) -> None:
    control.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os.environ.update(environment)
    with os.fdopen(requests, "rb") as reader, os.fdopen(answers, "wb") as writer:
        serve(reader, writer)


def _copy(control: socket.socket, environment: dict[str, str], requests: int, answers: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    pid = os.fork()
    if not pid:
        try:
            _become_worker(control, environment, requests, answers)
        finally:
            # Modules' exit handlers are skipped on purpose: some of them crash or wait.
            os._exit(0)
    watched = os.pidfd_open(pid)
    socket.send_fds(control, [str(pid).encode()], [watched])
    for descriptor in (watched, requests, answers):
        os.close(descriptor)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


def main(control: socket.socket) -> None:
    """Make workers until the owner hangs up."""
    signal.signal(signal.SIGCHLD, _reap)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the owner, who ends its workers
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, _LARGEST, 2)
        if not request:
            return
        _copy(control, json.loads(request), *descriptors)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
