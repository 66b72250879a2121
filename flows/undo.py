"""Takes back the reversible steps of a false alarm, the last first; never automatic, always somebody's decision."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import fasteners

from flows.wiring import Wiring
from playbooks.errors import Conflict, InvalidInput, KeyquellError, Unavailable
from playbooks.event_bodies import body_of
from playbooks.incident import Incident
from playbooks.keys import KeyState
from playbooks.plans import Action, Step
from playbooks.ports import Undo
from playbooks.receipts import Receipt
from playbooks.record import EventKind
from playbooks.refs import CredentialRef, KeyRef

_Reverse = Callable[[Wiring, Step, Undo], Receipt]
_LOCKS: dict[str, threading.Lock] = {}
_LOCKS_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one step: taken back, or why not; ``failed`` when it could have been and was not."""

    step: str
    taken_back: bool
    reason: str = ""
    failed: bool = False


def undo(wiring: Wiring, incident_id: str, *, by: str) -> list[Undone]:
    """Take back every step that can be; goes on past one that cannot, and says so, in the record too.

    Of two callers at once the second waits, and takes back only what the first has left.  Raises InvalidInput when
    there is nothing to take back.
    """
    something_to_undo(wiring.incident(incident_id))
    with _alone(wiring, incident_id):
        _note(wiring, incident_id, "Undo was asked for.", by)
        incident = wiring.incident(incident_id)
        planned = incident.plan.steps if incident.plan else ()
        results = []
        for step in reversed(planned):
            if _ran(incident, step):
                results.append(_take_back(wiring, incident, step))
                if results[-1].failed:
                    _note(wiring, incident_id, f"{step.id} was not taken back: {results[-1].reason}", by)
        return results


def foreseen(incident: Incident) -> list[tuple[Step, str]]:
    """The steps that ran, the last first, each with why an undo leaves it as it is; "" when it is taken back."""
    planned = incident.plan.steps if incident.plan else ()
    return [(step, _why_not(incident, step)) for step in reversed(planned) if _ran(incident, step)]


def something_to_undo(incident: Incident) -> None:
    """Raise InvalidInput when no step of the incident has run."""
    if incident.plan is None or not any(status.attempts for status in incident.steps.values()):
        raise InvalidInput(f"nothing of {incident.id} has run, so there is nothing to undo.")


@contextmanager
def _alone(wiring: Wiring, incident_id: str) -> Iterator[None]:
    """One undo of an incident at a time on this installation; a file lock alone does not tell threads apart."""
    with _LOCKS_LOCK:
        lock = _LOCKS.setdefault(incident_id, threading.Lock())
    with lock, fasteners.InterProcessLock(wiring.settings.state / f"undo-{incident_id}.lock"):
        yield


def _note(wiring: Wiring, incident_id: str, text: str, by: str) -> None:
    wiring.records.append_next(incident_id, kind=EventKind.NOTE, body=body_of(EventKind.NOTE, text=text, by=by))


def _ran(incident: Incident, step: Step) -> bool:
    return incident.steps[step.id].attempts > 0 and incident.steps[step.id].state != "undone"


def _take_back(wiring: Wiring, incident: Incident, step: Step) -> Undone:
    if why := _why_not(incident, step):
        return Undone(step.id, taken_back=False, reason=why)
    done = incident.steps[step.id].receipt
    try:
        receipt = _REVERSES[step.action](wiring, step, done.undo if done else {})
    except Unavailable as error:
        return Undone(step.id, taken_back=False, reason=str(error))
    except KeyquellError as error:
        return Undone(step.id, taken_back=False, reason=str(error), failed=True)
    _write(wiring, incident.id, step, receipt)
    return Undone(step.id, taken_back=True)


def _why_not(incident: Incident, step: Step) -> str:
    status = incident.steps[step.id]
    if step.undo is None or step.action not in _REVERSES:
        return "it cannot be taken back"
    if status.receipt is None or status.receipt.changed:
        return ""
    if status.attempts < 2:
        return "it was so before the incident"
    if not _worked_before(incident, step):
        return "it was tried twice, and nothing says whether it was so before: look, and turn it on by hand"
    return ""


def _write(wiring: Wiring, incident_id: str, step: Step, receipt: Receipt) -> None:
    """Once, also when somebody on another host takes the same step back at the same moment."""
    body = body_of(EventKind.STEP_UNDONE, step=step.id, receipt=receipt)
    while True:
        incident = wiring.incident(incident_id)
        if incident.steps[step.id].state == "undone":
            return
        try:
            wiring.records.append(incident_id, kind=EventKind.STEP_UNDONE, body=body, expected_head=incident.head)
        except Conflict:
            continue
        return


def _worked_before(incident: Incident, step: Step) -> bool:
    """Do the facts read before the response say that the key was in use?  A retry finds what its own first try did."""
    facts = incident.facts.get(step.target)
    return facts is not None and facts.state is KeyState.ACTIVE


def _restore(wiring: Wiring, step: Step, undo_data: Undo) -> Receipt:
    credential = CredentialRef.parse(step.target)
    receipt: Receipt = wiring.credentials(credential).restore(credential, undo=undo_data)
    return receipt


def _on_key(move: str) -> _Reverse:
    def reverse(wiring: Wiring, step: Step, undo_data: Undo) -> Receipt:
        key = KeyRef.parse(step.target)
        receipt: Receipt = getattr(wiring.keys(key), move)(key, undo=undo_data)
        return receipt

    return reverse


_REVERSES: dict[Action, _Reverse] = {
    Action.CUT_CREDENTIAL: _restore,
    Action.QUARANTINE_KEY: _on_key("release"),
    Action.STOP_ENCRYPTION: _on_key("resume_encryption"),
    Action.DISABLE_KEY: _on_key("enable"),
    Action.SCHEDULE_DELETION: _on_key("cancel_deletion"),
}
