"""From a signal or a person's word to an incident with a plan, and the decisions people make on it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import fasteners

from flows.wiring import Wiring
from playbooks.blast_radius import blast_radius
from playbooks.codenames import codename, new_incident_id
from playbooks.errors import Conflict, InvalidInput, KeyquellError
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, Signal
from playbooks.gates import same_person
from playbooks.incident import Incident
from playbooks.keys import KeyFacts
from playbooks.matching import match, same_case
from playbooks.planner import make_plan
from playbooks.plans import Phase, Plan
from playbooks.playbook import Playbook, choose
from playbooks.record import GENESIS, EventKind
from playbooks.refs import KeyRef

_INTAKE = threading.Lock()


def ingest(wiring: Wiring, signal: Signal) -> str | None:
    """Join the open incident that the signal belongs to, or open one; None when nothing in the estate matches.

    A signal that was seen before (same source and external id) changes nothing, unless an earlier process died before
    it had planned.  What a running response's plan does not cover becomes a case of its own: a plan whose steps run
    cannot change, and must not be claimed to contain what it never knew.
    """
    found = match(signal, wiring.estate)
    if not found:
        return None
    with _alone(wiring):
        for incident in open_incidents(wiring):
            seen = any(
                (each.source, each.external_id) == (signal.source, signal.external_id) for each in incident.signals
            )
            if not (seen or _cut_short(incident, signal) or same_case(signal, incident.exposures, found=found)):
                continue
            known = {(each.kind, each.target) for each in incident.exposures}
            news = [each for each in found if (each.kind, each.target) not in known]
            if news and _begun(incident):
                found = tuple(news)
                continue
            more = news if seen else [each for each in found if each not in incident.exposures]
            _add(wiring, incident.id, None if seen else signal, more)
            if news or incident.plan is None:
                _replan(wiring, incident.id)
            return incident.id
        incident_id = _open(wiring, found, requested_by=_detector(signal), severity="high", playbook="")
        _add(wiring, incident_id, signal, found)
        _replan(wiring, incident_id)
    return incident_id


def declare(
    wiring: Wiring, exposures: Sequence[Exposure], *, requested_by: str, severity: str = "high", playbook: str = ""
) -> str:
    """Open an incident on a person's word and plan it; returns its id.

    Raises InvalidInput when an exposed key or credential is not in the estate.
    """
    for exposure in exposures:
        _known(wiring, exposure)
    with _alone(wiring):
        incident_id = _open(wiring, exposures, requested_by=requested_by, severity=severity, playbook=playbook)
        _add(wiring, incident_id, None, exposures)
        _replan(wiring, incident_id)
    return incident_id


def preview(
    wiring: Wiring, exposures: Sequence[Exposure], *, requested_by: str
) -> tuple[Plan, Mapping[KeyRef, KeyFacts]]:
    """The plan that would be made now; nothing is written."""
    for exposure in exposures:
        _known(wiring, exposure)
    facts = read_facts(wiring, exposures)
    plan = make_plan(
        incident_id="PREVIEW",
        exposures=exposures,
        estate=wiring.estate,
        facts=facts,
        playbook=choose(wiring.catalog, exposures),
        requested_by=requested_by,
    )
    return plan, facts


def replan(wiring: Wiring, incident_id: str) -> Plan:
    """Read the facts and plan again; a plan that has begun to run is kept, for its steps hold its outputs.

    Raises InvalidInput for an incident that was closed before it had a plan.
    """
    with _alone(wiring):
        return _replan(wiring, incident_id)


def _replan(wiring: Wiring, incident_id: str) -> Plan:
    while True:
        incident = wiring.incident(incident_id)
        if incident.plan is not None and (incident.closed is not None or _begun(incident)):
            return incident.plan
        if incident.closed is not None or not incident.exposures:
            raise InvalidInput(f"{incident_id} has nothing to plan: it is closed, or nothing is known to be out.")
        facts = read_facts(wiring, incident.exposures)
        plan = make_plan(
            incident_id=incident_id,
            exposures=incident.exposures,
            estate=wiring.estate,
            facts=facts,
            playbook=_playbook(wiring, incident),
            requested_by=incident.requested_by,
        )
        if incident.plan is not None and plan.digest == incident.plan.digest:
            return plan
        read = {str(key): fact.model_dump(mode="json") for key, fact in facts.items()}
        try:
            head = _note_at(wiring, incident, incident.head, EventKind.FACTS_READ, facts=read)
            _note_at(wiring, incident, head, EventKind.PLAN_MADE, plan=plan)
        except Conflict:
            continue
        return plan


def read_facts(wiring: Wiring, exposures: Iterable[Exposure]) -> dict[KeyRef, KeyFacts]:
    """Facts of every key within the blast radius, read side by side.

    One that cannot be read is left out, and the plan says so; a backend that hangs costs its own timeout once.
    """
    keys = [KeyRef.parse(reached.name) for reached in blast_radius(wiring.estate, tuple(exposures)).keys]

    def read(key: KeyRef) -> KeyFacts | None:
        try:
            facts: KeyFacts = wiring.keys(key).describe(key)
        except KeyquellError:
            return None
        return facts

    with ThreadPoolExecutor(max_workers=max(1, min(16, len(keys)))) as pool:
        return {key: facts for key, facts in zip(keys, pool.map(read, keys), strict=True) if facts is not None}


def approve(wiring: Wiring, incident_id: str, *, approver: str, digest: str, method: str = "cli") -> None:
    """Record an approval of exactly this plan.

    Raises InvalidInput when the digest is not that of the current plan, or the approver asked for it.
    """
    incident, plan = _with_digest(wiring, incident_id, digest)
    if same_person(approver, incident.requested_by):
        raise InvalidInput(f"{approver} asked for this and cannot approve it.", hint="Ask another person.")
    if any(same_person(approval.approver, approver) for approval in incident.approvals):
        return
    _note(
        wiring,
        incident_id,
        EventKind.APPROVAL_GIVEN,
        approver=approver,
        digest=plan.digest,
        method=method,
    )


def deny(wiring: Wiring, incident_id: str, *, approver: str, digest: str, reason: str) -> None:
    """Record a denial: one stops every step that needs approval, until the plan changes."""
    _, plan = _with_digest(wiring, incident_id, digest)
    _note(
        wiring,
        incident_id,
        EventKind.APPROVAL_DENIED,
        approver=approver,
        digest=plan.digest,
        reason=reason,
    )


def close(wiring: Wiring, incident_id: str, *, by: str, outcome: str) -> None:
    """End the case, once.  Raises InvalidInput for an outcome that the record contradicts."""
    while True:
        incident = wiring.incident(incident_id)
        if incident.closed is not None:
            return
        if outcome == "recovered":
            _refuse_if_open(incident)
        try:
            _note_at(wiring, incident, incident.head, EventKind.CLOSED, by=by, outcome=outcome)
        except Conflict:
            continue
        return


def _refuse_if_open(incident: Incident) -> None:
    """Raise InvalidInput when containment was never proven, or was taken back since."""
    if incident.contained_at is None:
        raise InvalidInput(
            f"{incident.id} was never proven contained, so it cannot be closed as recovered.",
            hint="Close it as not-contained or false-alarm, or go on with `keyquell run`.",
        )
    planned = incident.plan.in_phase(Phase.CONTAIN) if incident.plan else ()
    if any(incident.steps[step.id].state == "undone" for step in planned):
        raise InvalidInput(
            f"the containment of {incident.id} was taken back, so it cannot be closed as recovered.",
            hint="Close it as false-alarm, or as not-contained and declare it anew.",
        )


def open_incidents(wiring: Wiring) -> list[Incident]:
    """Every incident that is not closed, oldest first."""
    found = [wiring.incident(each) for each in wiring.records.incidents()]
    return [incident for incident in found if incident.closed is None]


def _open(wiring: Wiring, exposures: Sequence[Exposure], *, requested_by: str, severity: str, playbook: str) -> str:
    incident_id = new_incident_id(wiring.clock(), os.urandom(4))
    if playbook and playbook not in wiring.catalog:
        raise InvalidInput(f"there is no playbook {playbook!r}.", hint=f"Known: {', '.join(sorted(wiring.catalog))}.")
    chosen = wiring.catalog[playbook] if playbook else choose(wiring.catalog, exposures)
    exercise = wiring.settings.exercise
    body = body_of(
        EventKind.INCIDENT_OPENED,
        codename=codename(incident_id),
        severity=severity,
        exercise=exercise is not None,
        requested_by=requested_by,
        playbook=chosen.name,
        scenario=exercise.scenario if exercise else "",
    )
    wiring.records.append(incident_id, kind=EventKind.INCIDENT_OPENED, body=body, expected_head=GENESIS)
    return incident_id


def _add(wiring: Wiring, incident_id: str, signal: Signal | None, exposures: Iterable[Exposure]) -> None:
    if signal is not None:
        _note(wiring, incident_id, EventKind.SIGNAL_RECEIVED, signal=signal)
    for exposure in exposures:
        _note(wiring, incident_id, EventKind.EXPOSURE_ADDED, exposure=exposure)


def _note(wiring: Wiring, incident_id: str, kind: EventKind, **fields: Any) -> None:
    wiring.records.append_next(incident_id, kind=kind, body=body_of(kind, **fields))


def _note_at(wiring: Wiring, incident: Incident, head: str, kind: EventKind, **fields: Any) -> str:
    """Write only if nothing came in between: for events that contradict a record that moved on."""
    return wiring.records.append(incident.id, kind=kind, body=body_of(kind, **fields), expected_head=head).hash


def _begun(incident: Incident) -> bool:
    return any(status.attempts for status in incident.steps.values())


def _cut_short(incident: Incident, signal: Signal) -> bool:
    """Did this detector's earlier process die right after it had opened the case?"""
    return not incident.exposures and not incident.signals and incident.requested_by == _detector(signal)


