"""Deadlines for the terminal and for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from flows.deadlines import Book, CaseDeadlines
from playbooks.deadlines.rules import Rule
from playbooks.deadlines.standing import Deadline, State
from playbooks.deadlines.words import counted, stands
from playbooks.timings import rfc3339

_STYLES = {State.OVERDUE: "bold red", State.DUE_SOON: "bold yellow", State.FILED_LATE: "yellow", State.FILED: "green"}


def case_view(case: CaseDeadlines, now: datetime) -> Text:
    """A case: its deadlines, the most urgent first, and the clocks that nobody has started."""
    mark = "EXERCISE " if case.exercise else ""
    text = Text(f"{mark}{case.codename} ({case.incident}){'' if case.open else ', closed'}\n", style="bold")
    for each in case.deadlines:
        if each.state is not State.WAITING:
            text.append_text(_line(each, now))
    if case.triggers:
        text.append("  Clocks that nobody has started (`keyquell deadline start`):\n", style="dim")
        for name, words in case.triggers.items():
            text.append(f"    {name}: {words}\n", style="dim")
    elif not case.deadlines:
        text.append("  No regime is said to apply: `deadlines.applies` in keyquell.yaml.\n", style="dim")
    return text


def _line(deadline: Deadline, now: datetime) -> Text:
    text = Text("  ")
    text.append(f"{deadline.state.value.upper():<10}", style=_STYLES.get(deadline.state, ""))
    text.append(f" {deadline.rule.id}: {deadline.rule.title}")
    if deadline.due_at is not None and deadline.state.open:
        text.append(f", due {deadline.due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
    return text.append(f": {stands(deadline, now)}\n")


def case_data(case: CaseDeadlines) -> dict[str, Any]:
    """The same for programs; spans in seconds."""
    return {
        "incident": case.incident,
        "codename": case.codename,
        "exercise": case.exercise,
        "open": case.open,
        "deadlines": [_deadline_data(each) for each in case.deadlines],
        "triggers": case.triggers,
    }


def _deadline_data(deadline: Deadline) -> dict[str, Any]:
    settled = deadline.settled
    return {
        "rule": deadline.rule.id,
        "regime": deadline.rule.regime,
        "title": deadline.rule.title,
        "recipient": deadline.rule.recipient,
        "state": deadline.state.value,
        "started_at": _told(deadline.started_at),
        "due_at": _told(deadline.due_at),
        "used": round(deadline.used, 4) if deadline.due_at else None,
        "margin_seconds": deadline.margin.total_seconds() if deadline.margin is not None else None,
        "settled": settled.model_dump(mode="json") if settled else None,
        "why": deadline.why,
    }


def _told(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None


def rules_view(book: Book, now: datetime) -> Text:
    """The rules by regime: whether they apply, how they count, where they stand, and when that was read."""
    text = Text()
    for regime, words in book.rules.regimes.items():
        mark = "applies" if regime in book.applies else "off"
        text.append(f"{regime}: {words} ({mark})\n", style="bold" if mark == "applies" else "")
        for each in (rule for rule in book.rules.rules if rule.regime == regime):
            off = each.objection(now)
            text.append(f"  {each.id}: {each.title}{f' (off: {off})' if off else ''}\n")
            text.append(f"    {counted(each)}. To {each.recipient}.\n", style="dim")
            text.append(f"    {_source(each)}, read {each.read_on}, {each.confidence}\n", style="dim")
    return text


def rules_data(book: Book, now: datetime) -> list[dict[str, Any]]:
    """The rules as their file has them, and why one is off ("" when it is on)."""
    return [
        {
            **each.model_dump(mode="json"),
            "counts": counted(each),
            "off": each.objection(now) or ("" if each.regime in book.applies else "does not apply"),
        }
        for each in book.rules.rules
    ]


def _source(rule: Rule) -> str:
    return " ".join(filter(None, (rule.source.name, rule.source.section)))
