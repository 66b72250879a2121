"""Which links lead somewhere at this moment, known without asking the record for each."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from flows.passkey_register import request_of
from flows.wiring import Wiring
from playbooks.errors import KeyquellError
from playbooks.record import INSTALLATION, EventKind

_READ_AGAIN_SECONDS = 1.0


class OpenLinks:
    """The links that were made so lately that they may be good; the record is read once a second at most."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._lock = threading.Lock()
        self._requests: frozenset[str] = frozenset()
        self._read_at = float("-inf")

    def know(self, token: str) -> bool:
        """Was a link with this token made within the time for which links are good?  False when nobody can say."""
        request = request_of(token)
        with self._lock:
            if time.monotonic() - self._read_at >= _READ_AGAIN_SECONDS:
                self._requests = self._read()
                self._read_at = time.monotonic()
            return request in self._requests

    def _read(self) -> frozenset[str]:
        records, lately = self._wiring.records, self._wiring.clock() - self._good_for()
        try:
            asked = records.of_kind(EventKind.APPROVAL_ASKED, since=lately)
            invited = records.of_kind(EventKind.PASSKEY_INVITED, incident=INSTALLATION, since=lately)
        except KeyquellError:
            return frozenset()
        return frozenset(str(each.body["request"]) for each in (*asked, *invited))

    def _good_for(self) -> timedelta:
        return timedelta(minutes=self._wiring.settings.policy.link_minutes)
