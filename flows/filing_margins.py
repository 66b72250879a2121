"""Deadline margins over all incidents: what was filed, how long before its deadline, or how late."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.deadlines import book
from flows.docket import docket
from flows.wiring import Wiring
from playbooks.deadlines.margins import Filing, filings
from playbooks.summary import Summary


@dataclass(frozen=True, slots=True)
class CaseFiling:
    """A filing of one incident."""

    incident: str
    codename: str
    exercise: bool
    filing: Filing


def filing_margins(wiring: Wiring, cases: Iterable[Summary]) -> list[CaseFiling]:
    """The filings of these cases that had a deadline, the smallest margin first.

    Raises InvalidInput when the rules cannot be read.
    """
    marked = docket(wiring).look()
    if not any(each.oversight.settled for each in marked.values()):
        return []
    rules = book(wiring)
    found = [
        CaseFiling(case.id, case.codename, case.exercise, each)
        for case in cases
        if case.id in marked
        for each in filings(marked[case.id].oversight, rules.rules, place=rules.place)
    ]
    return sorted(found, key=lambda each: (each.filing.margin, each.incident, each.filing.rule.id))
