"""A case with something to take back, and what was confirmed about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from approvers import CONTAIN, Office, open_office

from playbooks.event_bodies import Confirmed, read_body
from playbooks.record import EventKind


@contextmanager
def case_to_confirm(root: Path) -> Iterator[Office]:
    """A case of alice's with a containing step that ran; alice, bob and carol have passkeys."""
    with open_office(root) as office:
        for person in ("alice", "bob", "carol"):
            office.enrol(person)
        office.case()
        office.write(EventKind.STEP_STARTED, step=CONTAIN.id, attempt=1, owner="somebody/1/0")
        yield office


def confirmed(office: Office) -> list[Confirmed]:
    """What was confirmed, in order."""
    events = office.wiring.records.of_kind(EventKind.CONFIRMED)
    return [body for each in events if isinstance(body := read_body(each), Confirmed)]
