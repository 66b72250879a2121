"""The first sentence of a report: is it over, how fast, and at what price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from playbooks.incident import Incident
from playbooks.timings import Timings
from simulations.results import DrillResult

CONTAINMENT = "true-containment"
"""The standing objective of every drill that decides the verdict."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One sentence, what colours it, and what it still leaves open."""

    tone: Literal["good", "warn", "bad"]
    sentence: str
    remark: str = ""


def drill_verdict(result: DrillResult, *, admitted: Sequence[str] = ()) -> Verdict:
    """The verdict on a drill; an invalid one proves nothing, whatever it measured.

    ``admitted`` are the response's own reasons for not claiming containment.
    """
    standing = {objective.id: objective for objective in result.objectives}
    contained, valid = standing[CONTAINMENT], standing["valid"]
    missed = [each.sentence for each in result.objectives if not each.passed and each.id not in ("valid", CONTAINMENT)]
    price = f"{_data(result)}; {_service(result)}."
    if not result.valid:
        return Verdict("bad", f"This drill shows nothing: {valid.note}.", "Its figures must not be used.")
    if not contained.passed:
        own = f" The response says so itself: {'; '.join(admitted)}." if admitted else ""
        remark = f"{price[:1].upper()}{price[1:]}{own}"
        return Verdict("bad", f"NOT CONTAINED: {_without_prefix(contained.note)}.", remark)
    took = _seconds(result.timings.first_abuse_at, result.timings.contained_true_at)
    proven = _seconds(result.timings.first_abuse_at, result.timings.contained_claimed_at)
    sentence = f"Contained in {took}, proven after {proven}; {price}"
    if missed or not result.passed:
        return Verdict("warn", sentence, f"Missed: {' '.join(missed)}")
    return Verdict("good", sentence, "Every objective was met.")


def incident_verdict(incident: Incident, timings: Timings) -> Verdict:
    """The verdict on an incident, from its record alone: nobody knows here what the attacker still could do."""
    outcome = incident.closed.outcome if incident.closed else ""
    if outcome == "false-alarm":
        return Verdict("good", "False alarm: what was reported had not leaked.")
    if incident.not_contained or outcome == "not-contained":
        why = "; ".join(incident.not_contained) or "it was closed without proof"
        return Verdict("bad", f"NOT CONTAINED: {why}.")
    if incident.contained_at is None:
        return Verdict("bad", "NOT CONTAINED YET: nothing has shown that the leaked thing is dead.")
    start = timings.detected_at or timings.declared_at
    sentence = f"Contained {_seconds(start, incident.contained_at)} after detection, proven by probes"
    waiting = [
        word
        for word, reached in (
            ("the keys are not renewed", incident.renewed_at),
            ("data is still under the old key", incident.data_safe_at),
            ("the service is not shown to work", incident.restored_at),
            ("the case is open", incident.closed),
        )
        if not reached
    ]
    if waiting:
        return Verdict("warn", f"{sentence}; {', '.join(waiting)}.")
    return Verdict("good", f"{sentence}; data safe, service restored, closed.")


def _data(result: DrillResult) -> str:
    data = result.data
    if data.lost:
        return f"{data.lost} of {data.objects} objects LOST"
    return "no data lost" if data.objects else "no data to lose"


def _service(result: DrillResult) -> str:
    down = result.workload.downtime_seconds
    return f"service down {down:.1f} s" if down else "service never down"


def _without_prefix(note: str) -> str:
    return note.removeprefix("not contained: ")


def _seconds(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "an unknown time"
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
