"""The picture of a report: attacker, service and response on one time axis, as plain geometry for an inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from playbooks.plans import Phase, Plan
from playbooks.record import Event, EventKind
from simulations.journals import AdversaryAttempt, WorkloadRequest

WIDTH, LEFT, RIGHT = 1000.0, 92.0, 16.0
_LABEL_ROW, _LANE, _BAR, _GAP, _LETTER = 17.0, 34.0, 9.0, 3.0, 6.9
_FAINTEST_BAR = 3.0
_NICE_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200, 86400, 604800)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened at one time; ``tone`` is ``bad``, ``good`` or ``plain``."""

    at: datetime
    label: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Mark:
    """A drawn rectangle; ``title`` is shown on hover."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment's vertical line with its label at the top."""

    x: float
    label: str
    label_x: float
    label_y: float
    anchor: str
    tone: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A named row."""

    name: str
    y: float
    height: float


@dataclass(slots=True)
class Picture:
    """Everything the template draws; lengths in SVG user units, ``height`` computed from the content."""

    width: float = WIDTH
    height: float = 0.0
    left: float = LEFT
    plot_top: float = 0.0
    plot_bottom: float = 0.0
    lanes: list[Lane] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    flags: list[Flag] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    exposed: tuple[float, float] | None = None


class _Scale:
    """Time to x, from the first to the last moment with a little air."""

    def __init__(self, moments: Sequence[datetime]) -> None:
        self.start, end = min(moments), max(moments)
        self.span = max((end - self.start).total_seconds(), 0.001) * 1.015

    def x(self, at: datetime) -> float:
        share = (at - self.start).total_seconds() / self.span
        return round(LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT), 1)


def draw(
    moments: Sequence[Moment],
    events: Sequence[Event],
    attempts: Sequence[AdversaryAttempt],
    requests: Sequence[WorkloadRequest],
    *,
    plan: Plan | None,
    zero: datetime,
) -> Picture | None:
    """Lay the picture out; None when there is nothing to show.  Ticks count from ``zero``."""
    spans = step_spans(events)
    times = [moment.at for moment in moments]
    times += [at for attempt in attempts for at in (attempt.at, attempt.finished_at)]
    times += [at for span in spans for at in span[2:4]]
    if not times:
        return None
    # The service's warm-up and tail say nothing: it is shown as far as the rest goes, and two seconds before.
    first = min(times) - timedelta(seconds=2)
    shown = [each for each in requests if first <= each.at <= max(times)]
    scale = _Scale([*times, *(each.at for each in shown)])
    picture = Picture()
    rows = _flag_rows(picture, sorted(moments, key=lambda moment: moment.at), scale)
    picture.plot_top = y = rows * _LABEL_ROW + 10
    if attempts:
        y = _lane(picture, "Attacker", y, _LANE)
        picture.marks += _tries(attempts, scale, y - _LANE)
        picture.exposed = _exposed(attempts, scale)
    if shown:
        y = _lane(picture, "Service", y, _LANE)
        picture.marks += _service(shown, scale, y - _LANE)
    y = _phases(picture, spans, plan, scale, y)
    picture.plot_bottom = y + 4
    picture.height = picture.plot_bottom + 24
    picture.ticks = list(_ticks(scale, zero))
    return picture


def _lane(picture: Picture, name: str, y: float, height: float) -> float:
    picture.lanes.append(Lane(name, y, height))
    return y + height


def _flag_rows(picture: Picture, moments: Sequence[Moment], scale: _Scale) -> int:
    """Place each label in the first row where it does not touch another; returns how many rows there are."""
    rows: list[float] = []
    placed: list[tuple[Moment, float, float, str, int]] = []
    for moment in moments:
        x, width = scale.x(moment.at), len(moment.label) * _LETTER
        left, anchor = (x + 4, "start") if x + 4 + width < WIDTH else (x - 4 - width, "end")
        row = next((index for index, taken in enumerate(rows) if taken < left), len(rows))
        if row == len(rows):
            rows.append(0.0)
        rows[row] = left + width + 8
        placed.append((moment, x, x + 4 if anchor == "start" else x - 4, anchor, row))
    for moment, x, label_x, anchor, row in placed:
        picture.flags.append(Flag(x, moment.label, label_x, 13 + row * _LABEL_ROW, anchor, moment.tone))
    return len(rows)


def _tries(attempts: Sequence[AdversaryAttempt], scale: _Scale, y: float) -> list[Mark]:
    """Successes tall, refusals short, so that colour is not needed to tell them apart."""
    marks = []
    for attempt in attempts:
        start, end = scale.x(attempt.at), scale.x(attempt.finished_at)
        tall = attempt.ok
        what = "succeeded" if attempt.ok else attempt.code or "failed"
        top, height = (y + 5, _LANE - 10) if tall else (y + _LANE - 15, 10.0)
        style = "try-ok" if attempt.ok else "try-no"
        marks.append(Mark(start, top, max(end - start, 1.6), height, style, f"{attempt.detail}: {what}"))
    return sorted(marks, key=lambda mark: mark.style == "try-ok")


def _exposed(attempts: Sequence[AdversaryAttempt], scale: _Scale) -> tuple[float, float] | None:
    successes = [attempt for attempt in attempts if attempt.ok]
    if not successes:
        return None
    start = scale.x(min(attempt.at for attempt in successes))
    return start, max(scale.x(max(attempt.finished_at for attempt in successes)) - start, 1.0)


def _service(requests: Sequence[WorkloadRequest], scale: _Scale, y: float) -> list[Mark]:
    """Neighbouring requests with the same result become one band."""
    marks: list[Mark] = []
    ordered = sorted(requests, key=lambda request: request.at)
    start = 0
    for index in range(1, len(ordered) + 1):
        if index < len(ordered) and ordered[index].ok == ordered[start].ok:
            continue
        run = ordered[start:index]
        x, end = scale.x(run[0].at), scale.x(ordered[index].at if index < len(ordered) else run[-1].finished_at)
        ok = run[0].ok
        codes = ", ".join(sorted({request.code for request in run if request.code}))
        title = f"{len(run)} requests worked" if ok else f"{len(run)} requests failed: {codes}"
        top, height = (y + 12, _LANE - 20) if ok else (y + 5, _LANE - 10)
        marks.append(Mark(x, top, max(end - x, 1.6), height, "work-ok" if ok else "work-no", title))
        start = index
    return sorted(marks, key=lambda mark: mark.style == "work-no")


Span = tuple[str, int, datetime, datetime, str]
"""A step's attempt: step, number of the attempt, start, end, result."""


