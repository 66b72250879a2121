"""Renders a report: from the record, and in drills the journals and the score, to one self-contained HTML page."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from console.report import sections
from console.report.review import NOTHING, figure
from console.report.timeline import Moment, draw, exactly
from console.report.verdict import Verdict, drill_verdict, incident_verdict
from integrations.records.export import read_export
from playbooks.comparison import Comparison, Returned, beside, earlier
from playbooks.incident import Incident
from playbooks.metrics.measure import WORDS
from playbooks.record import Event
from playbooks.summary import Summary, summary_of
from playbooks.timings import Timings, rfc3339
from simulations.journals import AdversaryAttempt, WorkloadRequest, read_journal
from simulations.results import DrillResult

PAGE = "report.html"
_TEMPLATES = Environment(
    loader=PackageLoader("console", "report"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters["figure"] = figure
_TEMPLATES.filters["keep_units"] = lambda sentence: re.sub(r"(\d) (s|min)\b", "\\1\u00a0\\2", sentence)


def render_report(
    result: DrillResult | None,
    events: Sequence[Event],
    attempts: Sequence[AdversaryAttempt] = (),
    requests: Sequence[WorkloadRequest] = (),
    *,
    compared: Comparison = NOTHING,
) -> str:
    """The page.

    ``result`` is None for a real incident, which has no journals either.  ``events`` may be empty in a drill whose leak
    nobody noticed.  Raises RecordError when the events contradict one another.
    """
    incident = Incident.of(events) if events else None
    timings = Timings.of(events) if events else Timings()
    zero = _zero(result, timings, attempts)
    moments = sections.moments(result, timings)
    plan = incident.plan if incident else None
    verified, head = sections.chain(events)
    return _TEMPLATES.get_template("report.html.j2").render(
        verdict=_verdict(result, incident, timings),
        result=result,
        incident=incident,
        plan=plan,
        zero=rfc3339(zero) if zero else "",
        zero_name="the leak" if result and result.timings.leaked_at else "detection",
        picture=draw(moments, events, attempts, requests, plan=plan, zero=zero) if zero else None,
        moments=[(exactly((each.at - zero).total_seconds()), each) for each in _ordered(moments)] if zero else [],
        figures=sections.drill_figures(result) if result else sections.incident_figures(timings),
        objectives=[(each, sections.measured(each)) for each in result.objectives] if result else [],
        phases=sections.step_rows(incident, zero) if incident and zero else [],
        decisions=list(sections.decisions(events, zero)) if zero else [],
        open_points=sections.not_shown(incident, result) if incident else [],
        verified=verified,
        head=head,
        count=len(events),
        compared=compared,
        words=WORDS,
    )


def write_report(
    folder: Path,
    *,
    events: Sequence[Event],
    result: DrillResult | None = None,
    attempts: Sequence[AdversaryAttempt] = (),
    requests: Sequence[WorkloadRequest] = (),
    compared: Comparison = NOTHING,
) -> Path:
    """Write ``report.html`` into an existing folder and return its path."""
    page = folder / PAGE
    page.write_text(render_report(result, events, attempts, requests, compared=compared), encoding="utf-8")
    return page


def write_drill_report(
    result: DrillResult, output: Path, *, before: Sequence[Summary] = (), returned: Sequence[Returned] = ()
) -> Path:
    """Write the report of a drill from what the harness left in its output folder: record and journals.

    ``before`` are earlier drills, ``returned`` the actions that were open when it began.
    """
    record = output / "record.ndjson"
    events = read_export(record) if record.exists() else []
    return write_report(
        output,
        events=events,
        result=result,
        attempts=list(read_journal(output / "adversary.ndjson", AdversaryAttempt)),
        requests=list(read_journal(output / "workload.ndjson", WorkloadRequest)),
        compared=_compared(events, before, returned),
    )


def _compared(events: Sequence[Event], before: Sequence[Summary], returned: Sequence[Returned]) -> Comparison:
    if not events:
        return Comparison(returned=tuple(returned))
    drill = summary_of(events)
    return beside(drill, earlier(drill, before), returned, now=None)


def _verdict(result: DrillResult | None, incident: Incident | None, timings: Timings) -> Verdict:
    if result is not None:
        return drill_verdict(result, admitted=incident.not_contained if incident else ())
    if incident is None:
        return Verdict("bad", "There is no incident: the record is empty.")
    return incident_verdict(incident, timings)


def _zero(result: DrillResult | None, timings: Timings, attempts: Sequence[AdversaryAttempt]) -> datetime | None:
    if result is not None and result.timings.leaked_at:
        return result.timings.leaked_at
    first = min((attempt.at for attempt in attempts), default=None)
    return timings.detected_at or timings.declared_at or first


def _ordered(moments: Sequence[Moment]) -> list[Moment]:
    return sorted(moments, key=lambda moment: moment.at)
