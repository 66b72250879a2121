"""A plan's diff as lines with a sign and a kind, so that colour is never the only difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_KINDS = {"-": "stops", "+": "becomes", "~": "window", "!": "unknown", "…": "more"}
_LEGEND = {
    "-": "stops",
    "+": "will be",
    "~": "can be taken back for a time",
    "!": "not possible, not known, or stays exposed",
}


@dataclass(frozen=True, slots=True)
class PlanLine:
    """``kind`` is the class of the style sheet: head, phase, stops, becomes, window, unknown, more or plain."""

    kind: str
    sign: str
    text: str
    gate: str


def plan_lines(plan_text: str) -> list[PlanLine]:
    """The lines of ``playbooks.plan_text.plan_diff``; the first is its head, and what no step closes has a heading."""
    head, *rest = plan_text.splitlines() or [""]
    return [PlanLine("head", "", head, ""), *_body(rest)]


def legend(lines: list[PlanLine]) -> list[PlanLine]:
    """What the signs among these lines mean."""
    used = {each.sign for each in lines}
    return [PlanLine(_KINDS[sign], sign, text, "") for sign, text in _LEGEND.items() if sign in used]


def _body(lines: list[str]) -> Iterator[PlanLine]:
    """Steps are indented; what is not, and has a sign, is a note about the whole plan."""
    noted = False
    for text in lines:
        line = _line(text)
        if line.sign and not noted and not text.startswith(" "):
            yield PlanLine("phase", "", "what the plan cannot do", "")
            noted = True
        yield line


def _line(line: str) -> PlanLine:
    text = line.strip()
    kind = _KINDS.get(text[:1])
    if kind is None:
        return PlanLine("plain" if line.startswith(" ") else "phase", "", text, "")
    body, gate = text[1:].strip(), ""
    if body.endswith((" [one person]", " [two people]")):
        body, _, gate = body.rpartition(" [")
    return PlanLine(kind, text[0], body, gate.rstrip("]"))
