"""A plan's diff as lines with a sign and a kind, so that colour is never the only difference."""

from __future__ import annotations

from dataclasses import dataclass

_KINDS = {"-": "stops", "+": "becomes", "~": "window", "!": "unknown", "…": "more"}


@dataclass(frozen=True, slots=True)
class PlanLine:
    """``kind`` is the class of the style sheet: head, phase, stops, becomes, window, unknown, more or plain."""

    kind: str
    sign: str
    text: str
    gate: str


def plan_lines(plan_text: str) -> list[PlanLine]:
    """The lines of ``playbooks.plan_text.plan_diff``; the first is its head."""
    lines = plan_text.splitlines()
    return [_line(each, first=number == 0) for number, each in enumerate(lines) if each.strip()]


def _line(line: str, *, first: bool) -> PlanLine:
    text = line.strip()
    if first:
        return PlanLine("head", "", text, "")
    kind = _KINDS.get(text[0])
    if kind is None:
        return PlanLine("phase" if text == line else "plain", "", text, "")
    body, gate = text[1:].strip(), ""
    if body.endswith((" [one person]", " [two people]")):
        body, _, gate = body.rpartition(" [")
    return PlanLine(kind, text[0], body, gate.rstrip("]"))
