"""Deadlines in words: how a rule counts, and how much time is left; nothing here is legal advice."""

from __future__ import annotations

from datetime import datetime, timedelta

from playbooks.deadlines.rules import Counting, Rule
from playbooks.deadlines.standing import Deadline

NOT_ADVICE = "This is information, not legal advice."


def length(span: timedelta) -> str:
    """A span in its two largest units: ``2 days 4 h``, ``3 h 12 min``, ``40 s``; its sign is left out."""
    seconds = int(abs(span.total_seconds()))
    days, hours, minutes = seconds // 86400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} day{'s' if days > 1 else ''}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h" + (f" {minutes} min" if minutes else "")
    return f"{minutes} min" if minutes else f"{seconds} s"


def counted(rule: Rule) -> str:
    """How the rule counts, in a sentence without its end."""
    if rule.within is None:
        return "Promptly; no number of hours is set"
    amount, unit = rule.within.amount, rule.within.unit
    number = f"{amount} {unit if amount != 1 else unit.removesuffix('s')}"
    zone = f" in {rule.zone}" if rule.zone else ""
    first = "the day itself is not counted" if rule.day_zero else "the day itself is the first"
    match rule.counting:
        case Counting.ELAPSED:
            cap = rule.starts.no_later
            also = f", but no later than {cap.hours} hours after: {cap.trigger}" if cap else ""
            return f"{number} that pass, weekends and holidays included{also}"
        case Counting.BUSINESS:
            where = "federal holidays of the United States" if rule.holidays == "us-federal" else "public holidays"
            until = f", until {rule.cutoff:%H:%M}" if rule.cutoff else ""
            return f"{amount} business days without {where}{until}{zone}; {first}"
        case Counting.YEAR_END:
            return f"{number} after the end of the calendar year{zone}"
        case Counting.EU:
            return f"{number}, to the end of the last day{zone}; a day off moves it to the next working day; {first}"
        case _:
            return f"{number}, to the end of the last day{zone}; {first}"


def stands(deadline: Deadline, now: datetime) -> str:
    """How it stands at ``now`` (aware), without its end."""
    settled = deadline.settled
    if settled is not None and settled.outcome == "filed":
        if deadline.margin is None:
            return f"filed by {settled.by}"
        how = "late" if deadline.margin < timedelta() else "before the deadline"
        return f"filed by {settled.by}, {length(deadline.margin)} {how}"
    if settled is not None:
        return f"{settled.by} decided that it is not due: {settled.reason}"
    if not deadline.state.open:
        return deadline.why
    if deadline.due_at is None:
        return "promptly; no clock runs"
    left = deadline.due_at - now
    return f"{length(left)} left" if left >= timedelta() else f"late by {length(left)}"
