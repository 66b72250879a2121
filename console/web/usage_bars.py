"""The uses of a key hour by hour, against the most that is usual, as geometry for an inline SVG."""

from __future__ import annotations

from dataclasses import dataclass

from playbooks.key_use import KeyUse

WIDTH, HEIGHT = 672.0, 64.0
_FAINTEST = 1.5


@dataclass(frozen=True, slots=True)
class UsageBars:
    """``bars`` are (x, y, width, height, class); ``bound`` is the ``points`` of the line of what is usual, "" for none.

    ``most`` is the highest number of uses in an hour, the top of the picture or the bound.
    """

    bars: tuple[tuple[float, float, float, float, str], ...]
    bound: str
    most: int
    words: str


def usage_bars(use: KeyUse) -> UsageBars:
    """Hours side by side, the last one at the right; what is over its bound has a class of its own."""
    top = max([1.0, *(each.uses for each in use.hours), *(each.bound or 0.0 for each in use.hours)])
    step = WIDTH / max(len(use.hours), 1)
    bars, points = [], []
    for index, each in enumerate(use.hours):
        x = round(index * step, 2)
        if each.uses:
            height = max(each.uses / top * HEIGHT, _FAINTEST)
            over = each.bound is not None and each.uses > each.bound
            bars.append(
                (
                    x,
                    round(HEIGHT - height, 1),
                    round(max(step - 0.8, 0.8), 2),
                    round(height, 1),
                    "over" if over else "uses",
                )
            )
        if each.bound is not None:
            y = HEIGHT - each.bound / top * HEIGHT
            points += [f"{x:g},{y:.1f}", f"{x + step:g},{y:.1f}"]
    most = max((each.uses for each in use.hours), default=0)
    hours = len(use.unusual)
    judged = "nothing is judged yet" if use.learning else f"{hours} hour{'s' if hours != 1 else ''} over what is usual"
    words = f"{use.uses:,} uses in {len(use.hours)} hours, at most {most} in one; {judged}"
    return UsageBars(tuple(bars), " ".join(points), most, words)
