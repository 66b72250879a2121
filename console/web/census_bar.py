"""A census as a bar of proportions: what is under the new key, what is not, and what nobody could read."""

from __future__ import annotations

from dataclasses import dataclass

from playbooks.receipts import Census

WIDTH = 1000.0
_THINNEST = 8.0
_PARTS = (
    ("on_new", "new", "under the new key"),
    ("on_old", "old", "under the old key"),
    ("failed", "failed", "failed to open"),
    ("unreachable", "unreachable", "not reachable"),
    ("unknown", "unknown", "under a key that nobody knows"),
)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar, in user units; ``count`` objects of which ``words`` hold."""

    x: float
    width: float
    style: str
    count: int
    words: str


@dataclass(frozen=True, slots=True)
class CensusBar:
    """One dataset's census; ``bytes`` is the size of all objects together, as people read it."""

    dataset: str
    objects: int
    bytes: str
    clear: bool
    taken_at: str
    segments: tuple[Segment, ...]

    @property
    def words(self) -> str:
        """The bar in a sentence."""
        parts = [f"{each.count:,} {each.words}" for each in self.segments]
        return f"Of {self.objects:,} objects {', '.join(parts)}." if parts else "No object was found."


def census_bar(census: Census) -> CensusBar:
    """Parts in proportion; one that is there at all stays visible, at the cost of the largest."""
    counts = [(getattr(census, name), style, words) for name, style, words in _PARTS]
    counts = [each for each in counts if each[0]]
    total = sum(count for count, _, _ in counts)
    widths = [max(count / total * WIDTH, _THINNEST) for count, _, _ in counts]
    if widths:
        widths[widths.index(max(widths))] -= sum(widths) - WIDTH
    segments, x = [], 0.0
    for (count, style, words), width in zip(counts, widths, strict=True):
        segments.append(Segment(round(x, 1), round(width, 1), style, count, words))
        x += width
    at = f"{census.taken_at:%H:%M:%S UTC on %d %b %Y}"
    return CensusBar(census.dataset, census.objects, size(census.bytes), census.clear, at, tuple(segments))


def size(count: int) -> str:
    """``512 B``, ``1.4 MB``: decimal units."""
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{count} B" if unit == "B" else f"{amount:.3g} {unit}"
