"""The measures of an incident, from its record alone: bounds where a moment is an interval, "running" where none ended.

Definitions follow NIST SP 800-61 r3 (detect, respond, recover) with the occurrence as an interval: last known good …
first evidence.  What is not in the record is undefined and says why; nothing is closed at the present moment.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from playbooks.event_bodies import ExposureAdded, SignalReceived, StepFinished, read_body
from playbooks.exposures import ExposureKind
from playbooks.incident import Incident
from playbooks.metrics.measure import Measure, MeasureName
from playbooks.plans import Phase
from playbooks.record import Event, EventKind

_NO_OCCURRENCE = "nobody has recorded when it occurred"
_FALSE_ALARM = "it was a false alarm"
_UNTAKEN = "the case was closed before anybody took it"
_NEVER_SAFE = frozenset({ExposureKind.DATA_KEY})
"""Exposures after which what was read stays readable: no later move ends them."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """A recorded moment between two bounds; ``earliest`` None: nothing is known before ``latest``."""

    seq: int
    earliest: datetime | None
    latest: datetime


def measures_of(events: Sequence[Event], *, now: datetime, incident: Incident | None = None) -> tuple[Measure, ...]:
    """Every measure, in the order of ``MeasureName``; ``now`` (aware) says how long what runs has lasted.

    ``incident`` is that of the events where the caller has it already.  Raises RecordError when the events contradict
    one another.
    """
    incident = incident or Incident.of(events)
    occurred, detected = _occurred(events), _detected(events)
    opened = _at(events[0])
    known = detected or opened
    ends = _ends(incident, events)
    never = _FALSE_ALARM if incident.closed is not None and incident.closed.outcome == "false-alarm" else ""
    untaken = never or (_UNTAKEN if incident.closed is not None else "")
    spans: dict[MeasureName, tuple[_Moment | None, _Moment | None]] = {
        MeasureName.DWELL: (occurred, known),
        MeasureName.DETECT: (_trace(occurred), known),
        MeasureName.ACKNOWLEDGE: (known, ends.get(EventKind.ACKNOWLEDGED)),
        MeasureName.CONTAIN: (known, ends.get(EventKind.CONTAINED)),
        MeasureName.REVOKE_ACCEPTED: (opened, _accepted(incident, events)),
        MeasureName.REVOKE_PROVEN: (opened, ends.get(EventKind.CONTAINED)),
        MeasureName.EXPOSURE_WINDOW: (occurred, ends.get(EventKind.CONTAINED)),
        MeasureName.RESIDUAL_EXPOSURE: (occurred, _left_nothing(incident, ends)),
        MeasureName.RESTORE: (known, ends.get(EventKind.RESTORED)),
    }
    measured = [
        _measure(name, *span, now=now, never=untaken if name is MeasureName.ACKNOWLEDGE else never)
        for name, span in spans.items()
    ]
    return (*measured, _downtime(_stopped(incident, events), ends.get(EventKind.RESTORED), now=now))


def _measure(
    name: MeasureName, start: _Moment | None, end: _Moment | None, *, now: datetime, never: str = ""
) -> Measure:
    """``never`` says why what has not ended will not end any more; "" while it may."""
    if start is None:
        return Measure(name=name, state="undefined", to_seq=end.seq if end else None, why=_NO_OCCURRENCE)
    if end is None and never:
        return Measure(name=name, state="undefined", from_seq=start.seq, why=never)
    last = end.latest if end else now
    least = max(0.0, (last - start.latest).total_seconds())
    most = max(least, (last - start.earliest).total_seconds()) if end and start.earliest else None
    return Measure(
        name=name,
        state="reached" if end else "running",
        lower_seconds=least,
        upper_seconds=most,
        from_seq=start.seq,
        to_seq=end.seq if end else None,
        since=None if end else start.latest,
    )


def _downtime(stopped: _Moment | None, restored: _Moment | None, *, now: datetime) -> Measure:
    """No consumer need have stood still for the whole of it, so nothing bounds it from below."""
    if stopped is None:
        return Measure(name=MeasureName.DOWNTIME, state="undefined", why="no step that stops a service was taken")
    if restored is None or restored.latest < stopped.latest:
        measure = _measure(MeasureName.DOWNTIME, stopped, None, now=now)
        return measure.model_copy(update={"lower_seconds": 0.0, "since": None})
    measure = _measure(MeasureName.DOWNTIME, stopped, restored, now=now)
    return measure.model_copy(update={"lower_seconds": 0.0})


def _ends(incident: Incident, events: Sequence[Event]) -> dict[EventKind, _Moment]:
    """The milestones that hold now, each with the event that reached it; one that was taken back is left out."""
    held = {
        EventKind.CONTAINED: incident.contained_at,
        EventKind.DATA_SAFE: incident.data_safe_at,
        EventKind.RESTORED: incident.restored_at,
        EventKind.ACKNOWLEDGED: incident.people.acknowledged.at if incident.people.acknowledged else None,
    }
    return {
        kind: _at(next(each for each in events if each.kind is kind and each.at == moment))
        for kind, moment in held.items()
        if moment is not None
    }


def _left_nothing(incident: Incident, ends: dict[EventKind, _Moment]) -> _Moment | None:
    """The last object has left the old key; never, where a data key is out."""
    if any(each.kind in _NEVER_SAFE for each in incident.exposures):
        return None
    return ends.get(EventKind.DATA_SAFE)


def _occurred(events: Sequence[Event]) -> _Moment | None:
    """The earliest occurrence among the exposures; None when no event bounds it from above."""
    found = []
    for event in events:
        body = read_body(event)
        if isinstance(body, ExposureAdded) and body.exposure.occurred.not_after:
            interval = body.exposure.occurred
            found.append(_Moment(event.seq, _aware(interval.not_before), _known(interval.not_after, event)))
        elif isinstance(body, SignalReceived) and body.signal.first_seen:
            found.append(_Moment(event.seq, None, _known(body.signal.first_seen, event)))
    if not found:
        return None
    first = min(found, key=lambda each: each.latest)
    bounds = [each.earliest for each in found if each.earliest is not None]
    return _Moment(first.seq, min(bounds, default=None), first.latest)


def _trace(occurred: _Moment | None) -> _Moment | None:
    """The moment of the first evidence alone: from there on somebody could have noticed."""
    return None if occurred is None else _Moment(occurred.seq, occurred.latest, occurred.latest)


def _detected(events: Sequence[Event]) -> _Moment | None:
    found = [
        _Moment(each.seq, moment, moment)
        for each in events
        if each.kind is EventKind.SIGNAL_RECEIVED
        and isinstance(body := read_body(each), SignalReceived)
        and (moment := _known(body.signal.observed_at, each))
    ]
    return min(found, key=lambda each: each.latest, default=None)


def _accepted(incident: Incident, events: Sequence[Event]) -> _Moment | None:
    """When the first containing call had been taken by its backend."""
    return _first_taken(events, {step.id for step in incident.plan.in_phase(Phase.CONTAIN)} if incident.plan else set())


def _stopped(incident: Incident, events: Sequence[Event]) -> _Moment | None:
    """When the first step whose price is that something stops had been taken by its backend."""
    return _first_taken(events, {step.id for step in incident.plan.steps if step.price} if incident.plan else set())


def _first_taken(events: Sequence[Event], steps: Collection[str]) -> _Moment | None:
    found = []
    for event in events:
        body = read_body(event) if event.kind is EventKind.STEP_FINISHED else None
        if isinstance(body, StepFinished) and body.step in steps and body.receipt is not None:
            taken = _known(body.receipt.accepted_at, event)
            found.append(_Moment(event.seq, taken, taken))
    return min(found, key=lambda each: each.latest, default=None)


def _at(event: Event) -> _Moment:
    return _Moment(event.seq, event.at, event.at)


def _known(moment: datetime | None, event: Event) -> datetime:
    """Another's clock may run ahead: what it tells counts at the latest when it was written down."""
    aware = _aware(moment)
    return min(aware, event.at) if aware is not None else event.at


def _aware(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)
