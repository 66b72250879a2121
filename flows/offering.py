"""One try to hand a message to a channel, in a thread of its own, because a client may hang however it was configured.

A try that has not ended in its time may still succeed: the next one takes it up instead of sending again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from playbooks.errors import KeyquellError, Unavailable
from playbooks.ports import Delivers, Message

_LOST_SECONDS = 120.0
"""A try that has not ended after this never will: the message is sent again, although that may double it."""

_UNDER_WAY: dict[tuple[int, str, str], _Try] = {}
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """ "" or why it was not taken; ``never`` when this channel will not carry the message at all."""

    error: str = ""
    never: bool = False


class _Try:
    """A delivery under way."""

    def __init__(self, messenger: Delivers, message: Message) -> None:
        self.messenger = messenger
        self.outcome: Outcome | None = None
        self._began = time.monotonic()
        self._message = message
        self._thread = threading.Thread(target=self._deliver, name=f"deliver-{message.id}", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        return self.outcome is None and time.monotonic() > self._began + _LOST_SECONDS

    def wait(self, until: float) -> Outcome | None:
        """What became of it; None when that is not known by ``until`` (monotonic seconds)."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return self.outcome

    def _deliver(self) -> None:
        try:
            self.messenger.deliver(self._message)
        except Unavailable as error:
            self.outcome = Outcome(error.message, never=True)
        except KeyquellError as error:
            self.outcome = Outcome(error.message)
        except Exception as error:  # noqa: BLE001  a broken channel must not reach the response; its text may hold a secret
            self.outcome = Outcome(type(error).__name__)
        else:
            self.outcome = Outcome()


def offer(messengers: Mapping[str, Delivers], incident_id: str, message: Message, seconds: float) -> dict[str, Outcome]:
    """Offer a message to all at once, and wait ``seconds`` for them together; what became of it, by their names."""
    until = time.monotonic() + seconds
    tries = {name: _begun(each, incident_id, message) for name, each in messengers.items()}
    found: dict[str, Outcome] = {}
    for name, attempt in tries.items():
        outcome = attempt.wait(until)
        if outcome is not None:
            with _LOCK:
                _UNDER_WAY.pop(_key(attempt.messenger, incident_id, message), None)
        found[name] = outcome or Outcome(f"no answer within {seconds:g} s")
    return found


def _begun(messenger: Delivers, incident_id: str, message: Message) -> _Try:
    """The try that is under way, or has succeeded late; else a new one."""
    key = _key(messenger, incident_id, message)
    with _LOCK:
        known = _UNDER_WAY.get(key)
        if known is None or known.is_lost or (known.outcome is not None and known.outcome.error):
            known = _UNDER_WAY[key] = _Try(messenger, message)
        return known


def _key(messenger: Delivers, incident_id: str, message: Message) -> tuple[int, str, str]:
    """By the object itself: as long as a try is kept, so is its messenger, and no other has its number."""
    return id(messenger), incident_id, message.id
