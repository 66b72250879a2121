"""What takes long the first time is done before somebody waits for it: indexes of the inventory, lines of old cases."""

from __future__ import annotations

import threading
from collections.abc import Callable

from flows.background import Trouble, log_trouble
from flows.code_names import code_names
from flows.decisions import all_decisions
from flows.docket import docket
from flows.key_health import key_health
from flows.opening import prime
from flows.overview import overview
from flows.urgency import after_the_proofs, after_the_urgent
from flows.wiring import Wiring
from playbooks.blast_radius import Graph
from playbooks.errors import KeyquellError
from playbooks.estate_words import EstateWords
from playbooks.matching import prime as prime_matching
from playbooks.readiness import prime as prime_readiness


def warm(wiring: Wiring, stop: threading.Event, *, on_trouble: Trouble = log_trouble) -> None:
    """Look at everything once, what containment needs first; whatever is urgent goes before.  Never raises.

    What fails here fails again, and is said, where somebody asks for it.
    """
    looks: tuple[tuple[str, Callable[[], object]], ...] = (
        ("estate", lambda: prime_matching(wiring.estate)),
        ("estate", lambda: Graph.of(wiring.estate)),
        ("cases", lambda: prime(wiring)),
        ("cases", lambda: code_names(wiring)),
        ("estate", lambda: EstateWords.of(wiring.estate)),
        ("decisions", lambda: all_decisions(wiring)),
        ("deadlines", lambda: docket(wiring).look()),
        ("estate", lambda: prime_readiness(wiring.estate)),
        ("overview", lambda: overview(wiring).all()),
        ("key health", lambda: key_health(wiring, overview(wiring).all())),
    )
    for name, look in looks:
        if stop.is_set():
            return
        after_the_urgent()
        after_the_proofs()
        try:
            look()
        except KeyquellError as error:
            on_trouble(name, error)
        except Exception as error:  # noqa: BLE001 - reported by its type; its text may hold a secret
            on_trouble(name, KeyquellError(f"unexpected {type(error).__name__}"))
