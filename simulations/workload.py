"""The legitimate service of a drill: ``python -m simulations.workload --config workload.json``.

It works with its own credentials at a set rate until SIGTERM, journals every request, and writes ``health.json``.
"""

from __future__ import annotations

import argparse
import signal
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from playbooks.errors import InvalidInput, Refused
from simulations.journals import Journal, WorkloadConfig, WorkloadRequest, milliseconds, read_config
from simulations.services.data_service import DataService
from simulations.services.health import Health
from simulations.services.own_access import OwnAccess
from simulations.services.relying_party import RelyingParty, serve
from simulations.services.request import Request, code_of
from simulations.services.signer import Signer

_BEHIND_SECONDS = 1.0


class Workload:
    """Runs a service until ``stop`` is set; a service that fell behind does not catch up more than a second."""

    def __init__(self, config: WorkloadConfig, *, stop: threading.Event) -> None:
        self._config = config
        self._stop = stop
        self._access = OwnAccess(config)
        self._service = _service(config, self._access)
        self._health = Health(config.settings, kinds=self._service.kinds)

    def run(self) -> None:
        """Make requests at the set rate until stopped."""
        interval = 1 / self._config.rate_per_second
        due = time.monotonic()
        requests = self._service.requests()
        try:
            with Journal.open(self._config.journal) as journal:
                while not self._stop.wait(max(0.0, due - time.monotonic())):
                    if self._access.refresh():
                        self._health.start_over()
                    journal.write(self._make(next(requests)))
                    self._health.write(credential=self._access.setting("credential"), key=self._service.key)
                    due = max(due + interval, time.monotonic() - _BEHIND_SECONDS)
        finally:
            self._access.close()

    def _make(self, request: Request) -> WorkloadRequest:
        at, code, version = datetime.now(UTC), "", request.version
        try:
            found = request.run()
            version = version if found is None else found
        except Exception as error:  # noqa: BLE001 - a service answers its customers whatever breaks; it is counted
            code = code_of(error)
            if isinstance(error, Refused | InvalidInput):
                self._access.note_refusal()
        self._health.note(request.kind, code)
        finished_at = datetime.now(UTC)
        return WorkloadRequest(
            at=at,
            finished_at=finished_at,
            operation=request.operation,
            dataset=request.dataset,
            object=request.object,
            ok=not code,
            code=code,
            latency_ms=milliseconds(at, finished_at),
            plaintext_version=version,
        )


def _service(config: WorkloadConfig, access: OwnAccess) -> DataService | Signer:
    if config.kind == "data-service":
        return DataService(config, access)
    if config.signing is None:
        raise InvalidInput("workload.json: signing: a signing-service needs it")
    return Signer(config, config.signing, access)


def main() -> None:
    """Read ``--config`` and work until SIGTERM; a signing service brings its relying party with it."""
    parser = argparse.ArgumentParser(description="The legitimate service of a drill.")
    parser.add_argument("--config", type=Path, required=True, help="workload.json")
    config = read_config(parser.parse_args().config, WorkloadConfig)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = None
    if config.signing is not None:
        party = RelyingParty(config.signing, config.settings)
        server = serve(party, config.signing.relying_party_port)
    Workload(config, stop=stop).run()
    if server is not None:
        server.shutdown()


if __name__ == "__main__":
    main()
