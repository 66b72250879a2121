"""What every move of the listener needs: the desk, room to work, and a voice."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from integrations.slack.answers import Answers, Place
from integrations.slack.deliveries import Deliveries
from integrations.slack.words import explained
from integrations.slack.work import Work
from playbooks.desk import Actor, Desk
from playbooks.errors import KeyquellError
from playbooks.ports import Clock

BUSY = "keyquell has more to do than it can take on. Try again in a minute, or use `keyquell` on the command line."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """``moves`` is for what changes an incident, ``questions`` for what only asks: neither waits for the other."""

    desk: Desk
    answers: Answers
    moves: Work
    questions: Work
    deliveries: Deliveries
    clock: Clock
    command: str

    async def begin(
        self, work: Work, place: Place, job: Callable[[], Awaitable[None]], *, failed: str = "That did not work."
    ) -> None:
        """Do the job beside the listener; whatever goes wrong is told to the person who asked, after ``failed``."""

        async def served() -> None:
            try:
                await job()
            except KeyquellError as error:
                await self.answers.whisper(place, explained(error, failed))
            except Exception as error:
                kind = type(error).__name__
                await self.answers.whisper(place, f"{failed} Something unforeseen happened ({kind}); see the log.")
                raise

        if not work.start(served):
            _log.warning("slack: no room for another request")
            await self.answers.whisper(place, f"{failed} {BUSY}")


def actor(user: str) -> Actor:
    """The person behind a member id, as the desk knows people."""
    return Actor(account=user, via="slack")
