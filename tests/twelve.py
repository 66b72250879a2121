"""Twelve cases as of ten o'clock, an hour after their nine: nine real ones and three exercises.

=======  =====================================================================================================
R1       good at 8:00, evidence at 8:40, noticed at 9:00, taken 9:02, contained 9:10, restored 9:30, closed
R2       evidence at 8:40 and nothing known before; noticed at 9:00, contained 9:20
R3       noticed at 9:00, contained 9:20
R4       noticed at 9:35, open
R5       noticed at 9:00, contained 9:30, restored 9:45
R6       noticed at 9:00, contained 9:40, found open again at 9:45
R7       noticed at 9:00, contained 9:50
R8       declared at 9:00 by a person, nothing noticed it, contained 9:05
R9       a false alarm
D1..D3   exercises: contained after one minute, after two, and not
=======  =====================================================================================================
"""

from __future__ import annotations

from told import Told, at

from playbooks.record import Event, EventKind
from playbooks.summary import Summary, summary_of

NOW = at(60)


def twelve() -> dict[str, list[Event]]:
    """The events of each, by name."""
    told = {name: Told(name) for name in ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9")}
    told |= {name: Told(name, exercise=True) for name in ("D1", "D2", "D3")}
    told["R1"].exposed(0, between=(-60, -20))
    told["R2"].exposed(0, between=(None, -20))
    for name in ("R1", "R2", "R3", "R5", "R6", "R7", "R9", "D1", "D2", "D3"):
        told[name].seen(0, observed=0)
    told["R4"].seen(35, observed=35)
    told["R1"].add(2, EventKind.ACKNOWLEDGED, by="bob", via="slack")
    for name, minutes in {
        "R1": 10,
        "R2": 20,
        "R3": 20,
        "R5": 30,
        "R6": 40,
        "R7": 50,
        "R8": 5,
        "D1": 1,
        "D2": 2,
    }.items():
        told[name].add(minutes, EventKind.CONTAINED, probes=3)
    told["R6"].add(45, EventKind.NOT_CONTAINED, reasons=("the old key decrypts",))
    for name, minutes in {"R1": 30, "R5": 45}.items():
        told[name].add(minutes, EventKind.RESTORED, consumers=("checkout",))
    told["R1"].add(50, EventKind.CLOSED, by="bob", outcome="recovered")
    told["R9"].add(5, EventKind.CLOSED, by="bob", outcome="false-alarm")
    return {name: each.events for name, each in told.items()}


def summaries() -> list[Summary]:
    """The twelve, a line each."""
    return [summary_of(events) for events in twelve().values()]
