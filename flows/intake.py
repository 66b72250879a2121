"""From a signal or a person's word to an incident with a plan, and the decisions people make on it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import fasteners

from flows.approvals import approve, close, deny
from flows.installation import note_unmatched
from flows.opening import open_case, open_incidents, opened_by, settled_by
from flows.urgency import urgent
from flows.wiring import Wiring
from playbooks.blast_radius import Graph, blast_radius
from playbooks.correlation import holds, joins, opened, same_thing, strengthened
from playbooks.errors import Conflict, InvalidInput, KeyquellError
from playbooks.estate import CredentialEntry, DatasetEntry, KeyEntry
from playbooks.event_bodies import body_of
from playbooks.exposures import Exposure, Signal
from playbooks.incident import Incident
from playbooks.keys import KeyFacts
from playbooks.matching import match
from playbooks.planner import make_plan
from playbooks.plans import Plan
from playbooks.playbook import Playbook, choose
from playbooks.record import EventKind
from playbooks.refs import KeyRef

__all__ = [
    "Taken",
    "approve",
    "close",
    "declare",
    "deny",
    "ingest",
    "open_incidents",
    "preview",
    "read_facts",
    "replan",
    "take_in",
]

_INTAKE = threading.Lock()


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a finding.

    ``incident`` is "" when nothing in the estate matches.  ``known`` findings were in an open case before, ``settled``
    ones in a case that was closed since: nothing is opened for those.
    """

    incident: str
    how: Literal["opened", "joined", "known", "settled", "unmatched"]

    @property
    def open(self) -> bool:
        """Is there an open case, whose containment should be run (again)?"""
        return self.how in ("opened", "joined", "known")


def ingest(wiring: Wiring, signal: Signal) -> str | None:
    """Take a finding in, and return its incident's id; None when nothing in the estate matches."""
    return take_in(wiring, signal).incident or None


def take_in(wiring: Wiring, signal: Signal) -> Taken:
    """Join the open incident that the finding belongs to, or open one.

    A finding that was seen before (same source and external id) changes nothing, unless an earlier process died before
    it had planned.  What a running response's plan does not cover becomes a case of its own: a plan whose steps run
    cannot change, and must not be claimed to contain what it never knew.  A further source may raise the confidence of
    what is known, and so open the gates of containment.  What matches nothing is written to the installation's chain,
    once, for a person to look at.
    """
    found = match(signal, wiring.estate)
    if not found:
        note_unmatched(wiring, signal)
        return Taken("", "unmatched")
    with urgent():
        taken = _take_in(wiring, signal, found)
        if taken.open:
            _planned(wiring, taken.incident)
    return taken


def _take_in(wiring: Wiring, signal: Signal, found: tuple[Exposure, ...]) -> Taken:
    with _alone(wiring):
        for incident in open_incidents(wiring):
            if not _belongs(incident, signal, found):
                continue
            news = [each for each in found if not any(same_thing(each, known) for known in incident.exposures)]
            if not (news and _begun(incident)):
                return _join(wiring, incident, signal, found, news)
            found = tuple(news)
        if settled := settled_by(wiring, signal):
            return Taken(settled, "settled")
        incident_id = open_case(wiring, found, requested_by=_detector(signal), severity="high", playbook="")
        _add(wiring, incident_id, signal, found)
    return Taken(incident_id, "opened")


def declare(
    wiring: Wiring,
    exposures: Sequence[Exposure],
    *,
    requested_by: str,
    severity: str = "high",
    playbook: str = "",
    origin: str = "",
    note: str = "",
) -> str:
    """Open an incident on a person's word and plan it; returns its id.

    The same ``origin`` (a form's id, say) again returns the incident that it opened, finished if a process died over
    it.  ``note`` is the person's remark, free of secrets.
    Raises InvalidInput when an exposed key or credential is not in the estate.
    """
    with urgent():
        with _alone(wiring):
            incident_id = _declared(wiring, exposures, requested_by, severity, playbook, origin, note)
        _planned(wiring, incident_id)
    return incident_id


def _declared(
    wiring: Wiring,
    exposures: Sequence[Exposure],
    requested_by: str,
    severity: str,
    playbook: str,
    origin: str,
    note: str,
) -> str:
    incident_id = opened_by(wiring, origin)
    if not incident_id:
        for exposure in exposures:
            _known(wiring, exposure)
        incident_id = open_case(
            wiring, exposures, requested_by=requested_by, severity=severity, playbook=playbook, origin=origin
        )
    incident = wiring.incident(incident_id)
    if incident.plan is None and incident.closed is None:
        if note and all(event.kind is not EventKind.NOTE for event in wiring.records.events(incident_id)):
            _note(wiring, incident_id, EventKind.NOTE, text=note, by=requested_by)
        _add(wiring, incident_id, None, [each for each in exposures if each not in incident.exposures])
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


def _belongs(incident: Incident, signal: Signal, found: Sequence[Exposure]) -> bool:
    return _cut_short(incident, signal) or joins(
        signal, signals=incident.signals, exposures=incident.exposures, found=found
    )


def _join(
    wiring: Wiring, incident: Incident, signal: Signal, found: Sequence[Exposure], news: Sequence[Exposure]
) -> Taken:
    """Add what the finding brings; written down step by step so that a repetition finishes what a crash cut off."""
    seen = holds(incident.signals, signal)
    within = timedelta(minutes=wiring.settings.policy.correlation_minutes)
    stronger = [
        (known, strengthened(known, each, signal, incident.signals, wiring.estate, within=within))
        for known in incident.exposures
        for each in found
        if same_thing(known, each)
    ]
    raised = [after for before, after in stronger if after != before]
    _add(wiring, incident.id, None if seen else signal, [*news, *raised])
    if not news and incident.plan is not None:
        _open_gates(wiring, incident.id)
    return Taken(incident.id, "known" if seen else "joined")


def _planned(wiring: Wiring, incident_id: str) -> None:
    """See that the plan covers what is known to be out; outside the lock, because a backend may take its time."""
    incident = wiring.incident(incident_id)
    if incident.closed is None and (incident.plan is None or not _covers(incident.plan, incident.exposures)):
        replan(wiring, incident_id)


def _covers(plan: Plan, exposures: Sequence[Exposure]) -> bool:
    return {f"{each.kind} of {each.target}" for each in exposures} <= set(plan.exposures)


def _open_gates(wiring: Wiring, incident_id: str) -> None:
    """Let the confidence that was reached open the gates of containment; a person's no to this plan stands."""
    while True:
        incident = wiring.incident(incident_id)
        if incident.plan is None or incident.closed is not None or incident.denials:
            return
        plan = opened(incident.plan, _playbook(wiring, incident), incident.exposures)
        if plan == incident.plan:
            return
        try:
            _note_at(wiring, incident, incident.head, EventKind.PLAN_MADE, plan=plan)
        except Conflict:
            continue
        return


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


def _known(wiring: Wiring, exposure: Exposure) -> None:
    if Graph.of(wiring.estate).listed(exposure.target) not in (KeyEntry, CredentialEntry, DatasetEntry):
        raise InvalidInput(
            f"{exposure.target!r} is not in the estate.",
            hint="List what is with `keyquell inventory show`, or add it with `keyquell inventory import`.",
        )
