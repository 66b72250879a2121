"""A layered picture of a small graph, as plain geometry for an inline SVG: columns from left to right, few crossings.

The method is Sugiyama's: an edge over several columns gets a waypoint in each of them, and every column is ordered by
the mean place of its neighbours (barycentre), forth and back a few times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

BOX_WIDTH, BOX_HEIGHT = 212.0, 48.0
_GAP, _BETWEEN, _MARGIN, _TITLE, _WAY = 12.0, 78.0, 4.0, 30.0, 16.0
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Item:
    """A box to be placed: ``name`` is unique, ``column`` counts from the left."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Edge:
    """Leads from ``start`` to ``end``, both names of items, the end in a later column."""

    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands, in SVG user units.

    ``boxes`` are the upper left corners by name, ``paths`` the ``d`` of each edge in the order given, ``columns`` the
    left side of each column by its number.
    """

    width: float
    height: float
    boxes: dict[str, tuple[float, float]]
    paths: tuple[str, ...]
    columns: dict[int, float]


@dataclass(slots=True)
class _Slot:
    """A box, or the waypoint of an edge that passes its column."""

    column: int
    height: float
    neighbours: list[_Slot] = field(default_factory=list)
    rank: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def lay_out(items: Sequence[Item], edges: Sequence[Edge]) -> Layout:
    """Place the items; empty columns take no room.  ValueError for an edge that does not lead to a later column."""
    numbers = {column: index for index, column in enumerate(sorted({each.column for each in items}))}
    slots = {each.name: _Slot(numbers[each.column], BOX_HEIGHT) for each in items}
    columns: list[list[_Slot]] = [[] for _ in numbers]
    for slot in slots.values():
        columns[slot.column].append(slot)
    ways = [_way(slots[each.start], slots[each.end], columns) for each in edges]
    _order(columns)
    height = _stack(columns)
    lefts = [_MARGIN + index * (BOX_WIDTH + _BETWEEN) for index in range(len(columns))]
    return Layout(
        width=(lefts[-1] if lefts else 0.0) + BOX_WIDTH + _MARGIN,
        height=height,
        boxes={name: (lefts[slot.column], round(slot.y, 1)) for name, slot in slots.items()},
        paths=tuple(_path(way, lefts) for way in ways),
        columns={column: lefts[index] for column, index in numbers.items()},
    )


def _way(start: _Slot, end: _Slot, columns: list[list[_Slot]]) -> list[_Slot]:
    """The slots along an edge, joined to their neighbours."""
    if end.column <= start.column:
        raise ValueError("an edge must lead to a later column")
    between = [_Slot(column, _WAY) for column in range(start.column + 1, end.column)]
    for slot in between:
        columns[slot.column].append(slot)
    way = [start, *between, end]
    for here, there in pairwise(way):
        here.neighbours.append(there)
        there.neighbours.append(here)
    return way


def _order(columns: list[list[_Slot]]) -> None:
    for column in columns:
        _rank(column)
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            side = -1 if sweep % 2 == 0 else 1
            column.sort(key=lambda slot, side=side: _centre(slot, side))  # type: ignore[misc]
            _rank(column)


def _centre(slot: _Slot, side: int) -> float:
    """The mean place of the neighbours on one side; where there are none, its own."""
    places = [each.rank for each in slot.neighbours if (each.column - slot.column) * side > 0]
    return sum(places) / len(places) if places else slot.rank


def _rank(column: list[_Slot]) -> None:
    """Places from 0 to 1, so that columns of different lengths compare."""
    for index, slot in enumerate(column):
        slot.rank = (index + 0.5) / len(column)


def _stack(columns: list[list[_Slot]]) -> float:
    """Heap each column up, centred on the highest; returns the height of the picture."""
    heights = [sum(slot.height + _GAP for slot in column) - _GAP for column in columns]
    highest = max(heights, default=0.0)
    for column, height in zip(columns, heights, strict=True):
        y = _TITLE + (highest - height) / 2
        for slot in column:
            slot.y, y = y, y + slot.height + _GAP
    return _TITLE + highest + _MARGIN


def _path(way: list[_Slot], lefts: list[float]) -> str:
    """A smooth line through the waypoints: level where it leaves and enters, straight through a column."""
    x = lefts[way[0].column] + BOX_WIDTH
    parts = [f"M{x:g} {way[0].middle:.1f}"]
    for here, there in pairwise(way):
        start, end = lefts[here.column] + BOX_WIDTH, lefts[there.column]
        bend = (start + end) / 2
        parts.append(f"C{bend:g} {here.middle:.1f} {bend:g} {there.middle:.1f} {end:g} {there.middle:.1f}")
        if there is not way[-1]:
            parts.append(f"H{end + BOX_WIDTH:g}")
    return "".join(parts)