def _detector(signal: Signal) -> str:
    return f"detector:{signal.source}"


@contextmanager
def _alone(wiring: Wiring) -> Iterator[None]:
    """One intake at a time on this installation: two detectors that find the same leak must not open two cases."""
    with _INTAKE, fasteners.InterProcessLock(wiring.settings.state / "intake.lock"):
        yield


def _playbook(wiring: Wiring, incident: Incident) -> Playbook:
    return wiring.catalog[incident.playbook]


def _with_digest(wiring: Wiring, incident_id: str, digest: str) -> tuple[Incident, Plan]:
    incident = wiring.incident(incident_id)
    if incident.plan is None or len(digest) < 8 or not incident.plan.digest.startswith(digest):
        current = incident.plan.digest[:12] if incident.plan else "none"
        raise InvalidInput(
            f"the plan of {incident_id} has the digest {current}…, not {digest[:12]!r}.",
            hint=f"Look at it with `keyquell plan {incident_id}` and approve what you saw.",
        )
    return incident, incident.plan


def _known(wiring: Wiring, exposure: Exposure) -> None:
    estate = wiring.estate
    known = {str(entry.ref) for entry in estate.keys} | {str(entry.ref) for entry in estate.credentials}
    known |= {str(entry.ref) for entry in estate.datasets}
    if exposure.target not in known:
        raise InvalidInput(
            f"{exposure.target!r} is not in the estate.",
            hint="List what is with `keyquell inventory show`, or add it with `keyquell inventory import`.",
        )
