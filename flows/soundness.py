"""Settings that cannot work are refused before anything is served, each in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from flows.deadlines import book
from flows.settings import name_of
from flows.wiring import Wiring
from playbooks.errors import InvalidInput, KeyquellError


def refuse_mistakes(wiring: Wiring) -> None:
    """Read roster, estate and rules of deadlines, open all that is listed (detectors, pagers …); no network is used.

    Raises InvalidInput for the first mistake.  What may mend itself (a backend that is away) is no mistake.
    """
    wiring.estate  # noqa: B018 - reading it raises when it cannot be read
    wiring.roster  # noqa: B018
    book(wiring)
    settings = wiring.settings
    listed = {
        "detectors": settings.detectors,
        "messengers": settings.messengers,
        "pagers": settings.pagers,
        "siem": settings.siem,
        "anchors": settings.anchors,
    }
    for room, entries in listed.items():
        for name, times in Counter(map(name_of, entries)).items():
            if times > 1:
                message = f"{settings.source}: {room}: {times} of them are called {name!r}."
                raise InvalidInput(message, hint="Give each a `name` of its own.")
    for room in (*listed, "surfaces", "traces"):
        for name, opened in wiring.parts(room).items():
            _open(f"{settings.source}: {room}: {name}", opened)
    if (signer := settings.evidence.signer) is not None:
        _open(f"{settings.source}: evidence.signer", lambda: wiring.signing_keys(signer))


def _open(place: str, opened: Callable[[], object]) -> None:
    try:
        opened()
    except InvalidInput as error:
        raise InvalidInput(f"{place}: {error.message}", hint=error.hint) from error
    except KeyquellError:
        return  # it is opened again when it is needed, and then says so
