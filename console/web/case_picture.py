"""The picture of one case: when each milestone was reached and when each step ran, as geometry for an inline SVG.

Times count from the moment at which the case was noticed.  A response lasts seconds and an exposure months, so that
distances are logarithmic in both directions: equal from 1 s to 10 s and from 1 d to 10 d.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from console.report.timeline import Span, phase_name, phase_of, since, step_spans, tone_of
from playbooks.incident import Incident
from playbooks.plans import Phase
from playbooks.record import Event

_TOP, _THIN, _THINNEST = 26.0, 8.0, 3.0
_UNIT_SECONDS = 1.0
_TICKS = (1, 10, 60, 600, 3600, 36000, 86400, 864000, 8640000)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand, in CSS pixels; ``y`` of a row is its middle.

    ``left`` is where what has no known beginning begins, ``first`` to ``last`` the axis.  What a row says stands at
    ``said_x`` (its end when ``from_the_right``), ``text_y`` below the row's middle like its name; bars ``bar_y`` below
    it.  A second line of words follows ``second`` after the first.
    """

    name: str
    width: float
    left: float
    first: float
    last: float
    said_x: float
    from_the_right: bool
    row: float
    second: float
    text_y: float
    bar_y: float
    tick_gap: float


WIDE = Layout("wide", 1100.0, 112.0, 150.0, 820.0, 836.0, False, 30.0, 15.0, 4.5, -7.0, 52.0)
"""Names to the left of the bars, words to their right."""
NARROW = Layout("narrow", 340.0, 0.0, 22.0, 318.0, 338.0, True, 44.0, 32.0, -12.0, -5.0, 44.0)
"""For a phone: names and words above the bars."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; ``style`` is its class, ``title`` its words."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the picture: its name, what it says, and the middle of its height."""

    name: str
    said: str
    tone: str
    y: float