def step_spans(events: Sequence[Event]) -> list[Span]:
    """(step, attempt, start, end, result) of every attempt at a step; one still running ends with the record."""
    open_spans: dict[str, tuple[int, datetime]] = {}
    spans: list[Span] = []
    for event in events:
        step = str(event.body.get("step", ""))
        if event.kind is EventKind.STEP_STARTED:
            if step in open_spans:
                attempt, at = open_spans[step]
                spans.append((step, attempt, at, event.at, "abandoned"))
            open_spans[step] = (int(str(event.body.get("attempt", 1))), event.at)
        elif event.kind in (EventKind.STEP_FINISHED, EventKind.STEP_FAILED) and step in open_spans:
            attempt, at = open_spans.pop(step)
            spans.append((step, attempt, at, event.at, str(event.body.get("outcome", "failed"))))
    spans += [(step, attempt, at, events[-1].at, "running") for step, (attempt, at) in open_spans.items()]
    return sorted(spans, key=lambda span: span[2])


def _phases(picture: Picture, spans: Sequence[Span], plan: Plan | None, scale: _Scale, y: float) -> float:
    """One lane a phase; steps that overlap are drawn below one another."""
    for phase in Phase:
        mine = [span for span in spans if phase_of(span[0], plan) == phase.value]
        if not mine:
            continue
        ends: list[float] = []
        marks = []
        for step, attempt, start, end, result in mine:
            x = scale.x(start)
            width = max(scale.x(end) - x, _FAINTEST_BAR)
            row = next((index for index, taken in enumerate(ends) if taken + 1 < x), len(ends))
            if row == len(ends):
                ends.append(0.0)
            ends[row] = x + width
            again = f", attempt {attempt}" if attempt > 1 else ""
            title = f"{step}{again}: {result}, {(end - start).total_seconds():.3f} s"
            marks.append(Mark(x, y + 7 + row * (_BAR + _GAP), width, _BAR, f"step-{tone_of(result)}", title))
        picture.marks += marks
        y = _lane(picture, phase_name(phase), y, max(14 + len(ends) * (_BAR + _GAP) - _GAP, 24))
    return y


def phase_of(step_id: str, plan: Plan | None) -> str:
    """The phase of a step by the plan, or else by its name."""
    for step in plan.steps if plan else ():
        if step.id == step_id:
            return step.phase.value
    return step_id.partition(".")[0]


def tone_of(result: str) -> str:
    """The class by which a result is coloured: good, done, idle, bad."""
    return {"proven": "good", "done": "done", "unavailable": "idle", "running": "idle"}.get(result, "bad")


def _ticks(scale: _Scale, zero: datetime) -> Iterable[tuple[float, str]]:
    step = next((each for each in _NICE_SECONDS if scale.span / each <= 10), _NICE_SECONDS[-1])
    offset = (scale.start - zero).total_seconds()
    number = math.ceil(offset / step)
    while (number * step - offset) <= scale.span:
        seconds = number * step
        yield scale.x(zero + timedelta(seconds=seconds)), since(seconds)
        number += 1


def since(seconds: float) -> str:
    """A signed time for people: ``+3.2 s``, ``+4 min``, ``+2.5 h``."""
    sign, size = ("−" if seconds < 0 else "+" if seconds > 0 else ""), abs(seconds)
    if size < 120:
        return f"{sign}{size:.3g} s"
    if size < 7200:
        return f"{sign}{size / 60:.3g} min"
    return f"{sign}{size / 3600:.3g} h" if size < 172800 else f"{sign}{size / 86400:.3g} d"


def exactly(seconds: float) -> str:
    """A signed time to the millisecond, or to the second when it is hours away."""
    sign, size = ("−" if seconds < 0 else "+"), abs(seconds)
    return f"{sign}{size:.3f} s" if size < 3600 else f"{sign}{timedelta(seconds=round(size))}"


def phase_name(phase: Phase) -> str:
    """A phase as a heading."""
    return "Re-encrypt" if phase is Phase.REENCRYPT else phase.value.capitalize()
