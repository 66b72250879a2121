"""A canary session is welcome, and never holds a cut up."""

from __future__ import annotations

import threading

import pytest

from integrations import canaries
from playbooks.errors import Unreachable


def test_a_cut_does_not_wait_for_a_canary_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way goes on while the minting still hangs."""
    monkeypatch.setattr(canaries, "MINT_SECONDS", 0.01)
    hangs, ended = threading.Event(), threading.Event()

    def mint() -> None:
        hangs.wait()
        ended.set()

    canaries.within_a_second(mint)
    assert not ended.is_set()
    hangs.set()
    assert ended.wait(60)


def test_what_goes_wrong_while_minting_stops_no_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing canary tells it later; a defect of ours is still told at once."""
    told: list[type[BaseException] | None] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: told.append(args.exc_type))

    def failing(error: Exception) -> None:
        def mint() -> None:
            raise error

        canaries.within_a_second(mint)

    failing(Unreachable("nobody answers."))
    failing(PermissionError("the folder may not be written"))
    assert told == []
    failing(AttributeError("a defect"))
    assert told == [AttributeError]