@dataclass(frozen=True, slots=True)
class CasePicture:
    """``ticks`` are places with words, ``zero`` the place at which the case was noticed."""

    height: float
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    zero: float
    layout: Layout

    @property
    def words(self) -> str:
        """The picture in words."""
        return "; ".join(f"{each.name}: {each.said}" if each.name else each.said for each in self.rows)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From seconds before or after zero to a place."""

    first: float
    last: float
    layout: Layout

    def x(self, seconds: float) -> float:
        low, high = _logarithm(self.first), _logarithm(self.last)
        share = (_logarithm(seconds) - low) / (high - low)
        length = self.layout.last - self.layout.first
        return round(self.layout.first + min(max(share, 0.0), 1.0) * length, 1)

    def ticks(self) -> tuple[tuple[float, str], ...]:
        """At round times, not too near to one another."""
        wanted = [0.0, *(sign * each for each in _TICKS for sign in (1.0, -1.0))]
        placed: list[tuple[float, str]] = []
        for seconds in wanted:
            x = self.x(seconds)
            if self.first <= seconds <= self.last and all(abs(x - other) > self.layout.tick_gap for other, _ in placed):
                placed.append((x, since(seconds) if seconds else "0"))
        return tuple(sorted(placed))


def draw_case(
    incident: Incident, events: Sequence[Event], *, zero: datetime, now: datetime, layout: Layout = WIDE
) -> CasePicture:
    """The case as of ``now`` (aware); ``zero`` is when it was noticed, or else opened."""
    end = incident.closed.at if incident.closed else now
    spans = step_spans(events)
    earliest, latest = _began(incident)
    times = [zero, end, *(at for at in (earliest, latest) if at), *(at for span in spans for at in span[2:4])]
    after = [(at - zero).total_seconds() for at in times]
    scale = _Scale(min(*after, -_UNIT_SECONDS), max(*after, 10.0), layout)
    drawing = _Drawing(incident, zero, end, scale, _TOP + layout.row / 2)
    drawing.exposed(earliest, latest)
    for name, at, tone in _milestones(incident):
        drawing.milestone(name, at, tone)
    drawing.y += 8
    for phase in Phase:
        mine = [each for each in spans if phase_of(each[0], incident.plan) == phase.value]
        if mine:
            drawing.phase(phase, mine)
    height = drawing.y - layout.row / 2 + 24
    return CasePicture(height, tuple(drawing.rows), tuple(drawing.bars), scale.ticks(), scale.x(0), layout)


def _began(incident: Incident) -> tuple[datetime | None, datetime | None]:
    """When the first exposure began at the earliest, and at the latest; None where that is not known."""
    began = [each.occurred for each in incident.exposures]
    earliest = (
        None
        if any(each.not_before is None for each in began)
        else min((_aware(each.not_before) for each in began if each.not_before), default=None)
    )
    return earliest, min((_aware(each.not_after) for each in began if each.not_after), default=None)


def _milestones(incident: Incident) -> list[tuple[str, datetime | None, str]]:
    """Those that were reached, and those that the plan aims at."""
    taken = incident.people.acknowledged
    found = [
        ("Taken", taken.at if taken else None, "plain"),
        ("Contained", incident.contained_at, "good"),
        ("Renewed", incident.renewed_at, "good"),
        ("Data safe", incident.data_safe_at, "good"),
        ("Restored", incident.restored_at, "good"),
    ]
    wanted = {step.phase for step in incident.plan.steps} if incident.plan else set()
    only_with = {"Data safe": Phase.REENCRYPT, "Renewed": Phase.RENEW}
    return [each for each in found if each[1] or each[0] not in only_with or only_with[each[0]] in wanted]


@dataclass(slots=True)
class _Drawing:
    """Rows from the top down; ``y`` is the middle of the next one."""

    incident: Incident
    zero: datetime
    end: datetime
    scale: _Scale
    y: float
    rows: list[Row] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)

    def exposed(self, earliest: datetime | None, latest: datetime | None) -> None:
        """From when it may have leaked until containment; what may be and what must be are two shades."""
        contained = self.incident.contained_at
        if not self.incident.exposures:
            self._row("Exposed", "nothing is known to be exposed", "plain")
            return
        since_when = f"began {_at(earliest)} or later" if earliest else "its beginning is not known"
        begun, sure = self._x(earliest) if earliest else self.scale.layout.left, self._x(latest or self.zero)
        self._bar(begun, sure, "maybe", f"perhaps exposed; {since_when}")
        said = f"exposed from {_at(latest or self.zero)} at the latest"
        self._bar(sure, self._x(contained or self.end), "exposed", said)
        self._row("Exposed", f"until {_at(contained)}" if contained else "goes on", "plain" if contained else "bad")
        self.y += self.scale.layout.second - self.scale.layout.row
        self._row("", since_when, "plain")

    def milestone(self, name: str, at: datetime | None, tone: str) -> None:
        """A bar from zero to the moment, or an open one while it is not reached."""
        if at is None:
            said = "never" if self.incident.closed else f"not yet, after {_lasted(self.end - self.zero)}"
            self._bar(self._x(self.zero), self._x(self.end), "open", f"{name}: {said}")
            self._row(name, said, "bad")
            return
        said = f"after {_lasted(at - self.zero)}, {_at(at)}" if at >= self.zero else f"{_at(at)}, before it was noticed"
        start, end = sorted((self._x(self.zero), self._x(at)))
        self._bar(start, end, f"way {tone}", f"{name}: {said}")
        self._row(name, said, tone)

    def phase(self, phase: Phase, spans: Sequence[Span]) -> None:
        """Every attempt at a step of the phase; those that overlap stand below one another."""
        ends: list[float] = []
        layout = self.scale.layout
        top = self.y + layout.bar_y - 1
        for step, attempt, start, end, result in spans:
            x = self._x(start)
            width = max(self._x(end) - x, _THINNEST)
            lane = next((index for index, taken in enumerate(ends) if taken + 1 < x), len(ends))
            ends[lane : lane + 1] = [x + width]
            again = f", attempt {attempt}" if attempt > 1 else ""
            title = f"{step}{again}: {result}, {_lasted(end - start)}"
            self.bars.append(Bar(x, top + lane * (_THIN + 2), width, _THIN, f"step-{tone_of(result)}", title))
        more = max(len(ends) * (_THIN + 2) - 2 - (layout.row / 2 + 1), 0.0)
        steps = len({each[0] for each in spans})
        proven = sum(each[4] == "proven" for each in spans)
        self._row(phase_name(phase), f"{steps} step{'s' if steps > 1 else ''} begun, {proven} proven", "phase")
        self.y += more

    def _x(self, at: datetime) -> float:
        return self.scale.x((at - self.zero).total_seconds())

    def _bar(self, start: float, end: float, style: str, title: str) -> None:
        self.bars.append(Bar(start, self.y + self.scale.layout.bar_y, max(end - start, _THINNEST), 14, style, title))

    def _row(self, name: str, said: str, tone: str) -> None:
        self.rows.append(Row(name, said, tone, self.y))
        self.y += self.scale.layout.row


def _logarithm(seconds: float) -> float:
    return math.copysign(math.log10(1 + abs(seconds) / _UNIT_SECONDS), seconds)


def _lasted(span: timedelta) -> str:
    return since(abs(span.total_seconds())).removeprefix("+") or "0 s"


def _at(moment: datetime) -> str:
    return f"{moment:%d %b %H:%M:%S}"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
